"""As much of a client as lists of other things show."""

from __future__ import annotations

from kommutator.crm import clients
from kommutator.desk.forms import E164, View
from kommutator.desk.numbers import national


class ClientBrief(View):
    """A client in a list."""

    id: int
    name: str
    organisation: str
    number: E164 | None
    """The main one."""
    national: str | None
    """The same, to be read."""
    owner: str | None

    @classmethod
    def of(cls, found: clients.Brief) -> ClientBrief:
        """As the memory has it."""
        return cls(
            id=found.id,
            name=found.name,
            organisation=found.organisation,
            number=found.number,
            national=None if found.number is None else national(found.number),
            owner=found.owner,
        )

"""Missed calls as they go out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from kommutator.crm import missed
from kommutator.crm.clients import Brief
from kommutator.crm.missed import Outcome
from kommutator.desk.clients.brief import ClientBrief
from kommutator.desk.forms import Form, Moment, Name, View
from kommutator.desk.numbers import national


class MissedQuery(Form):
    """Which of those that wait."""

    mine: bool = False
    """Only those of the employee who asks, and of his department."""
    owner: Name | None = None
    """Only those of this employee or department."""
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class MissedCall(View):
    """A call that nobody answered."""

    id: str
    call_id: str
    caller: str | None
    """E.164; null: withheld."""
    caller_national: str | None
    clients: list[ClientBrief]
    """At that number; at most three."""
    did: str | None
    owner: str | None
    """The employee or department whose it is; null: everybody's."""
    at: Moment
    closed_at: Moment | None
    closed_by: str | None
    outcome: Outcome | None

    @classmethod
    def of(cls, found: missed.MissedCall, at_number: dict[str, list[Brief]]) -> MissedCall:
        """As the memory has it, with the clients at the caller's number."""
        return cls(
            id=found.id,
            call_id=found.call_id,
            caller=found.caller,
            caller_national=None if found.caller is None else national(found.caller),
            clients=[ClientBrief.of(each) for each in at_number.get(found.caller or "", ())],
            did=found.did,
            owner=found.owner,
            at=found.at,
            closed_at=found.closed_at,
            closed_by=found.closed_by,
            outcome=found.outcome,
        )


class MissedCalls(View):
    """Missed calls that wait, the newest first."""

    items: list[MissedCall]

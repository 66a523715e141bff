"""What the memory knows of who calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kommutator.crm import clients, interactions, interests, lookups
from kommutator.crm.pool import Database
from kommutator.desk.clients.brief import ClientBrief
from kommutator.desk.clients.forms import Client
from kommutator.desk.interactions.forms import Interaction
from kommutator.desk.interests.forms import Interest

MATCHES: Final = 5
_INTERESTS: Final = 10
_INTERACTIONS: Final = 5


@dataclass(frozen=True, slots=True)
class Known:
    """Of one number."""

    matches: tuple[Client, ...] = ()
    owner: str | None = None
    interests: tuple[Interest, ...] = ()
    interactions: tuple[Interaction, ...] = ()


NOBODY: Final = Known()


async def known(database: Database, number: str) -> Known:
    """What is known of a number (E.164). Two queries, and two more for each client at it. Raises `DatabaseUnreachable`."""
    async with database.transaction() as tx:
        found = await clients.by_number(tx, number, limit=MATCHES)
        if not found:
            return NOBODY
        owner = await lookups.owner(tx, number)
        wants: list[Interest] = []
        contacts: list[Interaction] = []
        for each in found:
            brief = ClientBrief.of(_brief(each))
            for want in await interests.of_client(tx, each.id, only_open=True, limit=_INTERESTS):
                wants.append(Interest.of(want).model_copy(update={"client": brief}))
            latest = await interactions.of_client(tx, each.id, limit=_INTERACTIONS)
            contacts += [Interaction.model_validate(contact) for contact in latest]
    wants.sort(key=lambda want: -want.id)
    contacts.sort(key=lambda contact: contact.at, reverse=True)
    return Known(tuple(Client.of(each) for each in found), owner, tuple(wants), tuple(contacts[: 2 * _INTERACTIONS]))


def _brief(client: clients.Client) -> clients.Brief:
    number = client.numbers[0] if client.numbers else None
    return clients.Brief(client.id, client.name, client.organisation, number, client.owner)

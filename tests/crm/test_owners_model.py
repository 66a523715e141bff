"""Whose client a number is, against a slow model: whatever was created, changed, merged and talked to before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kommutator.crm import clients, interactions, lookups, people
from kommutator.crm.clients import Draft, Kind
from kommutator.crm.pool import Database, DatabaseSettings
from kommutator.errors import Refused
from tests.crm.companies import COMPANY

BEGIN = datetime(2026, 11, 18, 9, tzinfo=UTC)
NUMBERS = [f"+7916123000{digit}" for digit in range(4)]
EVERYBODY = ("anna", "boris", "boris2")


@dataclass(frozen=True)
class Create:
    kind: Kind
    numbers: tuple[str, ...]
    owner: str | None


@dataclass(frozen=True)
class Change:
    place: int
    kind: Kind
    numbers: tuple[str, ...]
    owner: str | None


@dataclass(frozen=True)
class Merge:
    kept: int
    merged: int


@dataclass(frozen=True)
class Talk:
    place: int
    minutes: int


@dataclass(frozen=True)
class Staff:
    here: frozenset[str]


Step = Create | Change | Merge | Talk | Staff


@dataclass
class Known:
    """A client as the model has it."""

    id: int
    kind: Kind
    numbers: tuple[str, ...]
    owner: str | None
    contact: int | None = None
    merged: bool = False


class Model:
    """The stated rules, word by word."""

    def __init__(self) -> None:
        self.clients: list[Known] = []
        self.staff: frozenset[str] = frozenset(EVERYBODY)

    def at(self, number: str) -> list[Known]:
        """The clients at a number, the one in contact last first."""
        there = [client for client in self.clients if not client.merged and number in client.numbers]
        return sorted(there, key=lambda c: (c.contact is None, -(c.contact or 0), c.id))

    def owner(self, number: str) -> str | None:
        """Of those whose owner still works here: the last contact, then the person, then the one known longest."""
        count = [client for client in self.at(number) if client.owner in self.staff]
        talked = [client for client in count if client.contact is not None]
        if talked:
            last = max(client.contact or 0 for client in talked)
            count = [client for client in talked if client.contact == last]
        persons = [client for client in count if client.kind == "person"]
        return min(persons or count, key=lambda client: client.id).owner if count else None

    def merge(self, kept: Known, merged: Known) -> None:
        """The first gets what it lacks."""
        kept.numbers = tuple(dict.fromkeys([*kept.numbers, *merged.numbers]))
        kept.owner = kept.owner or merged.owner
        contacts = [contact for contact in (kept.contact, merged.contact) if contact is not None]
        kept.contact = max(contacts, default=None)
        merged.merged, merged.numbers, merged.owner = True, (), None


places = st.integers(0, 5)
kinds: st.SearchStrategy[Literal["person", "company"]] = st.sampled_from(["person", "company"])
numbers = st.lists(st.sampled_from(NUMBERS), max_size=3, unique=True).map(tuple)
owners = st.sampled_from([None, *EVERYBODY])
steps = st.lists(
    st.one_of(
        st.builds(Create, kinds, numbers, owners),
        st.builds(Change, places, kinds, numbers, owners),
        st.builds(Merge, places, places),
        st.builds(Talk, places, st.integers(1, 4)),
        st.builds(Staff, st.frozensets(st.sampled_from(EVERYBODY))),
    ),
    max_size=14,
)
TWO = [Create("company", (NUMBERS[0],), "anna"), Create("person", (NUMBERS[0],), "boris")]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
@example([*TWO, Talk(0, 1)])
@example([*TWO, Change(1, "company", (NUMBERS[0],), "boris")])
@example([*TWO, Merge(0, 1), Talk(0, 1), Merge(0, 1)])
def test_lookups_are_those_of_the_model_and_every_change_is_told(dsn_of_company: str, played: Sequence[Step]) -> None:
    asyncio.run(_play(dsn_of_company, played))


async def _play(dsn: str, played: Sequence[Step]) -> None:
    model = Model()
    async with Database.opened(DatabaseSettings(dsn, connections=1)) as db:
        async with db.transaction() as tx:
            await tx.connection.execute("truncate clients, client_words, number_changes cascade")
            await people.project(tx, COMPANY)
        for step in played:
            before = {number: model.owner(number) for number in NUMBERS}
            await _take(db, model, step)
            async with db.transaction() as tx:
                told = await lookups.take_changes(tx)
                assert {number: await lookups.owner(tx, number) for number in NUMBERS} == {
                    number: model.owner(number) for number in NUMBERS
                }
                for number in NUMBERS:
                    here = await clients.by_number(tx, number)
                    assert [client.id for client in here] == [client.id for client in model.at(number)]
            changed = {number for number in NUMBERS if model.owner(number) != before[number]}
            assert changed <= set(told)


async def _take(db: Database, model: Model, step: Step) -> None:
    def at(place: int) -> Known | None:
        return model.clients[place] if place < len(model.clients) else None

    async with db.transaction() as tx:
        match step:
            case Create():
                made = await clients.create(tx, Draft(step.kind, numbers=step.numbers, owner=step.owner), BEGIN)
                model.clients.append(Known(made.id, step.kind, step.numbers, step.owner))
            case Change() if (known := at(step.place)) is not None and not known.merged:
                now = await clients.get(tx, known.id)
                draft = replace(now.draft, kind=step.kind, numbers=step.numbers, owner=step.owner)
                await clients.change(tx, known.id, draft, now.revision, BEGIN)
                known.kind, known.numbers, known.owner = step.kind, step.numbers, step.owner
            case Merge() if (kept := at(step.kept)) is not None and (merged := at(step.merged)) is not None:
                try:
                    await clients.merge(tx, kept.id, merged.id, BEGIN)
                except Refused:
                    assert kept is merged or kept.merged or merged.merged
                else:
                    model.merge(kept, merged)
            case Talk() if (known := at(step.place)) is not None and not known.merged:
                await interactions.add(tx, known.id, "call", BEGIN + timedelta(minutes=step.minutes))
                known.contact = max(known.contact or 0, step.minutes)
            case Staff():
                staff: dict[str, Any] = {id: COMPANY["employees"][id] for id in sorted(step.here)}
                await people.project(tx, {**COMPANY, "employees": staff})
                model.staff = step.here

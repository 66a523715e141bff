"""Many changes at once reach routers in batches: those that listen, and those that slept."""

from __future__ import annotations

import time

import pytest

from kommutator.crm.pool import Tx
from kommutator.exchange.messages import CHANGED_SUBJECT, CHANGES, FactsChanged, decode
from kommutator.exchange.nats.client import Connection
from tests.facts.conftest import Route
from tests.facts.sides import DeskSide, RouterSide, until

pytestmark = [pytest.mark.trio, pytest.mark.services]
MANY = 50_000


def number(place: int) -> str:
    return f"+7916{place:07}"


async def import_many(tx: Tx, owner: str, first: int = 0) -> None:
    """What an import of so many new clients leaves behind."""
    await tx.connection.execute(
        """with made as (insert into clients (company_id, kind, name, owner, created_at, updated_at)
               select 1, 'person', 'n' || n, $1, now(), now() from generate_series($2::int, $3::int) as n returning id, name),
           numbered as (insert into client_numbers (company_id, number, client_id, position)
               select 1, '+7916' || lpad(substr(name, 2), 7, '0'), id, 0 from made returning number)
           insert into number_changes (company_id, number) select 1, number from numbered""",
        owner, first, first + MANY - 1,
    )  # fmt: skip
    await tx.tell("number_changes")


async def knows_all(router: RouterSide, owner: str) -> None:
    for place in range(0, MANY, 97):
        await until(lambda place=place: router.owner(number(place)) == owner)
    await until(lambda: router.tables.behind == 0)
    assert router.owner(number(MANY)) is None


async def told(connection: Connection) -> list[FactsChanged]:
    """All that is in the stream of changes."""
    _, last = await connection.last_sequence(CHANGES)
    found: list[FactsChanged] = []
    async for each in connection.follow(CHANGES, "kt.changes.>", 0):
        if each.subject == CHANGED_SUBJECT:
            found.append(decode(each.payload, FactsChanged))
        if each.sequence >= last:
            break
    return found


async def test_an_import_of_fifty_thousand_arrives_in_a_few_messages(desk: DeskSide, route: Route) -> None:
    router = route()
    async with router.running():
        await router.current()
        began = time.monotonic()
        await desk.tx(lambda tx: import_many(tx, "anna"))
        await knows_all(router, "anna")
        assert time.monotonic() - began < 60
        messages = await desk.do(lambda: told(desk.exchange.connection))
        assert sum(len(each.owners) for each in messages) == MANY
        assert len([each for each in messages if each.owners]) <= MANY // 5_000 + 1
        assert [each.sequence for each in messages if each.owners] == list(range(1, MANY // 5_000 + 1))
        assert desk.answered == 0


async def test_a_router_that_slept_through_many_changes_catches_up(desk: DeskSide, route: Route) -> None:
    router = route()
    async with router.running():
        await router.current()
    await desk.tx(lambda tx: import_many(tx, "boris"))

    async def all_told() -> bool:
        left: int = await desk.tx(lambda tx: tx.value("select count(*) from number_changes where company_id = $1"))
        return left == 0

    await until(all_told)
    again = route()
    async with again.running():
        await again.current()
        await knows_all(again, "boris")

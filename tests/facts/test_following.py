"""What a router knows by itself is what the database says, whatever was changed, and whoever was away meanwhile."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import trio

from kommutator.crm import clients, interactions, people
from kommutator.crm.clients import Draft
from kommutator.crm.pool import Tx
from kommutator.errors import Refused
from kommutator.exchange.messages import CALLED_SUBJECT, CHANGED_SUBJECT
from tests.crm.companies import COMPANY
from tests.exchange.conftest import Nats
from tests.facts.conftest import Route
from tests.facts.sides import ASKS, EVER, WEEK, DeskSide, RouterSide, agrees, now, until

pytestmark = [pytest.mark.trio, pytest.mark.services]
NUMBERS = [f"+7916123{digit:04}" for digit in range(12)]
STAFF = ("anna", "boris", "boris2")
DAY_MS = 24 * 3600 * 1000


async def edit(tx: Tx, chance: random.Random) -> None:
    """Some change that a desk makes."""
    known = [
        row["id"] for row in await tx.fetch("select id from clients where company_id = $1 and merged_into is null")
    ]
    numbers = tuple(chance.sample(NUMBERS, chance.randint(0, 3)))
    owner, kind = chance.choice([None, *STAFF]), chance.choice(["person", "company"])
    match chance.randrange(8) if known else 0:
        case 0 | 1:
            await clients.create(tx, Draft(kind, "Клиент", numbers=numbers, owner=owner), now())  # type: ignore[arg-type]
        case 2 | 3 | 4:
            one = await clients.get(tx, chance.choice(known))
            drafted = replace(one.draft, kind=kind, numbers=numbers, owner=owner)  # type: ignore[arg-type]
            await clients.change(tx, one.id, drafted, one.revision, now())
        case 5:
            await interactions.add(tx, chance.choice(known), "call", now())
        case 6:
            try:
                await clients.merge(tx, chance.choice(known), chance.choice(known), now())
            except Refused:
                return
        case _:
            staff = chance.sample(STAFF, chance.randint(1, 3))
            await people.project(tx, {**COMPANY, "employees": {id: COMPANY["employees"][id] for id in staff}})


async def edits(desk: DeskSide, chance: random.Random, many: int) -> None:
    for _ in range(many):
        await desk.tx(lambda tx: edit(tx, chance))


@asynccontextmanager
async def followed(desk: DeskSide, route: Route, chance: random.Random, **how: Any) -> AsyncIterator[RouterSide]:
    """A router that has followed the desk through ten edits."""
    await edits(desk, chance, 10)
    router = route(**how)
    async with router.running():
        await router.current()
        yield router


async def count_calls(tx: Tx, number: str, ago: timedelta) -> None:
    """As the ledger writes of a call that has ended."""
    await tx.run(
        """insert into callers (company_id, number, first_call_at, last_call_at, calls) values ($1, $2, $3, $3, 1)
           on conflict (company_id, number) do update set last_call_at = greatest(callers.last_call_at, excluded.last_call_at)""",
        number, now() - ago,
    )  # fmt: skip
    await tx.run("insert into caller_changes (company_id, number) values ($1, $2)", number)


@pytest.mark.parametrize("seed", range(4))
async def test_after_any_edits_the_engine_says_what_the_database_says_and_nobody_is_asked(
    desk: DeskSide, route: Route, seed: int
) -> None:
    chance = random.Random(seed)
    await edits(desk, chance, chance.randint(0, 15))
    router = route()
    async with router.running():
        await router.current()
        assert await agrees(desk, router, NUMBERS)
        for round_ in range(3):
            await edits(desk, chance, 12)
            if round_ == 1:
                await desk.renew()  # while changes are on their way
            await until(lambda: agrees(desk, router, NUMBERS))
        assert desk.answered == 0


async def test_callers_are_known_to_the_day_of_their_last_call(desk: DeskSide, route: Route) -> None:
    old, lately, new = NUMBERS[:3]
    await desk.tx(lambda tx: count_calls(tx, old, timedelta(days=7, minutes=1)))
    await desk.tx(lambda tx: count_calls(tx, lately, timedelta(days=6, hours=23)))
    await desk.tx(lambda tx: count_calls(tx, "101", timedelta(days=1)))
    router = route()
    async with router.running():
        await router.current()
        assert [router.called(number, WEEK) for number in (old, lately, new, "101")] == [
            "first",
            "called",
            "first",
            "called",
        ]
        assert [router.called(number, EVER) for number in (old, lately, new)] == ["called", "called", "first"]
        await desk.tx(lambda tx: count_calls(tx, new, timedelta(minutes=1)))
        await until(lambda: router.called(new) == "called")
        router.call(old)
        assert router.called(old, WEEK) == "called"
        assert desk.answered == 0


async def test_a_router_that_begins_with_desk_and_exchange_away_knows_what_it_knew(
    desk: DeskSide, route: Route, nats: Nats
) -> None:
    chance = random.Random(7)
    await edits(desk, chance, 20)
    router = route()
    async with router.running():
        await router.current()
        await edits(desk, chance, 10)
        await until(lambda: agrees(desk, router, NUMBERS))
        knew = {number: router.owner(number) for number in NUMBERS}
        router.call("89161230777")
        await until(lambda: not router.tables._lines)
    desk.stop()
    await trio.to_thread.run_sync(nats.kill)
    again = route()
    async with again.running():
        await until(lambda: again.tables.in_use)
        assert {number: again.owner(number) for number in NUMBERS} == knew
        assert again.called("+79161230777") == "called", "its own call, of which the database never heard"
        assert again.called("+79161230778") == "first"


async def test_a_router_that_slept_asks_until_it_knows_what_has_changed(desk: DeskSide, route: Route) -> None:
    chance = random.Random(8)
    async with followed(desk, route, chance):
        pass
    await edits(desk, chance, 30)
    again = route()
    async with again.running():

        async def right() -> bool:
            wrong = [n for n in NUMBERS if again.owner(n) not in (ASKS, await desk.tx(partial(owner, number=n)))]
            assert not wrong, "what it does not know yet, it asks"
            return again.tables.state == "current"

        await until(right)
        assert await agrees(desk, again, NUMBERS)


async def owner(tx: Tx, number: str) -> str | None:
    from kommutator.crm import lookups

    return await lookups.owner(tx, number)


async def test_when_the_exchange_has_lost_everything_the_router_gets_new_tables(
    desk: DeskSide, route: Route, nats: Nats
) -> None:
    chance = random.Random(9)
    async with followed(desk, route, chance) as router:
        before = router.shelf.name
        await trio.to_thread.run_sync(nats.kill)
        await edits(desk, chance, 10)
        await trio.to_thread.run_sync(wipe, nats)
        await trio.to_thread.run_sync(nats.start)
        await until(lambda: router.shelf.name != before and router.tables.state == "current")
        await until(lambda: agrees(desk, router, NUMBERS))


def wipe(nats: Nats) -> None:
    import shutil

    shutil.rmtree(nats._folder / "store")


async def test_a_gap_between_changes_is_seen_and_mended(desk: DeskSide, route: Route) -> None:
    chance = random.Random(10)
    async with followed(desk, route, chance) as router:
        before = router.shelf.name

        async def skip(tx: Tx) -> None:  # as if a message had been lost
            await tx.run("update fact_state set sequence = sequence + 1 where company_id = $1")

        await desk.tx(skip)
        await edits(desk, chance, 5)
        await until(lambda: router.shelf.name != before)
        await until(lambda: agrees(desk, router, NUMBERS))


async def test_a_database_put_back_to_an_earlier_moment_is_noticed(desk: DeskSide, route: Route) -> None:
    async with followed(desk, route, random.Random(11)) as router:

        async def put_back(tx: Tx) -> None:
            await tx.run("delete from client_numbers where company_id = $1")
            await tx.run("update fact_state set sequence = 1 where company_id = $1")

        await desk.tx(put_back)
        await desk.do(lambda: reconnect(desk))
        await until(lambda: agrees(desk, router, NUMBERS))
        assert router.owner(NUMBERS[0]) is None


async def reconnect(desk: DeskSide) -> None:
    desk.exchange.connection.end()


async def test_routers_know_each_others_callers_and_call_nobody_new_while_cut_off(
    desk: DeskSide, route: Route, nats: Nats
) -> None:
    await desk.do(desk.exchange.ready)
    west, east = route("west", alone=False), route("east", alone=False)
    async with west.running(), east.running():
        await west.current()
        await east.current()
        west.call("89161230555")
        await until(lambda: east.called("+79161230555") == "called")
        assert east.called("+79161230556") == "first"
        await trio.to_thread.run_sync(nats.kill)
        await until(lambda: east.called("+79161230556") == ASKS)
        assert (east.owner(NUMBERS[0]), east.called("+79161230555")) == (None, "called")
        west.call("89161230556")
        await trio.to_thread.run_sync(nats.start)
        await until(lambda: east.called("+79161230556") == "called")
        await until(lambda: east.called("+79161230557") == "first")


async def test_beyond_its_bound_a_router_asks(desk: DeskSide, route: Route) -> None:
    from kommutator.exchange.tables_shelf import Bounds

    chance = random.Random(12)
    await edits(desk, chance, 25)
    await desk.renew()
    await until(lambda: desk.snapshots.made is not None and desk.snapshots.made.owners > 1)
    router, without = route("r1", bounds=Bounds(1, 10**6)), route("r2", bounds=Bounds(0, 0))
    async with router.running(), without.running():
        await router.current()
        await until(lambda: without.bridge.connected)
        assert router.owner(NUMBERS[0]) == without.owner(NUMBERS[0]) == ASKS
        assert (router.called(NUMBERS[0]), without.called(NUMBERS[0])) == ("first", ASKS)
        assert not list((router.shelf._folder.parent / "r2").glob("*"))
        for each in (router, without):
            answer = await each.lookups.owner(NUMBERS[0])
            each.engine.owner_is(NUMBERS[0], answer.get("employee"))
            assert each.owner(NUMBERS[0]) != ASKS
        await desk.tx(lambda tx: clients.create(tx, Draft(numbers=(NUMBERS[0],), owner="anna"), now()))
        await until(lambda: router.owner(NUMBERS[0]) == without.owner(NUMBERS[0]) == ASKS)


async def test_what_cannot_be_read_may_have_been_anything(desk: DeskSide, route: Route) -> None:
    async with followed(desk, route, random.Random(13), alone=False) as router:
        router.call(NUMBERS[0])
        append = desk.exchange.connection.append
        await desk.do(lambda: append(CALLED_SUBJECT, b"no callers"))
        await until(lambda: router.facts.missed)
        assert router.called(NUMBERS[0]) == "called", "who has called has called, whatever was missed"
        await until(lambda: router.called("+79161230778") == "first")  # by tables that have all calls until then
        await desk.tx(lambda tx: clients.create(tx, Draft(numbers=(NUMBERS[1],), owner="anna"), now()))
        await desk.do(lambda: append(CHANGED_SUBJECT, b"no changes"))
        await desk.tx(lambda tx: clients.create(tx, Draft(numbers=(NUMBERS[2],), owner="boris"), now()))
        await until(lambda: agrees(desk, router, NUMBERS))


async def test_kept_tables_that_were_damaged_are_fetched_again(desk: DeskSide, route: Route) -> None:
    async with followed(desk, route, random.Random(14)) as router:
        pass
    (kept,) = router.shelf._folder.glob("*.tables")
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 0xFF
    kept.write_bytes(content)
    again = route()
    async with again.running():
        await again.current()
        assert await agrees(desk, again, NUMBERS)

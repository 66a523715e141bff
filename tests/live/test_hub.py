"""The hub's bounds: pages that read slowly, entries that were missed, a database that is away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
import pytest

from kommutator.crm import accounts, calls_live
from kommutator.crm.ledger import Ledger
from kommutator.crm.pool import Database
from kommutator.desk.live import hub as hubs
from kommutator.desk.live.tabs import WAITING, Tab
from kommutator.exchange.embedded import EmbeddedNats
from kommutator.exchange.messages import CallBatch, CallEntry, calls_subject, encode
from kommutator.exchange.nats.ledger_writer import LedgerWriter
from kommutator.routing.doings import CalledBack
from kommutator.routing.entries import Began, Ended, Turned
from kommutator.routing.turn import End, Endpoint, Ring, Turn
from tests.desk_services.conftest import until
from tests.live.test_presence import Desk, anna, token

__all__ = ["anna"]

pytestmark = [pytest.mark.anyio, pytest.mark.services]


class Router:
    """A router that tells of calls which ring one phone."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._told = 0

    async def tell(self, *entries: CallEntry) -> None:
        """Tell these."""
        raw = tuple(msgspec.Raw(msgspec.json.encode(each)) for each in entries)
        batch = CallBatch("main", "spool", self._told + 1, raw, "main")
        self._told += len(raw)
        await self._desk.exchange.connection.append(calls_subject("main"), encode(batch))

    async def rings(self, call_id: str) -> None:
        """A call rings her phone."""
        now_ms = round(time.time() * 1000)
        ring = Turn("", 0, Ring((Endpoint("PJSIP/101", "anna"),), 30))
        await self.tell(Began(call_id, "+74951112201", None, now_ms), Turned(call_id, now_ms, None, ring))

    async def ends(self, call_id: str) -> None:
        """Its caller hangs up."""
        now_ms = round(time.time() * 1000)
        end = Turn("", 1, End("abandoned", "caller"))
        event = {"type": "caller_hung_up"}
        await self.tell(Turned(call_id, now_ms, event, end), Ended(call_id, now_ms, "abandoned", "caller"))


def events(chunk: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The events of a piece of a stream."""
    found = []
    for event in chunk.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


async def next_events(stream: AsyncIterator[bytes]) -> list[tuple[str, dict[str, Any]]]:
    """The next piece that has any."""
    while not (found := events(await anext(stream))):
        pass
    return found


async def test_a_page_that_reads_slowly_is_told_everything_anew(
    db: Database, nats: EmbeddedNats, anna: accounts.User
) -> None:
    desk = Desk(db, nats)
    async with desk.running():
        router, stream = Router(desk), desk.hub.stream("page", anna, await token(db))
        ((name, _),) = await next_events(stream)
        assert name == "snapshot"
        for number in range(WAITING):
            await router.rings(f"call-{number}")
            await router.ends(f"call-{number}")
        await router.rings("last")
        await until(lambda: desk.hub.board.call("last") is not None)
        found = await next_events(stream)
        assert [name for name, _ in found][:1] == ["snapshot"]
        assert [card["call_id"] for card in found[0][1]["calls"]] == ["last"]
        await router.ends("last")
        while not any(name == "call_gone" for name, _ in await next_events(stream)):
            pass
        await stream.aclose()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("anna")
async def test_a_desk_that_begins_late_and_one_that_missed_entries_know_the_calls_that_go_on(
    db: Database, nats: EmbeddedNats
) -> None:
    one = Desk(db, nats)
    LedgerWriter(one.exchange, Ledger(db))
    async with one.running():
        router = Router(one)
        for call_id in ("written", "ended"):
            await router.rings(call_id)

        async def written() -> bool:
            async with db.transaction() as tx:
                return bool(await tx.value("select count(*) = 2 from calls where company_id = $1"))

        await until(written)
        late = Desk(db, nats)
        async with late.running():
            await until(late.hub.board.loaded.is_set)
            assert {card.call_id for card in late.hub.board.cards("anna")} == {"written", "ended"}
        # While it was away a call ended and another began; the stream has forgotten what it told.
        await router.ends("ended")
        await router.rings("new")

        async def written_too() -> bool:
            async with db.transaction() as tx:
                query = "select count(ended_at) = 1 and count(*) = 3 from calls where company_id = $1"
                return bool(await tx.value(query))

        await until(written_too)
        await one.exchange.connection.jetstream.purge_stream("CALLS")
        async with late.running():
            await until(lambda: {card.call_id for card in late.hub.board.cards("anna")} == {"written", "new"})


@pytest.mark.usefixtures("anna")
async def test_a_call_back_whose_router_is_dead_is_over_at_every_desk_once_no_phone_can_ring_any_more(
    db: Database, nats: EmbeddedNats
) -> None:
    one, other = Desk(db, nats), Desk(db, nats)
    async with one.running(), other.running():
        now_ms = round(time.time() * 1000)

        def back(call_id: str, state: Literal["ringing", "talking"], at_ms: int) -> CalledBack:
            return CalledBack(call_id, at_ms, "anna", "+79161234567", state)

        long_ago_ms = now_ms - 120_000
        talking = [back("back-talks", state, long_ago_ms) for state in ("ringing", "talking")]
        await Router(one).tell(back("back-rings", "ringing", long_ago_ms), *talking)

        def all_show(wanted: dict[str, str]) -> bool:
            boards = (one.hub.board, other.hub.board)
            return all({card.call_id: card.state for card in board.cards("anna")} == wanted for board in boards)

        await until(lambda: all_show({"back-rings": "over", "back-talks": "talking"}))
        card = other.hub.board.card("back-rings", "anna")
        assert card is not None and card.back is not None and card.back.reason == "no_router"
        talks = one.hub.board.call("back-talks")
        assert talks is not None and await one.hub.board.give_up(talks)
        await until(lambda: all_show({"back-rings": "over", "back-talks": "over"}))
        async with db.transaction() as tx:
            kept = await calls_live.one(tx, "back-talks")
        assert kept is not None and kept.entries, "what a desk wrote down is in the ledger"


async def test_no_more_pages_than_the_bound_and_of_one_user_the_newest(
    db: Database, nats: EmbeddedNats, anna: accounts.User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hubs, "MOST_OF_USER", 2)
    monkeypatch.setattr(hubs, "MOST_TABS", 2)
    desk, session = Desk(db, nats), await token(db)
    async with desk.running():
        streams = [desk.hub.stream(f"page-{number}", anna, session) for number in range(3)]
        for stream in streams:
            await next_events(stream)
        assert desk.hub.full
        with pytest.raises(StopAsyncIteration):
            await anext(streams[0])
        for stream in streams[1:]:
            await stream.aclose()  # type: ignore[attr-defined]
        assert not desk.hub.full
        await until(lambda: desk.hub.tabs == 0)


async def test_what_comes_while_a_page_begins_is_counted_and_left_to_the_snapshot(anna: accounts.User) -> None:
    tab = Tab("page", anna, "token")
    tab.put(b"early")
    assert (tab.stale, tab.left_out) == (True, 1)
    tab.begin()
    tab.put(b"late")
    assert await tab.next(1.0) == b"late"
    waiting = asyncio.create_task(tab.next(10.0))
    await asyncio.sleep(0)
    tab.close()
    assert await waiting is None

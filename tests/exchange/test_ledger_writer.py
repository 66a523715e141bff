"""The ledger writer where things go wrong: a database that is away, entries that cannot be written, a stream that is full."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from kommutator.errors import BadEntry
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.journal import ToldJournal
from kommutator.exchange.messages import CALLS, REFUSED, Began, CallBatch, Consulted, ToldEntry, decode, encode
from kommutator.exchange.nats.calls import CallFeed
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.ledger_writer import LedgerWriter, has_written, purge_written
from kommutator.exchange.outgoing import OutgoingSpool
from kommutator.exchange.settings import SpoolSettings
from kommutator.exchange.shipper import Shipper
from kommutator.routing.ledger import MemoryJournal

from .calls import tell
from .conftest import Desk, Nats, until
from .ledger import SqliteLedger
from .test_calls_told import RouterParts, in_order

pytestmark = pytest.mark.trio


class Written:
    """A ledger in memory that fails as it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.failures = 0
        self.refused: set[str] = set()
        self._known: set[tuple[str, int]] = set()
        """What comes again, because its acknowledgement came too late, is written once."""

    async def write(self, entries: Sequence[ToldEntry]) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the database is away")
        if any(told.entry.call in self.refused for told in entries):
            raise BadEntry("no such call can be")
        new = [told for told in entries if (told.router, told.number) not in self._known]
        self._known |= {(told.router, told.number) for told in new}
        self.calls.extend((told.entry.call, str(told.entry.__struct_config__.tag)) for told in new)


async def test_a_database_that_is_away_is_tried_again_and_nothing_is_lost(
    nats: Nats, desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = Written()
    written.failures = 4
    LedgerWriter(desk.exchange, written)
    desk.start()
    parts = RouterParts(nats, tmp_path / "spool")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(parts.run)
        for number in range(5):
            tell(parts.journal, f"call-{number}", number, 2)
        await until(lambda: len(written.calls) == 20)
        nursery.cancel_scope.cancel()
    assert written.calls == [(f"call-{n}", kind) for n in range(5) for kind in ("began", "turned", "turned", "ended")]
    assert "the ledger cannot be written" in capsys.readouterr().out


async def test_entries_that_cannot_be_written_are_put_aside_and_hold_up_no_others(
    nats: Nats, desk: Desk, tmp_path: Path
) -> None:
    written = Written()
    written.refused.add("call-1")
    LedgerWriter(desk.exchange, written)
    desk.start()
    parts = RouterParts(nats, tmp_path / "spool")
    parts.spool.append(b'{"kind": "of another time"}')
    async with trio.open_nursery() as nursery:
        nursery.start_soon(parts.run)
        for number in range(3):
            tell(parts.journal, f"call-{number}", number, 2)
        await until(lambda: len(written.calls) == 8)
        nursery.cancel_scope.cancel()
    assert {call for call, _ in written.calls} == {"call-0", "call-2"}

    async def aside(exchange: Exchange) -> int:
        first, last = await exchange.connection.last_sequence(REFUSED)
        return last - first + 1

    assert await trio.to_thread.run_sync(desk.do, aside) == 1 + 4


async def test_a_full_stream_takes_no_more_and_loses_nothing_and_empties_when_the_ledger_is_written(
    nats: Nats, tmp_path: Path
) -> None:
    settings = replace(nats.settings, stream_bytes=150_000)
    spool = OutgoingSpool(tmp_path / "spool", SpoolSettings(batch_bytes=20_000))
    journal, bridge = ToldJournal(MemoryJournal(), spool), Bridge(settings, "r1")
    ledger = SqliteLedger(tmp_path / "ledger.db")
    desk = Desk(settings)
    async with trio.open_nursery() as nursery:
        for part in (bridge.run, spool.run, Shipper(bridge, spool).run):
            nursery.start_soon(part)
        told = 0
        for number in range(300):
            told += tell(journal, f"call-{number}", number)
            await trio.sleep(0.002)
        await trio.sleep(1.0)
        assert 0 < spool.acknowledged < told
        LedgerWriter(desk.exchange, ledger)
        await trio.to_thread.run_sync(desk.start)
        await until(lambda: spool.waiting_entries == 0 and ledger.count() == told)
        nursery.cancel_scope.cancel()
    desk.stop()
    in_order(ledger.entries(), 300, 4)
    ledger.close()


async def test_a_purge_leaves_the_last_message_of_each_router_and_all_that_is_not_written(
    nats: Nats, desk: Desk
) -> None:
    LedgerWriter(desk.exchange, Written())
    desk.start()

    async def fill(exchange: Exchange) -> None:
        for number in range(10):
            for router in ("r1", "r2"):
                batch = CallBatch(router, "spool", number + 1, ())
                await exchange.connection.append(f"kt.calls.{router}", encode(batch))

    async def left(exchange: Exchange) -> list[tuple[str, int]]:
        connection = exchange.connection
        await purge_written(connection.jetstream, keep=4)
        found = []
        for router in ("r1", "r2"):
            stored = await connection.last(CALLS, f"kt.calls.{router}")
            assert stored is not None
            found.append((router, decode(stored.payload, CallBatch).first))
        state = (await connection.jetstream.stream_info(CALLS)).state
        return [*found, ("messages", state.messages)]

    await trio.to_thread.run_sync(desk.do, fill)
    with trio.fail_after(20):
        while await trio.to_thread.run_sync(desk.do, left) != [("r1", 10), ("r2", 10), ("messages", 4)]:
            await trio.sleep(0.1)
    assert nats.alive()


async def test_desks_hear_of_calls_as_they_happen_without_gaps_over_connections(
    nats: Nats, desk: Desk, tmp_path: Path
) -> None:
    heard: list[ToldEntry] = []
    gaps: list[None] = []
    CallFeed(desk.exchange, heard.append, lambda: gaps.append(None))
    desk.start()
    await trio.sleep(0.3)
    parts = RouterParts(nats, tmp_path / "spool")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(parts.run)
        tell(parts.journal, "call-1", 1)
        await until(lambda: len(heard) == 6)
        await trio.to_thread.run_sync(nats.kill)
        tell(parts.journal, "call-2", 2)
        await trio.to_thread.run_sync(nats.start)
        await until(lambda: len(heard) == 12)
        asked = Consulted("call-1", 3, "anna", "boris", "PJSIP/102", "agreed", "manager")
        parts.spool.append(b'{"kind":"of_a_newer_router","call":"call-1"}')
        parts.journal.did(asked)
        await until(lambda: len(heard) == 13)
        assert heard[12] == ToldEntry("r1", "pbx", 14, asked)
        nursery.cancel_scope.cancel()
    assert [told.number for told in heard[:12]] == list(range(1, 13))
    assert heard[0] == ToldEntry("r1", "pbx", 1, Began("call-1", "+74951112233", "+79161230099", 1))
    assert gaps == []


async def test_what_has_come_since_does_not_matter_to_whether_a_message_is_written(desk: Desk) -> None:
    ledger = Written()
    LedgerWriter(desk.exchange, ledger)
    desk.start()

    async def told(exchange: Exchange) -> int:
        await exchange.connection.append("kt.calls.r1", encode(CallBatch("r1", "spool", 1, ())))
        return (await exchange.connection.last_sequence(CALLS))[1]

    first = await trio.to_thread.run_sync(desk.do, told)

    def is_written(message: int) -> bool:
        found: bool = desk.do(lambda exchange: has_written(exchange.connection, message))
        return found

    await until(lambda: is_written(first))
    ledger.failures = 1_000_000
    second = await trio.to_thread.run_sync(desk.do, told)
    assert await trio.to_thread.run_sync(is_written, first)
    assert not await trio.to_thread.run_sync(is_written, second)

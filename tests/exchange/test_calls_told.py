"""What happened to calls: spool → stream → ledger. Nothing lost, nothing doubled by identity, each call in order."""

from pathlib import Path

import pytest
import trio

from kommutator.exchange.bridge import Bridge
from kommutator.exchange.journal import ToldJournal
from kommutator.exchange.outgoing import OutgoingSpool
from kommutator.exchange.settings import SpoolSettings
from kommutator.exchange.shipper import Shipper
from kommutator.routing.ledger import MemoryJournal

from .calls import tell
from .conftest import Child, Nats, until
from .ledger import SqliteLedger

pytestmark = pytest.mark.trio


def in_order(entries: list[tuple[str, str, int, int]], calls: int, turns: int) -> None:
    """Every call has exactly its entries, in their order."""
    by_call: dict[str, list[tuple[str, int]]] = {}
    for call, kind, sequence, _ in entries:
        by_call.setdefault(call, []).append((kind, sequence))
    assert len(by_call) == calls
    for told in by_call.values():
        assert told == [("began", 0), *(("turned", sequence) for sequence in range(turns)), ("ended", 0)]


class RouterParts:
    """What a router has of the exchange."""

    def __init__(self, nats: Nats, folder: Path, spool: SpoolSettings | None = None) -> None:
        self.spool = OutgoingSpool(folder, spool or SpoolSettings())
        self.journal = ToldJournal(MemoryJournal(), self.spool)
        self.bridge = Bridge(nats.settings, "r1")

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.bridge.run)
            nursery.start_soon(self.spool.run)
            nursery.start_soon(Shipper(self.bridge, self.spool, "pbx").run)


async def test_calls_reach_the_ledger_in_order(nats: Nats, tmp_path: Path) -> None:
    desk = Child("tests.exchange.ledger", str(tmp_path / "nats"), str(tmp_path / "ledger.db"))
    ledger = SqliteLedger(tmp_path / "ledger.db")
    parts = RouterParts(nats, tmp_path / "spool")
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(parts.run)
            told = sum(tell(parts.journal, f"call-{n}", n) for n in range(50))
            await until(lambda: ledger.count() == told)
            assert parts.spool.waiting_entries == 0
            nursery.cancel_scope.cancel()
        in_order(ledger.entries(), 50, 4)
        assert all(came == 1 for *_, came in ledger.entries())
    finally:
        desk.end()
        ledger.close()


async def test_nothing_is_lost_or_doubled_while_the_server_and_the_desk_are_killed(nats: Nats, tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    desk = Child("tests.exchange.ledger", str(tmp_path / "nats"), str(tmp_path / "ledger.db"))
    parts = RouterParts(nats, tmp_path / "spool", SpoolSettings(segment_bytes=20_000, batch_entries=50))
    calls = 0
    told = 0
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(parts.run)

            async def keep_telling() -> None:
                nonlocal calls, told
                while calls < 400:
                    told += tell(parts.journal, f"call-{calls}", calls)
                    calls += 1
                    await trio.sleep(0.01)

            nursery.start_soon(keep_telling)
            for victim in range(3):
                seen = ledger.count()
                await until(lambda seen=seen: ledger.count() > seen or calls == 400)  # type: ignore[misc]
                await trio.to_thread.run_sync(nats.kill)
                if victim == 1:
                    desk.end()
                    desk = Child("tests.exchange.ledger", str(tmp_path / "nats"), str(tmp_path / "ledger.db"))
                before = calls
                await until(lambda before=before: calls > before + 10 or calls == 400)  # type: ignore[misc]
                await trio.to_thread.run_sync(nats.start)
            await until(lambda: calls == 400 and ledger.count() == told)
            await until(lambda: parts.spool.waiting_entries == 0)
            nursery.cancel_scope.cancel()
        in_order(ledger.entries(), 400, 4)
    finally:
        desk.end()
        ledger.close()

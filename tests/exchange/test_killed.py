"""Router, server and desk killed -9 in turn, while calls are told: nothing lost, nothing doubled, each call in order."""

import threading
from pathlib import Path

import msgspec
import trio

from kommutator.exchange.messages import CALLS, CallBatch, decode, read_entry
from kommutator.exchange.nats.client import Exchange

from .conftest import Child, Desk, Nats, until
from .ledger import SqliteLedger
from .test_calls_told import in_order


class Router:
    """The router's process, and the calls it has said are on its disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.told = -1
        self._start()

    def _start(self) -> None:
        folder = self._folder
        self._child = Child("tests.exchange.router", str(folder / "nats"), str(folder / "router"), str(self.told + 1))
        self._reading = threading.Thread(target=self._read, args=(self._child,))
        self._reading.start()

    def _read(self, child: Child) -> None:
        assert child.process.stdout is not None
        for line in child.process.stdout:
            if line.endswith("\n") and line.strip().isdigit():
                self.told = int(line)

    def kill(self) -> None:
        """kill -9."""
        self._child.process.kill()
        self._reading.join()
        self._child.end()

    def kill_and_restart(self) -> None:
        """A call of which nothing was said may be half told: the next router tells it again, as one resumed would be."""
        self.kill()
        self._start()


def test_nothing_is_lost_or_doubled_whoever_is_killed(nats: Nats, tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")
    router = Router(tmp_path)

    def new_desk() -> Child:
        return Child("tests.exchange.ledger", str(tmp_path / "nats"), str(tmp_path / "ledger.db"))

    desks = [new_desk()]

    async def drill() -> None:
        for round_ in range(3):
            for victim in ("router", "nats", "desk", "all"):
                before = ledger.count(), router.told
                await until(lambda before=before: ledger.count() > before[0] and router.told > before[1])  # type: ignore[misc]
                if victim in ("nats", "all"):
                    nats.kill()
                if victim in ("router", "all"):
                    router.kill_and_restart()
                if victim in ("desk", "all"):
                    desks.pop().end()
                    desks.append(new_desk())
                if victim in ("nats", "all"):
                    if round_:
                        told = router.told
                        await until(lambda told=told: router.told > told + 20)  # type: ignore[misc]
                    nats.start()
        router.kill_and_restart()
        await until(lambda: router.told > 0)
        router.kill()

    try:
        trio.run(drill)
        # Whatever the last router left in its spool, the next one tells.
        last = router.told
        router.kill_and_restart()
        trio.run(until, lambda: router.told > last + 5)
        router.kill()
        told = router.told
        router.kill_and_restart()
        trio.run(until, lambda: all_of(ledger, told))
        router.kill()
        entries = [entry for entry in ledger.entries() if int(entry[0].removeprefix("call-")) <= told]
        in_order(entries, told + 1, 4)
        desk = Desk(nats.settings)
        desk.start()
        assert_stream_has_each_entry_once(desk.do(read_all))
        desk.stop()
    finally:
        router.kill()
        desks.pop().end()
        ledger.close()


def all_of(ledger: SqliteLedger, upto: int) -> bool:
    """Whether the ends of all calls up to this one are in the ledger."""
    ended = {call for call, kind, _, _ in ledger.entries() if kind == "ended"}
    return all(f"call-{number}" in ended for number in range(upto + 1))


async def read_all(exchange: Exchange) -> list[CallBatch]:
    connection = exchange.connection
    _, last = await connection.last_sequence(CALLS)
    batches: list[CallBatch] = []
    async for stored in connection.follow(CALLS, "kt.calls.r1", 0):
        batches.append(decode(stored.payload, CallBatch))
        if stored.sequence == last:
            break
    return batches


def assert_stream_has_each_entry_once(batches: list[CallBatch]) -> None:
    """The numbers of the spool are in the stream in order, without gaps and without repetition."""
    assert len({batch.spool for batch in batches}) == 1
    following = 1
    for batch in batches:
        assert batch.first == following
        for raw in batch.entries:
            assert isinstance(read_entry(raw), msgspec.Struct)
        following += len(batch.entries)

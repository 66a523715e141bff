"""The journal of calls that others perform: queries, whose steps come from outside, and decisions made at once.

Their entries are put into the spool by the compiled part (`_engine.Spool`) before an answer leaves, many by one write. What is
made of them, the ledger and what is told elsewhere, follows some milliseconds later, from a thread; after a death it is made
again from the spool, by the same entries with the same identities. A spool is let go when all of that is on disk.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Protocol

import structlog
import trio

from kommutator._engine import Spool
from kommutator.query.recovery import Recovered
from kommutator.routing.entries import Began, CallEntry, Ended, Turned, read
from kommutator.routing.ports import Clock

FORGET_S = 4 * 3600.0
"""As long as the engine's claim of a conversation."""
PUT_ASIDE_AT = 32 * 1024 * 1024
"""A spool of so many bytes is put aside."""
MOST_LIVE = 1_000_000
"""So many calls of queries go on at once, which is a gigabyte; the one that has been without steps for longest is over then."""
_GATHER_MS = 9
_LOOK_MS = 1_000


class Listener(Protocol):
    """Who is told entries, such as the outgoing spool. An entry may be told again after a death."""

    def tell(self, lines: list[bytes]) -> None:
        """Entries of calls."""
        ...

    def keep(self) -> None:
        """Have the disk keep what was told. Blocks."""
        ...


class CallsJournal(ABC):
    """The journal in a folder: `spool.jsonl` and `ledger.jsonl`. One process uses it at a time.

    Nothing raises when the disk takes nothing: lines wait in memory, an alarm is logged, and at the bound calls are answered no
    more.
    """

    def __init__(
        self, folder: Path, listener: Listener | None, put_aside_at: int, forget_s: float, most_live: int = MOST_LIVE
    ) -> None:
        """Makes what an earlier process has left undone."""
        self.troubled = False
        """Whether the disk takes nothing at this moment."""
        self._listener = listener
        self._reused = 0
        self._log = structlog.get_logger().bind(file=str(folder / "spool.jsonl"))
        self.spool = Spool(
            folder,
            tells=listener is not None,
            put_aside_at=put_aside_at,
            forget_ms=round(forget_s * 1000),
            most_live=most_live,
        )
        """The files, as the compiled part has them."""
        self._recover(Recovered(folder))

    @property
    def waiting_bytes(self) -> int:
        """What waits in memory for the disk."""
        return self.spool.size[1]

    async def run(self) -> None:
        """Keep up with the compiled part, in a thread, until cancelled."""
        stopping = threading.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.to_thread.run_sync, self._keep_up, stopping))
            try:
                await trio.sleep_forever()
            finally:
                stopping.set()
                self.spool.stop()

    def close(self) -> None:
        """Make and sync what is left. Blocks."""
        self._told(self.spool.finish())

    # --- inside

    def _keep_up(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            lines, trouble, spent = self.spool.keep_up(_LOOK_MS, _GATHER_MS)
            self._say(trouble)
            if lines:
                trio.from_thread.run_sync(self._told, lines)
            if spent:
                if self._listener is not None:
                    trio.from_thread.run_sync(self._listener.keep)
                self.spool.let_go()

    def _say(self, trouble: str | None) -> None:
        if trouble is not None and not self.troubled:
            self._log.critical("cannot be written; calls go on", alarm="spool", reason=trouble)
        elif trouble is None and self.troubled:
            self._log.warning("can be written again", alarm="spool")
        self.troubled = trouble is not None
        if (reused := self.spool.reused) > self._reused:
            self._log.warning("calls have the ids of some that ended: they are in no ledger", calls=reused)
            self._reused = reused

    def _told(self, lines: bytes) -> None:
        if self._listener is not None and lines:
            self._listener.tell(lines.splitlines())

    def _recover(self, left: Recovered) -> None:
        """Complete the ledger and tell again, from the spools of an earlier process, and let them go."""
        self._take_over(left)
        if self._listener is not None:
            self._listener.tell(left.entries)
            self._listener.keep()
        if left.ledger:
            self.spool.append_ledger(b"".join(left.ledger))
            self.spool.finish()
        if not self.waiting_bytes:
            left.let_go()
        left.close()

    @abstractmethod
    def _take_over(self, left: Recovered) -> None:
        """What becomes of the calls that an earlier process has left."""


class QueryJournal(CallsJournal):
    """That of queries: a client may send a call's steps to several routers, and may never come back."""

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        listener: Listener | None = None,
        forget_s: float = FORGET_S,
        put_aside_at: int = PUT_ASIDE_AT,
        most_live: int = MOST_LIVE,
    ) -> None:
        """A call without steps for `forget_s` is over."""
        self._clock = clock
        super().__init__(folder, listener, put_aside_at, forget_s, most_live)

    @property
    def live(self) -> int:
        """How many calls go on."""
        return self.spool.live

    def states(self) -> Iterator[str]:
        """The states of the calls that go on."""
        return iter(self.spool.states())

    def _take_over(self, left: Recovered) -> None:
        self.spool.restore(left.live(), left.over, self._clock.now_ms())


class Told:
    """Tells entries of calls to an outgoing spool, and what is made of each to others."""

    def __init__(
        self, append: Callable[[bytes], object], keep: Callable[[], None], on_entry: Callable[[CallEntry], None]
    ):
        self._append = append
        self._keep = keep
        self._on_entry = on_entry

    def tell(self, lines: list[bytes]) -> None:
        """Entries of calls."""
        for raw in lines:
            self._append(raw)
            entry = read(raw)
            if isinstance(entry, Began | Turned | Ended):
                self._on_entry(entry)

    def keep(self) -> None:
        """Have the disk keep what was told."""
        self._keep()

"""The PBX's time: what is due happens one thing after the other; in virtual time, each after the last has had all its
effects."""

from __future__ import annotations

import heapq
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

T = TypeVar("T")


def run_virtually(main: Callable[[], Awaitable[T]]) -> T:
    """Run a trio program in virtual time: whenever every task waits, time jumps to the next deadline."""
    return trio.run(main, clock=MockClock(autojump_threshold=0))


class Entry:
    """Something due. It may be dropped before it happens."""

    __slots__ = ("at_ms", "dropped", "serial", "what")

    def __init__(self, at_ms: int, serial: int, what: Callable[[], None]) -> None:
        self.at_ms = at_ms
        self.serial = serial
        self.what = what
        self.dropped = False

    def drop(self) -> None:
        """Let it not happen."""
        self.dropped = True

    def __lt__(self, other: Entry) -> bool:
        return (self.at_ms, self.serial) < (other.at_ms, other.serial)


class Agenda:
    """The PBX's time, and the `Clock` of the router that serves it.

    It is `start_ms` until it `live`s, and stands still after. It follows trio's clock: virtual under `run_virtually`,
    and real otherwise. What is due at one instant happens in the order in which it was put down. `settled` is awaited
    before anything happens: until every task waits, so that runs are equal. A PBX that serves sockets may never see such a
    moment, and only lets the others have their turn (`trio.lowlevel.checkpoint`).
    """

    def __init__(self, start_ms: int, settled: Callable[[], Awaitable[None]] = wait_all_tasks_blocked) -> None:
        self._start_ms = start_ms
        self._settled = settled
        self._began_s: float | None = None
        self._due: list[Entry] = []
        self._serial = 0
        self._changed = trio.Event()

    def now_ms(self) -> int:
        """Milliseconds of UTC since the epoch."""
        if self._began_s is None:
            return self._start_ms
        return self._start_ms + round((trio.current_time() - self._began_s) * 1000)

    def set(self, now_ms: int) -> None:
        """Before it lives: it is this time now."""
        self._start_ms = now_ms

    def at(self, at_ms: int, what: Callable[[], None]) -> Entry:
        """Let something happen at that time; at once when it is past."""
        self._serial += 1
        entry = Entry(max(at_ms, self.now_ms()), self._serial, what)
        heapq.heappush(self._due, entry)
        self._changed.set()
        return entry

    def after(self, seconds: float, what: Callable[[], None]) -> Entry:
        """Let something happen in so many seconds."""
        return self.at(self.now_ms() + round(seconds * 1000), what)

    async def live(self) -> None:
        """Let things happen, until cancelled."""
        self._began_s = began_s = trio.current_time()
        try:
            while True:
                await self._settled()
                self._changed = trio.Event()
                while self._due and self._due[0].dropped:
                    heapq.heappop(self._due)
                if self._due and self._due[0].at_ms <= self.now_ms():
                    heapq.heappop(self._due).what()
                    continue
                with trio.move_on_at(self._deadline_s(began_s)):
                    await self._changed.wait()
        finally:
            self._start_ms, self._began_s = self.now_ms(), None

    def _deadline_s(self, began_s: float) -> float:
        if not self._due:
            return math.inf
        return began_s + (self._due[0].at_ms - self._start_ms) / 1000

"""Whom the calls of a router's own process hold against its other processes: by the locks of which `kommutator-serve` tells."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import trio

from kommutator.app.figures import Figures, MeasuredEngine
from kommutator.exchange.claims import ClaimEngine
from kommutator.routing.ports import Clock, Engine

_LOOK_EVERY_S = 0.05
_LOCK = struct.Struct("hhqqi4x")
"""`struct flock` of Linux on 64 bits: kind, whence, start, length, and a process id, which is 0 here."""


class Holders:
    """Locks of a file's bytes, one byte an employee, that live as long as this process (fcntl(2), open file description
    locks)."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._held: dict[str, int] = {}

    def hold(self, employees: Iterable[str]) -> frozenset[str]:
        """Hold them, who may be held already; returns those that another process holds."""
        return frozenset(employee for employee in employees if not self._hold(employee))

    def keep_only(self, employees: Iterable[str]) -> None:
        """Let go everybody but these."""
        for employee in self._held.keys() - set(employees):
            byte = self._held.pop(employee)
            if byte not in self._held.values():
                self._set(fcntl.F_UNLCK, byte)

    def is_held_elsewhere(self, employee: str) -> bool:
        """Whether another process holds somebody."""
        try:
            found = fcntl.fcntl(self._file, fcntl.F_OFD_GETLK, _lock(fcntl.F_WRLCK, byte_of(employee)))
        except OSError:
            return True
        return bool(_LOCK.unpack(found)[0] != fcntl.F_UNLCK)

    def _hold(self, employee: str) -> bool:
        if employee in self._held:
            return True
        byte = byte_of(employee)
        if is_ours := self._set(fcntl.F_WRLCK, byte):
            self._held[employee] = byte
        return is_ours

    def _set(self, kind: int, byte: int) -> bool:
        # Who cannot be asked for is taken: nobody is rung twice, whatever fails.
        try:
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _lock(kind, byte))
        except OSError:
            return False
        return True


def _lock(kind: int, byte: int) -> bytes:
    return _LOCK.pack(kind, os.SEEK_SET, byte, 1, 0)


def byte_of(employee: str) -> int:
    """The byte of an employee: FNV-1a of 64 bits, less two, as `kommutator-serve` has it (`holders.rs`)."""
    hashed = 0xCBF2_9CE4_8422_2325
    for byte in employee.encode():
        hashed = ((hashed ^ byte) * 0x100_0000_01B3) & 0xFFFF_FFFF_FFFF_FFFF
    return hashed >> 2


class HeldEngine(MeasuredEngine):
    """The engine of a router that has other processes: whom a call promises itself is held against them, too.

    Whom its turns ring is held by `Holding.refused`, before the phones ring.
    """

    def __init__(self, engine: Engine, figures: Figures, holding: Holding) -> None:
        super().__init__(engine, figures)
        self._holding = holding

    def reserve(self, employee: str, call_id: str, now_ms: int) -> bool:
        """Somebody is claimed for a call."""
        return self._holding.reserve(self._engine, employee, call_id, now_ms)


class Holding:
    """Whom the router's own process holds: as its engine's claims are. `claims` answers these for a moment.

    `freed` is told who was refused, and whom the other process has let go since: this router's waiting calls may want him.
    """

    def __init__(
        self,
        holders: Holders,
        claims: Callable[[int], list[tuple[str, str, str]]],
        clock: Clock,
        freed: Callable[[str], None],
    ) -> None:
        self._holders = holders
        self._claims = claims
        self._clock = clock
        self._freed = freed
        self._refused: set[str] = set()

    def refused(self, employees: Iterable[str]) -> frozenset[str]:
        """Hold them before they ring; returns those that another process holds."""
        others = self._holders.hold(employees)
        self._refused |= others
        return others

    def reserve(self, engine: ClaimEngine, employee: str, call_id: str, now_ms: int) -> bool:
        """Reserve somebody in an engine, and hold him; False when he cannot be had."""
        if not engine.reserve(employee, call_id, now_ms):
            return False
        if self._holders.hold((employee,)):
            engine.release(employee, call_id)
            return False
        return True

    async def run(self) -> None:
        """Let go whom the engine claims no more, hold whom it claims of calls that it took over, and tell of those who came
        free elsewhere, until cancelled."""
        while True:
            await trio.sleep(_LOOK_EVERY_S)
            claimed = {employee for employee, _, _ in self._claims(self._clock.now_ms())}
            self._holders.keep_only(claimed)
            self._holders.hold(claimed)
            for employee in [each for each in self._refused if not self._holders.is_held_elsewhere(each)]:
                self._refused.discard(employee)
                self._freed(employee)


class HeldReservations:
    """Reservations for other routers, held against this router's processes, too."""

    def __init__(self, engine: ClaimEngine, holding: Holding) -> None:
        self._engine = engine
        self._holding = holding

    def reserve(self, employee: str, call_id: str, now_ms: int) -> bool:
        """Reserve somebody."""
        return self._holding.reserve(self._engine, employee, call_id, now_ms)

    def release(self, employee: str, call_id: str) -> None:
        """Release him."""
        self._engine.release(employee, call_id)

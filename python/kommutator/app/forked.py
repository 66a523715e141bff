"""Processes that share an address, forked from one that has the company compiled: its memory is shared.

The sockets are made by who forks, and outlive the processes: who asks one that has died is answered by the next. Whom a
call of one process claims is taken for the others: they hold employees by locks of one file (`Forked.claims`), which the kernel
lets go when a process dies.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import structlog
import trio

from kommutator import processes
from kommutator.errors import KommutatorError

_STOPPING = (signal.SIGTERM, signal.SIGINT)
_DONE = 3
"""The exit code of a process that is not to be begun anew."""
_AGAIN_S = 1.0
"""A process that died is replaced no sooner than so long after the last one was."""


class Forked:
    """A process for each place, told it and a descriptor: its end of a pipe that closes when who forks them is gone."""

    def __init__(self, alarm: str, places: Sequence[int], work: Callable[[int, int], bool]) -> None:
        """`work` is what a process does, and whether it is done with it for good; it may raise `KommutatorError`."""
        self._alarm = alarm
        self._places = places
        self._work = work
        self._lifeline = os.pipe()
        self._running: dict[int, int] = {}
        self._told: signal.Signals | None = None
        self._log = structlog.get_logger()

    def run(self) -> None:
        """Run them until SIGTERM or SIGINT, and begin anew what dies."""
        before = {number: signal.signal(number, self._stop) for number in _STOPPING}
        try:
            for place in self._places:
                self._begin(place)
            while self._running:
                pid, status = os.wait()
                place = self._running.pop(pid)
                code = os.waitstatus_to_exitcode(status)
                if self._told is None and code != _DONE:
                    self._log.critical("a process ended", alarm=self._alarm, process=place, code=code)
                    time.sleep(_AGAIN_S)
                    self._begin(place)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for each in self._lifeline:
                os.close(each)

    def _begin(self, place: int) -> None:
        # A signal that comes meanwhile waits: until the new process is known here, and until it is itself there.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        try:
            if self._told is not None:
                return
            pid = os.fork()
            if pid:
                self._running[pid] = place
                return
            code = 1
            try:
                for number in _STOPPING:
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                code = self._child(place)
            finally:
                os._exit(code)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _child(self, place: int) -> int:
        """What a process does; its exit code."""
        os.close(self._lifeline[1])
        try:
            return _DONE if self._work(place, self._lifeline[0]) else 0
        except KommutatorError as error:
            self._log.error("a process cannot work", process=place, reason=str(error))
            return 1
        except Exception:
            log = self._log
            log.exception("a process failed in our code", process=place)
            return 1

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._told = signal.Signals(number)
        for pid in self._running:
            processes.send(pid, signal.SIGTERM)


def claims_file() -> Path:
    """A file for the locks of processes that are forked from this one: it is in memory, and theirs alone."""
    return Path(f"/proc/self/fd/{os.memfd_create('claims')}")


def folder_of(data: Path | None, place: int) -> Path | None:
    """The folder of a process: the first, 1, has the folder itself, the others have `2` in it, and so on."""
    return data / str(place) if data is not None and place > 1 else data


async def until_alone(lifeline: int, scope: trio.CancelScope) -> None:
    """Cancel the scope when the process that began this one is gone: its end of the pipe is closed then."""
    await trio.lowlevel.wait_readable(lifeline)
    scope.cancel()

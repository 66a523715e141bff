"""What every router process has, whatever it is made of: a clock, a folder of its own, and an end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import trio

from kommutator import processes
from kommutator.errors import DataFolderBusy, KommutatorError


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Milliseconds of UTC since the epoch."""
        return time.time_ns() // 1_000_000


@contextmanager
def the_only_router(folder: Path) -> Iterator[None]:
    """Hold the data folder. Raises `DataFolderBusy`; a folder whose disk takes nothing is held as far as it can be."""
    lock = _open_lock(folder)
    try:
        if lock is not None and not processes.take(lock):
            raise DataFolderBusy(f"{folder}: another router works here")
        yield
    finally:
        if lock is not None:
            os.close(lock)


async def until_told_to_stop(scope: trio.CancelScope) -> None:
    """Cancel the scope at SIGTERM or SIGINT."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            structlog.get_logger().info("stopping", signal=signal.Signals(number).name)
            scope.cancel()
            return


def first_of(group: BaseExceptionGroup[KommutatorError]) -> KommutatorError:
    """The first error of a group."""
    first = group.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


def _open_lock(folder: Path) -> int | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        structlog.get_logger().critical(
            "the data folder takes nothing; calls go on", alarm="spool", folder=str(folder), reason=str(error)
        )
    try:
        return os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None

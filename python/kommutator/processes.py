"""Processes known by their ids, and lock files that die with who holds them: what supervisors and launchers share.

A process that outlives its supervisor is found again by its id. An id alone may meanwhile be anybody's: with the moment
of the start it is an identity, until the machine boots again.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def started(pid: int) -> int:
    """When the process started, in clock ticks since boot (proc(5), the 22nd field of stat); 0 when there is none.

    A process that has ended and that nobody has waited for is none.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal; one that comes after the process's end is nothing."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@contextmanager
def end_of(pid: int) -> Iterator[int | None]:
    """A descriptor that becomes readable when the process ends, child or not (pidfd_open(2)); None when it has.

    One that has ended and that nobody has waited for is readable, too.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def wait_for_end(pid: int, timeout_s: float | None = None) -> bool:
    """Block until the process has ended; False when it still lives after the time. The process need not be our child."""
    with end_of(pid) as descriptor:
        if descriptor is None:
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))


def hold(lock: Path, mode: int = 0o600) -> int | None:
    """Hold a lock file, made where there is none, by the descriptor that is returned: until it is closed, or we end.

    None when another process holds it. Raises `OSError` when the file cannot be had.
    """
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        if take(descriptor):
            return descriptor
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def take(descriptor: int) -> bool:
    """Lock a file that is open; False when another process holds it (flock(2): EACCES, where NFS says so)."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True

"""What tests need of Debian's packages: apt's commands with their reason when they fail, and one who fetches at a time."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_TIMEOUT_S = 600


class PackagesMissing(RuntimeError):
    """Packages are neither here nor could be fetched; the message quotes apt's reason. Tests fail with it."""


def run(command: Sequence[str], what: str) -> str:
    """What the command prints. Raises `PackagesMissing`."""
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=_TIMEOUT_S, env={**os.environ, "LC_ALL": "C"}
        )
    except subprocess.TimeoutExpired:
        raise PackagesMissing(f"{what}: no answer within {_TIMEOUT_S} s") from None
    if done.returncode != 0:
        raise PackagesMissing(f"{what}: {(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one who fetches, over processes."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

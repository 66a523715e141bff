"""Port numbers for tests that run side by side: one slot of 2000 ports for each Asterisk and its parties."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

_FIRST = 10_000
_PER_SLOT = 2_000
_SLOTS = 11  # the kernel hands out ports from 32768 on; these lie below


class NoPorts(RuntimeError):
    """Every slot is taken by a test that runs now."""


@dataclass
class Ports:
    """A slot of ports of this machine, held until `close` (or the end of the process).

    `sip` and `http` are Asterisk's; `rtp` is its media range, inclusive; `party()` gives each SIPp its own.
    """

    base: int
    _file: IO[str]
    _parties: int = field(default=0)

    @classmethod
    def take(cls) -> Self:
        """The first free slot, one where a killed test left an Asterisk behind not among them; raises `NoPorts`."""
        folder = Path(tempfile.gettempdir()) / f"kommutator-ports-{os.getuid()}"
        folder.mkdir(exist_ok=True)
        for slot in range(_SLOTS):
            file = (folder / f"{slot}.lock").open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                continue
            base = _FIRST + slot * _PER_SLOT
            if _free(base):
                return cls(base, file)
            file.close()
        raise NoPorts(f"all {_SLOTS} slots of test ports are in use")

    @property
    def sip(self) -> int:
        """Asterisk's SIP port."""
        return self.base

    @property
    def http(self) -> int:
        """The port of Asterisk's HTTP server."""
        return self.base + 1

    @property
    def rtp(self) -> tuple[int, int]:
        """Asterisk's media ports, inclusive: 500 legs."""
        return self.base + 400, self.base + 1399

    def party(self) -> tuple[int, int]:
        """A SIP port, followed by one for SIPp's control, and the first of four media ports; 150 parties go round."""
        number = self._parties % 150
        self._parties += 1
        return self.base + 10 + 2 * number, self.base + 1400 + 4 * number

    def close(self) -> None:
        """Gives the slot back."""
        self._file.close()


def _free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

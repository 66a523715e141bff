"""What a process tells its supervisor: that it serves, what it is doing, that it stops.

The protocol of sd_notify(3): a datagram of `NAME=value` lines to the Unix socket in `$NOTIFY_SOCKET`. systemd listens
there for units of `Type=notify`, and `kommutator up` for its children. Without such a socket nothing is told. What
cannot be told is not worth a failure of the process: it is left at that.
"""

from __future__ import annotations

import os
import socket

_PATIENCE_S = 1.0
"""A supervisor whose queue is full is waited for so long."""


def ready(text: str = "") -> None:
    """Tell that the process serves now; `text` is what people read beside it."""
    _tell("READY=1", *([_status(text)] if text else []))


def status(text: str) -> None:
    """Tell in a line what the process does or waits for."""
    _tell(_status(text))


def stopping() -> None:
    """Tell that the process has begun to stop."""
    _tell("STOPPING=1")


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split())


def _tell(*lines: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    place = b"\0" + os.fsencode(address[1:]) if address[0] == "@" else os.fsencode(address)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as told:
            told.settimeout(_PATIENCE_S)
            told.connect(place)
            told.send("\n".join(lines).encode())
    except OSError:
        return

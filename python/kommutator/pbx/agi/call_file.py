"""A call file (`pbx_spool`): how Asterisk is made to connect when there is no call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_NAME: Final = "kommutator-look.call"
_LOOK: Final = """\
Channel: Local/s@kommutator-agi-look/n
Application: NoOp
WaitTime: 30
MaxRetries: 0
"""
"""The dialplan's context does not answer: nothing comes of the call but the connection."""


def put(beside: Path, outgoing: Path) -> None:
    """Have Asterisk run the context `kommutator-agi-look` once; when it is away, as soon as it is there.

    Asterisk reads what it sees: the file is written in `beside`, on the same file system, and moved. Raises `OSError`.
    """
    written = beside / _NAME
    # Asterisk may write here, too: a link that it put there is not followed.
    written.unlink(missing_ok=True)
    with written.open("x", encoding="ascii") as file:
        file.write(_LOOK)
        os.fchmod(file.fileno(), 0o664)
    try:
        written.replace(outgoing / _NAME)
    except OSError:
        written.unlink(missing_ok=True)
        raise

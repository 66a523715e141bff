"""SMS into a folder, for a demonstration: one file a message, which any pager shows."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from pathlib import Path

from kommutator.notify.ports import Accepted, Later, Notice, Outcome, Refused, Sent, Sms, Told


class FileSms:
    """The channel. A notice that comes twice is written to the same file, `<time> <number> <digest of the identity>.txt`."""

    recognises_repeats = True
    attempt_s = 10.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def run(self, told: Told) -> None:
        """Nothing is needed."""

    async def turn(self) -> None:
        """Files are written at once."""

    async def deliver(self, notice: Notice, accepted: Accepted) -> Outcome:
        """Write the file."""
        if not isinstance(notice.content, Sms):
            return Refused(f"{type(notice.content).__name__} is not for a telephone")
        name = file_name(notice, ".txt")
        try:
            await asyncio.to_thread(write_whole, self._folder / name, notice.content.text.encode() + b"\n")
        except OSError as error:
            return Later(f"the folder of SMS cannot be written: {error}")
        await accepted(1, name)
        return Sent()


def file_name(notice: Notice, suffix: str) -> str:
    """A name that sorts by time, tells the recipient, and is the notice's own."""
    at = datetime.fromtimestamp(notice.created_at_ms / 1000, UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    recipient = "".join(each if each.isalnum() or each in "+@.-_" else "_" for each in notice.recipient)[:100]
    return f"{at} {recipient} {hashlib.blake2b(notice.id.encode(), digest_size=6).hexdigest()}{suffix}"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that nobody sees a part of it. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)

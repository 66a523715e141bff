"""Letters into a folder, for a demonstration: one `.eml` a letter, which any mail program opens and plays."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

from kommutator.notify.email import Recordings, composed
from kommutator.notify.letters import Head
from kommutator.notify.ports import Accepted, Later, Notice, Outcome, Sent, Told
from kommutator.notify.sms_file import file_name, write_whole
from kommutator.notify.voicemail import SoundSettings


@dataclass(frozen=True, slots=True)
class FileEmailSettings:
    """Where letters go, and what is in them."""

    folder: Path
    recording_s: float = 900.0
    """A letter waits so long for a recording that has not arrived, then it goes without."""
    sound: SoundSettings = field(default_factory=SoundSettings)


class FileEmail:
    """The channel. A notice that comes twice is written to the same file."""

    recognises_repeats = True
    attempt_s = 30.0

    def __init__(self, settings: FileEmailSettings, head: Head, recordings: Recordings) -> None:
        self._settings = settings
        self._head = head
        self._recordings = recordings

    async def run(self, told: Told) -> None:
        """Nothing is needed."""

    async def turn(self) -> None:
        """Files are written at once."""

    async def deliver(self, notice: Notice, accepted: Accepted) -> Outcome:
        """Write the file."""
        letter = await composed(notice, self._head(), self._recordings, self._settings)
        if not isinstance(letter, EmailMessage):
            return letter
        path = self._settings.folder / file_name(notice, ".eml")
        try:
            await asyncio.to_thread(write_whole, path, letter.as_bytes())
        except OSError as error:
            return Later(f"the folder of letters cannot be written: {error}")
        await accepted(1, path.name)
        return Sent()

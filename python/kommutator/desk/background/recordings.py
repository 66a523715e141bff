"""Recordings that routers sent: each becomes a file of the desk, and the letters that waited for it go out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog

from kommutator.crm import recordings
from kommutator.crm.pool import Database
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.recordings import DeskRecordings
from kommutator.routing.entries import recording_key

_LONGEST_NAME = 200


class RecordingIntake:
    """Attached to the exchange, it keeps every recording that comes as `<key>.wav` in a folder.

    The order makes it safe to die anywhere: the file is whole and on disk, then the database knows of it, then the exchange
    forgets it. What came twice is the same file.
    """

    def __init__(self, exchange: Exchange, database: Database, folder: Path, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._folder = folder
        self._clock = clock
        self._log = structlog.get_logger()
        self.taken = 0
        """How many were kept since this process began."""
        self._source = DeskRecordings(exchange, self._take)

    async def _take(self, key: str) -> None:
        """Raises `ExchangeError`, `DatabaseUnreachable`, `OSError`: then it is told again."""
        if recording_key(key) != key or key.startswith(".") or len(key) > _LONGEST_NAME:
            self._log.error(
                "a recording has a name that no file can have; it is left", alarm="recording", recording=key
            )
            return
        sound = await self._source.get(key)
        if sound is None:
            return
        file = self._folder / f"{key}.wav"
        await asyncio.to_thread(_write, file, sound)
        async with self._database.transaction("recordings") as tx:
            known = await recordings.stored(tx, key, file.name, len(sound), "audio/wav", self._clock())
        await self._source.done(key)
        self.taken += 1
        self._log.info("a recording is kept", recording=key, call=known and known.call_id, bytes=len(sound))


def _write(file: Path, sound: bytes) -> None:
    """All of it, and on the disk, or nothing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    with part.open("wb") as written:
        written.write(sound)
        written.flush()
        os.fsync(written.fileno())
    part.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

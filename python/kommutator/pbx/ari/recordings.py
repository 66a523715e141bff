"""Messages, fetched from Asterisk into our own folder."""

from __future__ import annotations

import os
from pathlib import Path

import structlog
import trio

from kommutator.errors import PbxTimeout, PbxUnreachable
from kommutator.pbx.ari import requests
from kommutator.pbx.ari.session import Session
from kommutator.pbx.asterisk import wav_seconds

_FETCH_DEADLINE_S = 5.0


class Recordings:
    """The folder of fetched recordings, `<name>.wav` each."""

    def __init__(self, session: Session, folder: Path) -> None:
        self._session = session
        self._folder = folder
        self._log = structlog.get_logger()

    def path(self, name: str) -> Path:
        """Where a recording is, or will be."""
        return self._folder / f"{name}.wav"

    def seconds(self, name: str) -> float | None:
        """The length of a recording that has been fetched; None when it has not."""
        try:
            return wav_seconds(self.path(name).read_bytes())
        except FileNotFoundError:
            return None

    async def fetch(self, name: str, told_s: float | None = None) -> float:
        """Bring a stored recording here, and return its length in seconds.

        When that fails now, the length that the PBX told is returned and the file stays at the PBX, from where
        `fetch_left` brings it.
        """
        here = self.seconds(name)
        if here is not None:
            return here
        try:
            response = await self._session.download(requests.get_recording_file(name), _FETCH_DEADLINE_S)
            if not response.ok:
                raise PbxUnreachable(f"{response.status} {response.reason}")
            length = wav_seconds(response.body)
            await trio.to_thread.run_sync(self._keep, name, response.body)
            await self._session.request(requests.delete_stored_recording(name))
        except (PbxUnreachable, PbxTimeout, OSError) as error:
            self._log.warning("a recording could not be fetched yet", recording=name, reason=str(error))
            return self.seconds(name) or told_s or 0.0
        return length

    async def fetch_left(self) -> None:
        """Bring every recording of ours that is complete and still at the PBX."""
        stored = await self._session.request(requests.list_stored_recordings())
        if not stored.ok:
            return
        for entry in stored.decode() or []:
            name = entry.get("name", "")
            if name.startswith("kt-") and not (await self._session.request(requests.get_live_recording(name))).ok:
                await self.fetch(name)

    def _keep(self, name: str, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f".{name}.part"
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path(name))

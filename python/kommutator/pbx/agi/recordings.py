"""Messages: Asterisk records them into a folder that it shares with the router, which takes them from there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import structlog
import trio

from kommutator.pbx.asterisk import recording_name, wav_seconds

_STILL_S = 60.0
"""A message that nothing was added to for so long is complete: its caller has gone while no router watched."""


class Recordings:
    """`shared` is Asterisk's folder, `own` ours; `<name>.wav` each."""

    def __init__(self, shared: Path, own: Path) -> None:
        self._shared = shared
        self._own = own
        self._log = structlog.get_logger()

    def at_pbx(self, recording: str) -> str:
        """Where Asterisk is to record, without the extension."""
        return str(self._shared / recording_name(recording))

    def prepare(self) -> None:
        """Make both folders, as far as that is ours to do."""
        self._own.mkdir(parents=True, exist_ok=True)
        try:
            self._shared.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._log.error("the folder for messages cannot be made", folder=str(self._shared), reason=str(error))

    def is_there(self, recording: str) -> bool:
        """Whether anything was recorded."""
        name = f"{recording_name(recording)}.wav"
        return (self._own / name).exists() or (self._shared / name).exists()

    async def take(self, recording: str, told_s: float | None = None) -> float | None:
        """Bring a message here, and return its length in seconds: as told when it cannot be brought now, None when
        there is none."""
        seconds = await trio.to_thread.run_sync(self._take, recording_name(recording))
        return told_s if seconds is None else seconds

    async def take_left(self) -> None:
        """Bring every message that is complete and still there."""
        for name in await trio.to_thread.run_sync(self._left):
            await trio.to_thread.run_sync(self._take, name)

    def _left(self) -> list[str]:
        found = []
        try:
            for path in self._shared.glob("kt-*.wav"):
                if time.time() - path.stat().st_mtime > _STILL_S:
                    found.append(path.stem)
        except OSError as error:
            self._log.warning("messages cannot be looked for", reason=str(error))
        return found

    def _take(self, name: str) -> float | None:
        source, target = self._shared / f"{name}.wav", self._own / f"{name}.wav"
        try:
            if target.exists():
                return wav_seconds(target.read_bytes())
            content = source.read_bytes()
            part = self._own / f".{name}.part"
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
            source.unlink()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._log.warning("a message could not be fetched yet", recording=name, reason=str(error))
            return wav_seconds(target.read_bytes()) if target.exists() else None
        return wav_seconds(content)

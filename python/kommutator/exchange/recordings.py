"""Recordings on their way from the router's folder to the desk: each into the object store, once the exchange takes it.

The folder is the queue. A recording `NAME.wav` that the exchange has acknowledged gets a mark beside it, `NAME.sent`, and
is deleted a day after; so nothing is lost when the router or the exchange dies, and one that was sent twice is the same
object.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path

import structlog
import trio

from kommutator.errors import ExchangeError
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.messages import RECORDINGS, recording_key

KEPT_S = 24 * 3600.0
_LOOK_S = 2.0
_PAUSE_S = 30.0
"""The longest pause after failures."""
_STORE_S = 30.0
_PREFIX = "kt-"
"""What adapters put before a recording's name in files of a folder that is not theirs alone."""


class RecordingUploader:
    """Sends the recordings of one folder."""

    def __init__(self, bridge: Bridge, folder: Path, *, kept_s: float = KEPT_S, look_s: float = _LOOK_S) -> None:
        self._bridge = bridge
        self._folder = folder
        self._kept_s = kept_s
        self._look_s = look_s
        self._log = structlog.get_logger()
        self._troubled = False
        self.waiting = 0
        """How many recordings have not been acknowledged, as last looked."""

    async def run(self) -> None:
        """Send until cancelled."""
        pause_s = self._look_s
        while True:
            sent = await self._send_all()
            pause_s = self._look_s if sent else min(2 * pause_s, max(_PAUSE_S, self._look_s))
            await trio.sleep(pause_s)

    async def _send_all(self) -> bool:
        """Send what there is; False when something failed that is worth a pause."""
        try:
            unsent = await trio.to_thread.run_sync(self._look)
        except OSError as error:
            self._trouble(error)
            return False
        self.waiting = len(unsent)
        failed = False
        for file in unsent:
            if not self._bridge.connected:
                return True  # the exchange itself has raised the alarm
            try:
                await self._send(file)
            except (ExchangeError, OSError) as error:
                self._trouble(error, file.name)
                failed = True
            else:
                self.waiting -= 1
        if self._troubled and not failed:
            self._log.info("recordings are sent again")
            self._troubled = False
        return not failed

    def _trouble(self, error: Exception, file: str | None = None) -> None:
        if not self._troubled:
            reason = str(error)
            self._log.error("recordings wait here", alarm="recordings", file=file, reason=reason, waiting=self.waiting)
        self._troubled = True

    def _look(self) -> list[Path]:
        """The recordings to be sent, the oldest first; those sent long ago are deleted. Blocks. Raises `OSError`."""
        if not self._folder.exists():
            return []
        unsent: list[tuple[int, Path]] = []
        until = time.time() - self._kept_s
        for entry in os.scandir(self._folder):
            file = Path(entry.path)
            if entry.name.endswith(".sent"):
                if entry.stat().st_mtime < until:
                    file.with_suffix(".wav").unlink(missing_ok=True)
                    file.unlink()
            elif entry.name.endswith(".wav") and not entry.name.startswith(".") and not _mark(file).exists():
                unsent.append((entry.stat().st_mtime_ns, file))
        return [file for _, file in sorted(unsent)]

    async def _send(self, file: Path) -> None:
        name = recording_key(file.stem.removeprefix(_PREFIX))
        content = await trio.to_thread.run_sync(file.read_bytes)
        seconds = _STORE_S * max(1, math.ceil(len(content) / 16e6))
        await self._bridge.call(lambda connection: connection.store(RECORDINGS, name, content, seconds), seconds)
        await trio.to_thread.run_sync(_mark(file).touch)
        self._log.info("a recording was sent", recording=name, bytes=len(content))


def _mark(file: Path) -> Path:
    return file.with_suffix(".sent")

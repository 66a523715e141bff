"""An append-only file of lines that outlives the process, and the machine where it can.

A line is handed to the operating system at once, so that a killed process loses nothing; the disk is told to keep it
(`fsync`) in batches of at most 10 ms. While the disk takes nothing, be it full, read-only or away, lines wait in memory,
bounded, and an alarm is logged; nobody is held up, and nothing raises.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

import structlog
import trio

_BATCH_S = 0.008
_RETRY_S = 1.0
_LONGEST_WAITING = 64 * 1024 * 1024


class LineFile:
    """The file. A torn last line, left by a crash, is cut off when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: deque[bytes] = deque()
        self.waiting_bytes = 0
        """What waits in memory for the disk."""
        self.lost = 0
        """How many lines were dropped at the bound since this process began."""
        self.troubled = False
        """Whether the disk takes nothing at this moment."""
        self.size = 0
        """Bytes of the file."""
        self.unread = False
        """Whether it could not be read: what was in it is not known."""
        self._torn = False
        """Whether a part of the first line that waits is in the file."""
        self._dirty = trio.Event()
        self._log = structlog.get_logger().bind(file=str(path))
        self._fd: int | None = None
        try:
            self._open()
        except OSError as error:
            self._trouble(error)
            self._dirty.set()

    def read(self, last_bytes: int | None = None) -> list[bytes]:
        """The whole lines of the file, or of its last part, without their ends; none where it cannot be read."""
        try:
            with self.path.open("rb") as file:
                start = 0 if last_bytes is None else max(0, os.fstat(file.fileno()).st_size - last_bytes)
                file.seek(start)
                lines = file.read().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        except OSError as error:
            self.unread = True
            self._log.critical("cannot be read; calls go on", alarm="spool", reason=str(error))
            return []
        return [line for line in lines[1 if start else 0 :] if line]

    def append(self, line: bytes) -> None:
        """Add a line (without its end). Never raises; costs one write."""
        self._waiting.append(line + b"\n")
        self.waiting_bytes += len(line) + 1
        while self.waiting_bytes > _LONGEST_WAITING and len(self._waiting) > self._torn:
            # A line of which the file has a part already must be written to its end.
            self.waiting_bytes -= len(self._waiting[self._torn])
            del self._waiting[self._torn]
            self.lost += 1
        if not self.troubled:
            self._write()
        self._dirty.set()

    def write(self) -> None:
        """Hand what waits to the operating system, for who does not `run` it. Never raises."""
        self._write()

    @property
    def flushed(self) -> bool:
        """Whether every line has been handed to the operating system."""
        return not self._waiting

    def replace(self, lines: list[bytes]) -> None:
        """Put other content in the file's place, at once and whole. Raises `OSError`; the file is then as before."""
        part = self.path.with_suffix(".new")
        with part.open("wb") as file:
            file.write(b"".join(line + b"\n" for line in lines))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.path)
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        if self._fd is not None:
            os.close(self._fd)
        self._fd = fd
        self.size = os.fstat(fd).st_size
        self._waiting.clear()
        self.waiting_bytes = 0
        self._torn = False
        self._sync_folder()

    async def run(self) -> None:
        """Keep the disk up with the file until cancelled."""
        try:
            while True:
                await self._dirty.wait()
                self._dirty = trio.Event()
                await trio.sleep(_RETRY_S if self.troubled else _BATCH_S)
                self._write()
                await trio.to_thread.run_sync(self.sync)
                if self._waiting or self.troubled:
                    self._dirty.set()
        finally:
            self._write()
            self.sync()

    def close(self) -> None:
        """Write and sync what is left, and close."""
        self._write()
        self.sync()
        if self._waiting:
            self._log.critical(
                "lines are lost: the disk took nothing to the end", alarm="spool", lines=len(self._waiting)
            )
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
        try:
            self.size = self._cut_torn_line(fd)
        except OSError:
            os.close(fd)
            raise
        self._fd = fd

    def _write(self) -> None:
        try:
            if self._fd is None:
                self._open()
            assert self._fd is not None
            while self._waiting:
                line = self._waiting[0]
                written = os.write(self._fd, line)
                self.size += written
                self.waiting_bytes -= written
                self._torn = written < len(line)
                if self._torn:
                    self._waiting[0] = line[written:]
                else:
                    self._waiting.popleft()
        except OSError as error:
            self._trouble(error)
            return
        if self.troubled:
            self._log.warning("can be written again", alarm="spool", lost_lines=self.lost)
            self.troubled = False

    def _trouble(self, error: OSError) -> None:
        if not self.troubled:
            self._log.critical("cannot be written; calls go on", alarm="spool", reason=str(error))
        self.troubled = True

    def sync(self) -> None:
        """Make the disk keep what was written."""
        if self._fd is None:
            return
        try:
            os.fsync(self._fd)
        except OSError as error:
            self._log.critical("cannot be synced; calls go on", alarm="spool", reason=str(error))

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _cut_torn_line(self, fd: int) -> int:
        size = os.fstat(fd).st_size
        end = size
        while end > 0:
            start = max(0, end - 65536)
            newline = os.pread(fd, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            self._log.warning("cut a torn last line", bytes=size - end)
            os.ftruncate(fd, end)
        return end

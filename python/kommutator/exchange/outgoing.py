"""A router's outgoing spool: entries on disk until the exchange has acknowledged them.

A folder of append-only files. Each line is an entry's number, a space, and the entry; a file is named by the number of
its first line. Numbers begin with 1, and `spool.json` gives the spool an identity, so that a number of it means one
entry for ever. Only what the disk keeps is offered for sending: a number that the exchange has seen is never given
again, whatever happens to the machine.

When the disk takes nothing, entries wait in memory, bounded, and an alarm is logged; nobody is held up, and nothing
raises.
"""

from __future__ import annotations

import os
import secrets
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog
import trio

from kommutator.exchange.settings import SpoolSettings

_SYNC_EVERY_S = 0.008
_RETRY_S = 1.0
_REMEMBER_EVERY_S = 1.0
_DEFAULTS = SpoolSettings()


class _Identity(msgspec.Struct, frozen=True):
    spool: str
    acknowledged: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Entries with the numbers from `first` on, without gaps."""

    first: int
    entries: list[bytes]

    @property
    def last(self) -> int:
        """The number of the last of them."""
        return self.first + len(self.entries) - 1


@dataclass(slots=True)
class _Segment:
    """One file, and how much of it is written and kept by the disk."""

    path: Path
    first: int
    last: int
    size: int = 0
    synced: int = 0


class OutgoingSpool:
    """The spool in a folder. One process uses it at a time."""

    def __init__(self, folder: Path, settings: SpoolSettings = _DEFAULTS) -> None:
        self.spool = secrets.token_hex(8)
        """The spool's identity."""
        self.acknowledged = 0
        """The number up to which entries have been acknowledged."""
        self.lost = 0
        """How many entries were dropped at the bounds since this process began."""
        self.troubled = False
        """Whether the disk takes nothing at this moment."""
        self._folder = folder
        self._settings = settings
        self._log = structlog.get_logger().bind(spool=str(folder))
        self._segments: list[_Segment] = []
        self._fd: int | None = None
        self._full: list[tuple[_Segment, int]] = []
        """Files that are written no more, and have not been synced to their ends."""
        self._disk_bytes = 0
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._waiting_bytes = 0
        self._next = 1
        self._recovered = False
        """Whether what an earlier process left is known; before that no number is final, and nothing is offered."""
        self._alarm_at = settings.alarm_bytes
        self._dirty = trio.Event()
        self._more = trio.Event()
        self._remembered: _Identity | None = None
        self._offset = 0
        """Where in the oldest file reading begins."""
        self._sent: tuple[int, _Segment, int] | None = None
        """The last number of the last batch, and where it ends."""
        try:
            self._recover()
        except OSError as error:
            self._trouble(error)
            self._dirty.set()

    @property
    def waiting_entries(self) -> int:
        """How many entries have not been acknowledged, give or take those dropped."""
        return self._next - 1 - self.acknowledged

    @property
    def waiting_bytes(self) -> int:
        """What the spool takes, on disk and in memory."""
        return self._disk_bytes + self._waiting_bytes

    def append(self, entry: bytes) -> int:
        """Add an entry (text without line ends), and return its number. Never raises; costs one write.

        While the disk does not say what it has of an earlier process, the number is not final.
        """
        number = self._next
        self._next += 1
        line = b"%d %b\n" % (number, entry)
        self._waiting.append((number, line))
        self._waiting_bytes += len(line)
        while self._waiting_bytes > self._settings.most_waiting_bytes:
            self._waiting_bytes -= len(self._waiting.popleft()[1])
            self.lost += 1
        if not self.troubled:
            self._write()
        self._dirty.set()
        return number

    async def run(self) -> None:
        """Keep the disk up until cancelled, in batches of at most 10 ms."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._remember_often)
            try:
                while True:
                    await self._dirty.wait()
                    self._dirty = trio.Event()
                    await trio.sleep(_RETRY_S if self.troubled else _SYNC_EVERY_S)
                    self._write()
                    self._watch_bounds()
                    files = self._to_sync()
                    self._synced(files, await trio.to_thread.run_sync(_sync_all, files))
                    if self._waiting or self.troubled:
                        self._dirty.set()
            finally:
                self.flush()

    def flush(self) -> None:
        """Write and sync what is left. Blocks."""
        self._write()
        work = self._to_sync()
        self._synced(work, _sync_all(work))
        self._remember()

    def close(self) -> None:
        """Write and sync what is left, and close. Blocks."""
        self.flush()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    # --- sending

    async def more(self) -> None:
        """Wait until there may be something to send that was not there at the last `batch`."""
        await self._more.wait()

    def batch(self) -> Outgoing | None:
        """The oldest entries that have not been acknowledged, as many as go into one message; None when the disk has
        none."""
        self._more = trio.Event()
        if self._remembered is None:
            return None
        try:
            return self._read()
        except OSError as error:
            self._log.critical("the outgoing spool cannot be read; calls go on", alarm="spool", reason=str(error))
            return None

    def acknowledge(self, upto: int) -> None:
        """The exchange keeps all entries up to this number: they leave the spool."""
        if upto <= self.acknowledged:
            return
        self.acknowledged = upto
        self._next = max(self._next, upto + 1)
        if self._sent is not None and upto >= self._sent[0]:
            _, segment, end = self._sent
            if self._segments and segment is self._segments[0]:
                self._offset = end
        while len(self._segments) > 1 and self._segments[0].last <= upto:
            self._remove_oldest()
        if self._alarm_at > self._settings.alarm_bytes and self.waiting_bytes < self._settings.alarm_bytes:
            self._log.warning("the outgoing spool is emptied again", alarm="spool", bytes=self.waiting_bytes)
            self._alarm_at = self._settings.alarm_bytes

    # --- inside: reading

    def _read(self) -> Outgoing | None:
        for segment in self._segments:
            offset = self._offset if segment is self._segments[0] else 0
            while offset < segment.synced:
                found = self._read_lines(segment, offset)
                if isinstance(found, Outgoing):
                    return found
                offset = found
                if segment is self._segments[0]:
                    self._offset = offset
            if segment.synced < segment.size:
                break
        return None

    def _read_lines(self, segment: _Segment, offset: int) -> Outgoing | int:
        """A message's worth of the file from a place on, or, where all there was acknowledged already, the place to go
        on from."""
        chunk = _read_part(segment, offset, self._settings.batch_bytes)
        first, taken, end = 0, 0, offset
        entries: list[bytes] = []
        for line in chunk.split(b"\n")[:-1]:
            number, entry = self._parse(line, segment)
            if number > self.acknowledged:
                full = len(entries) >= self._settings.batch_entries or taken + len(entry) > self._settings.batch_bytes
                if entries and (full or number != first + len(entries)):
                    break
                first = first or number
                entries.append(entry)
                taken += len(entry)
            end += len(line) + 1
        if not entries:
            return end
        outgoing = Outgoing(first, entries)
        self._sent = (outgoing.last, segment, end)
        return outgoing

    def _parse(self, line: bytes, segment: _Segment) -> tuple[int, bytes]:
        number, _, entry = line.partition(b" ")
        if number.isdigit() and entry:
            return int(number), entry
        self._log.critical("a line of the outgoing spool cannot be read", alarm="spool", file=str(segment.path))
        return 0, b""

    # --- inside: writing

    def _write(self) -> None:
        try:
            if not self._recovered:
                self._recover_late()
            while self._waiting:
                number, line = self._waiting[0]
                if self._fd is None or self._segments[-1].size >= self._settings.segment_bytes:
                    self._open_segment(number)
                self._write_line(number, line)
        except OSError as error:
            self._trouble(error)
            return
        if self.troubled:
            self._log.warning("the outgoing spool can be written again", alarm="spool", lost_entries=self.lost)
            self.troubled = False

    def _write_line(self, number: int, line: bytes) -> None:
        """Write a line whole or not at all."""
        assert self._fd is not None
        segment = self._segments[-1]
        written = os.write(self._fd, line)
        if written < len(line):
            os.ftruncate(self._fd, segment.size)
            raise OSError(f"only {written} bytes of {len(line)} could be written")
        self._waiting.popleft()
        self._waiting_bytes -= written
        segment.last = number
        segment.size += written
        self._disk_bytes += written

    def _open_segment(self, first: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{first:020d}.jsonl"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o640)
        if self._fd is not None:
            self._full.append((self._segments[-1], self._fd))
        self._fd = fd
        self._segments.append(_Segment(path, first, first - 1))
        _sync_folder(self._folder)

    def _to_sync(self) -> list[tuple[_Segment, int, int]]:
        """Which files are to be synced, with their sizes now; the oldest first."""
        files = [(segment, segment.size, fd) for segment, fd in self._full]
        if self._fd is not None:
            files.append((self._segments[-1], self._segments[-1].size, self._fd))
        return files

    def _synced(self, files: list[tuple[_Segment, int, int]], error: OSError | None) -> None:
        if error is not None:
            self._log.critical("the outgoing spool cannot be synced; calls go on", alarm="spool", reason=str(error))
            self._dirty.set()
            return
        for segment, size, fd in files:
            segment.synced = size
            if size == segment.size and (segment, fd) in self._full:
                self._full.remove((segment, fd))
                os.close(fd)
        if self._remembered is None:
            self._remember()
        self._more.set()

    def _trouble(self, error: OSError) -> None:
        if not self.troubled:
            self._log.critical("the outgoing spool cannot be written; calls go on", alarm="spool", reason=str(error))
        self.troubled = True

    def _watch_bounds(self) -> None:
        while self._disk_bytes > self._settings.most_bytes and len(self._segments) > 1:
            oldest = self._segments[0]
            dropped = oldest.last - max(oldest.first - 1, self.acknowledged)
            self.lost += dropped
            self._log.critical(
                "the outgoing spool is full: its oldest entries are dropped", alarm="spool", entries=dropped
            )
            self._remove_oldest()
        if self.waiting_bytes >= self._alarm_at:
            self._log.critical(
                "the outgoing spool grows", alarm="spool", bytes=self.waiting_bytes, entries=self.waiting_entries
            )
            self._alarm_at *= 2

    def _remove_oldest(self) -> None:
        segment = self._segments.pop(0)
        self._disk_bytes -= segment.size
        self._offset = 0
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            self._log.error("a file of the outgoing spool cannot be deleted", file=str(segment.path), reason=str(error))

    # --- inside: what outlives the process

    async def _remember_often(self) -> None:
        while True:
            await trio.sleep(_REMEMBER_EVERY_S)
            if self._remembered is not None and self._remembered.acknowledged != self.acknowledged:
                self._remember()

    def _remember(self) -> None:
        """Keep the identity, and how far entries have been acknowledged; the latter may be behind after a crash, never
        ahead."""
        identity = _Identity(self.spool, self.acknowledged)
        if identity == self._remembered or self.troubled:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part = self._folder / "spool.new"
            with part.open("wb") as file:
                file.write(msgspec.json.encode(identity))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._folder / "spool.json")
        except OSError as error:
            self._log.critical("the outgoing spool cannot remember; calls go on", alarm="spool", reason=str(error))
            return
        self._remembered = identity

    def _recover_late(self) -> None:
        """The disk is back: number what waits after what was there."""
        self._recover()
        entries = [line.partition(b" ")[2] for _, line in self._waiting]
        self._waiting.clear()
        self._waiting_bytes = 0
        for entry in entries:
            line = b"%d %b" % (self._next, entry)
            self._waiting.append((self._next, line))
            self._waiting_bytes += len(line)
            self._next += 1

    def _recover(self) -> None:
        """Learn what an earlier process left. Raises `OSError`; it begins anew then."""
        self._segments.clear()
        self._disk_bytes = 0
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            identity = msgspec.json.decode((self._folder / "spool.json").read_bytes(), type=_Identity)
        except FileNotFoundError:
            identity = None
        except msgspec.DecodeError:
            self._log.error("the outgoing spool has forgotten its identity and gets a new one")
            identity = None
        if identity is not None:
            self.spool, self.acknowledged, self._remembered = identity.spool, identity.acknowledged, identity
        self._next = self.acknowledged + 1
        for path in sorted(self._folder.glob("*.jsonl")):
            segment = _recover_segment(path)
            if segment is None:
                path.unlink()
            else:
                self._segments.append(segment)
                self._disk_bytes += segment.size
                self._next = max(self._next, segment.last + 1)
        if self._segments:
            self._fd = os.open(self._segments[-1].path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            files = self._to_sync()
            self._synced(files, _sync_all(files))
        while len(self._segments) > 1 and self._segments[0].last <= self.acknowledged:
            self._remove_oldest()
        self._recovered = True
        self._more.set()


def _sync_all(files: list[tuple[_Segment, int, int]]) -> OSError | None:
    try:
        for _, _, fd in files:
            os.fsync(fd)
    except OSError as error:
        return error
    return None


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _read_part(segment: _Segment, offset: int, most: int) -> bytes:
    """About so many bytes of what the disk keeps of the file, and at least one whole line."""
    fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        whole = segment.synced - offset
        chunk = os.pread(fd, min(most, whole), offset)
        return chunk if b"\n" in chunk else os.pread(fd, whole, offset)
    finally:
        os.close(fd)


def _recover_segment(path: Path) -> _Segment | None:
    """A file as an earlier process left it, without a torn last line; None when there is nothing in it."""
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):
        os.truncate(path, end)
    last = content[content.rfind(b"\n", 0, max(end - 1, 0)) + 1 : end].partition(b" ")[0]
    if not last.isdigit() or not path.stem.isdigit():
        return None
    return _Segment(path, int(path.stem), int(last), end, end)

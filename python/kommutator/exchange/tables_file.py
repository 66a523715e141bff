"""A file of owners and callers, as it travels from a desk to routers and lies on their disks.

Magic, a line with a checksum and JSON that says of what moment it is, pages, and an end that counts what was in them. A page is
zlib of lines, such as the engine's tables read, with its own checksum; by number, so that it takes some six bytes a number.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import BinaryIO, Final, Literal, Self

import msgspec

from kommutator._engine import CallerTable, OwnerTable
from kommutator.errors import BadNumber, TablesBad

MODE: Final = 0o600
"""The files hold telephone numbers: nobody else's business."""
_MAGIC: Final = b"kommutator tables 1\n"
_HEAD: Final = struct.Struct(">cIII")
"""Of a page: its kind, its bytes as they are and as lines, and a checksum."""
_COUNTS: Final = struct.Struct(">QQ")
_PAGE: Final = 512 * 1024
"""Bytes of lines in a page; the last line of a piece that a database gives may go beyond."""
_MOST_PAGE: Final = 64 * 1024**2
_LONGEST_HEADER: Final = 4096
_LEVEL: Final = 1
_KINDS: Final = {"owners": b"o", "callers": b"c"}
_END: Final = b"e"

Kind = Literal["owners", "callers"]


def private_file(path: Path) -> BufferedWriter:
    """An empty file that nobody else may read. Raises `OSError`."""
    return BufferedWriter(FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE), "w"))


class Header(msgspec.Struct, frozen=True):
    """Of what moment a file is; the fields are those of `TablesMade`."""

    epoch: str
    sequence: int
    place: int
    made: int
    calls_until: int | None = None


class Counts(msgspec.Struct, frozen=True):
    """How many numbers are in a file."""

    owners: int = 0
    callers: int = 0


class TablesWriter:
    """Writes a file from beginning to end; blocks. What was not ended has no end, and cannot be read."""

    def __init__(self, path: Path, header: Header) -> None:
        self._file = private_file(path)
        said = msgspec.json.encode(header)
        self._file.write(_MAGIC + b"%08x %s\n" % (zlib.crc32(said), said))
        self._pending = bytearray()
        self._kind: Kind = "owners"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def lines(self, kind: Kind, some: bytes) -> None:
        """More lines of a kind; owners come before callers."""
        if kind != self._kind:
            self._flush()
            self._kind = kind
        self._pending += some
        if len(self._pending) >= _PAGE:
            self._flush()

    def end(self, counts: Counts) -> int:
        """No more: the file is whole, and on the disk. Its bytes."""
        self._flush()
        self._page(_END, _COUNTS.pack(counts.owners, counts.callers), 0)
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.tell()

    def _flush(self) -> None:
        if self._pending:
            self._page(_KINDS[self._kind], zlib.compress(self._pending, _LEVEL), len(self._pending))
            self._pending.clear()

    def _page(self, kind: bytes, content: bytes, size: int) -> None:
        self._file.write(_HEAD.pack(kind, len(content), size, _checksum(kind, content, size)) + content)


class TablesFile:
    """A whole file. Raises `TablesBad` when it is none, and `OSError`; blocks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = path.stat().st_size
        with path.open("rb") as file:
            self.header = _header(file, path)
            file.seek(max(0, self.bytes - _HEAD.size - _COUNTS.size))
            kind, content, _size = _read(file, path)
            if kind != _END:
                raise TablesBad(f"{path}: it has no end")
            self.counts = Counts(*_COUNTS.unpack(content))

    def verify(self) -> None:
        """Read all of it. Raises `TablesBad`."""
        for _ in self._pages():
            pass

    def read(self, tables: Mapping[Kind, OwnerTable | CallerTable], going_on: Callable[[], bool]) -> int:
        """Read what there are tables for, while `going_on`; how many lines were no numbers, and were left out."""
        left_out = 0
        for kind, content, size in self._pages():
            if not going_on():
                break
            table = tables.get(kind)
            if table is not None:
                left_out += read_lines(table, _unpacked(content, size, self.path))
        return left_out

    def _pages(self) -> Iterator[tuple[Kind, bytes, int]]:
        with self.path.open("rb") as file:
            _header(file, self.path)
            while True:
                kind, content, size = _read(file, self.path)
                if kind == _END:
                    return
                yield ("owners" if kind == b"o" else "callers"), content, size


def read_lines(table: OwnerTable | CallerTable, lines: bytes) -> int:
    """Tell a table lines; how many were no numbers. Other threads go on meanwhile."""
    try:
        table.read(lines)
    except BadNumber:
        return sum(_is_bad(table, line) for line in lines.split(b"\n") if line)
    return 0


def _is_bad(table: OwnerTable | CallerTable, line: bytes) -> bool:
    try:
        table.read(line)
    except BadNumber:
        return True
    return False


def _header(file: BinaryIO, path: Path) -> Header:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise TablesBad(f"{path}: these are no tables of this program")
    checksum, _, said = file.readline(_LONGEST_HEADER).rstrip(b"\n").partition(b" ")
    try:
        if checksum == b"%08x" % zlib.crc32(said):
            return msgspec.json.decode(said, type=Header)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TablesBad(f"{path}: of what moment it is cannot be read: {error}") from error
    raise TablesBad(f"{path}: of what moment it is is damaged")


def _read(file: BinaryIO, path: Path) -> tuple[bytes, bytes, int]:
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise TablesBad(f"{path}: it is cut off")
    kind, length, size, checksum = _HEAD.unpack(head)
    if kind not in (b"o", b"c", _END) or max(length, size) > _MOST_PAGE:
        raise TablesBad(f"{path}: a page is none")
    content = file.read(length)
    if len(content) < length or _checksum(kind, content, size) != checksum:
        raise TablesBad(f"{path}: a page is damaged")
    return kind, content, size


def _checksum(kind: bytes, content: bytes, size: int) -> int:
    return zlib.crc32(content, zlib.crc32(b"%s %d" % (kind, size)))


def _unpacked(content: bytes, size: int, path: Path) -> bytes:
    inflating = zlib.decompressobj()
    try:
        lines = inflating.decompress(content, max(size, 1))
    except zlib.error as error:
        raise TablesBad(f"{path}: a page cannot be read: {error}") from error
    if len(lines) != size or not inflating.eof:
        raise TablesBad(f"{path}: a page has not the bytes that it says")
    return lines

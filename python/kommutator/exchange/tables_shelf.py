"""Tables of owners and callers on a router's disk: the last two that were fetched, each with what has changed since.

A router that begins has what it knew when it ended, whether there is a desk or an exchange or not. Beside `NAME.tables` lies
`NAME.changes`: a line for each message of the stream of changes, and for each call of this router that has ended, so that its
caller has called before also for the next process. What a crash of the machine cuts off comes again from the stream.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import structlog

from kommutator._engine import CallerTable, OwnerTable
from kommutator.errors import ExchangeMessageBad, TablesBad
from kommutator.exchange.messages import Called, FactsChanged, decode, encode
from kommutator.exchange.tables_file import MODE, Kind, TablesFile, private_file, read_lines

_KEPT: Final = 2
_MOST_BYTES: Final = 512 * 1024**2
"""Of changes in a file; those beyond come from the stream again, or with new tables."""
_TAIL: Final = 4 * 1024**2
"""More than the longest line."""
_LONGEST_CALL_MS: Final = 24 * 3600 * 1000
"""A call that began longer ago has ended, and is in tables that have all calls that were told."""
FACTS, CALLS, OWN = b"f", b"c", b"o"


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most numbers that this router keeps of each kind; 0: it keeps none, and asks."""

    owners: int
    callers: int

    @property
    def any(self) -> bool:
        """Whether it keeps anything."""
        return bool(self.owners or self.callers)


@dataclass(slots=True)
class Built:
    """Tables made aside."""

    name: str
    epoch: str
    sequence: int
    """The last change that is in them."""
    at: int
    """They are what was so then; milliseconds of UTC."""
    calls_until: int | None
    tables: dict[Kind, OwnerTable | CallerTable] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    """Calls that were heard of, and that no change has told."""

    def take(self, changed: FactsChanged) -> bool:
        """Changes that follow, or are in already; False where some between are missing."""
        if changed.epoch != self.epoch or changed.sequence > self.sequence + 1:
            return False
        if changed.sequence == self.sequence + 1:
            if not (changed.owners or changed.calls):
                return False
            self._read(changed)
            self.sequence = changed.sequence
        if changed.sequence == self.sequence:
            self.at = max(self.at, changed.at)
        for number, at in changed.calls:
            if self.calls.get(number, at + 1) <= at:
                del self.calls[number]
        return True

    def take_all(self, some: Iterable[FactsChanged]) -> bool:
        """Several, up to the first that does not follow."""
        return all(self.take(each) for each in some)

    def _read(self, changed: FactsChanged) -> None:
        if (owners := self.tables.get("owners")) is not None and changed.owners:
            read_lines(owners, "".join(f"{number}\t{employee or ''}\n" for number, employee in changed.owners).encode())
        self.called(dict(changed.calls))

    def called(self, calls: Mapping[str, int]) -> None:
        """Calls that were heard of."""
        if (table := self.tables.get("callers")) is not None and calls:
            read_lines(table, "".join(f"{number}\t{at}\n" for number, at in calls.items()).encode())


def build(file: TablesFile, bounds: Bounds, going_on: Callable[[], bool]) -> Built:
    """The tables of a file. Blocks: a second for some millions of numbers, while other threads go on.

    A kind that has more numbers than its bound is left out, with an alarm. Raises `TablesBad`, `OSError`.
    """
    header, counts = file.header, file.counts
    built = Built(file.path.stem, header.epoch, header.sequence, header.made, header.calls_until)
    log = structlog.get_logger()
    for kind, there, most in (("owners", counts.owners, bounds.owners), ("callers", counts.callers, bounds.callers)):
        if most and there > most:
            log.critical(
                "more numbers than this router keeps: it asks", alarm="tables", kind=kind, numbers=there, most=most
            )
    if counts.owners <= bounds.owners:
        built.tables["owners"] = OwnerTable(counts.owners + counts.owners // 8)
    if counts.callers <= bounds.callers:
        built.tables["callers"] = CallerTable(counts.callers + counts.callers // 8)
    bad = file.read(built.tables, going_on)
    if bad:
        log.warning("what is no number in the tables was left out", numbers=bad)
    for table in built.tables.values():
        table.complete()
    return built


class TablesShelf:
    """The folder. All methods block, and are not for two threads at once; they raise `OSError`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = structlog.get_logger()
        self._changes: int | None = None
        self._written = 0
        self._full = False
        self.name: str | None = None
        """The tables here that are the newest."""

    def open(self) -> int | None:
        """Make the folder this process's; the place in the stream after which changes are not here. What is wrong with the disk
        is told by whatever is done later."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in self._folder.glob("*.part"):
                left.unlink()
            for file in self._files():
                self.name = file.path.stem
                self._open_changes()
                return max(file.header.place, self._last_place())
        except OSError as error:
            self._log.error("the kept tables cannot be looked at", alarm="tables", reason=str(error))
        return None

    def load(self, bounds: Bounds, going_on: Callable[[], bool]) -> Built | None:
        """The newest tables that can be read, with what has changed since; None when there are none."""
        for file in self._files():
            try:
                built = build(file, bounds, going_on)
            except (TablesBad, OSError) as error:
                self._log.critical(
                    "kept tables cannot be read", alarm="tables", tables=file.path.stem, reason=str(error)
                )
                continue
            self._replay(built)
            return built
        return None

    def new(self, name: str) -> Path:
        """Where a file is to be written that `put` will take."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._folder / f"{name}.part"

    def build(self, name: str, bounds: Bounds, going_on: Callable[[], bool]) -> Built:
        """Tables that were put here, with what has changed since. Raises `TablesBad`."""
        built = build(TablesFile(self._path(name, "tables")), bounds, going_on)
        self._replay(built)
        return built

    def put(self, part: Path) -> None:
        """Take a file that was fetched: what has changed since goes with it. Raises `TablesBad`."""
        name = part.stem
        try:
            file = TablesFile(part)
            file.verify()
        except TablesBad:
            part.unlink(missing_ok=True)
            raise
        kept = [] if self.name is None else [line for line in self._lines(self.name) if _after(line, file)]
        with private_file(self._path(name, "changes")) as changes:
            changes.writelines(line + b"\n" for line in kept)
        part.replace(self._path(name, "tables"))
        self.name = name
        self._open_changes()
        # By the desk's clock, which may have been set back: what was put here now stays, whenever it says it was made.
        for old in [file.path for file in self._files() if file.path.stem != name][_KEPT - 1 :]:
            old.unlink(missing_ok=True)
            old.with_suffix(".changes").unlink(missing_ok=True)

    def append(self, lines: Iterable[bytes]) -> None:
        """Keep changes and calls, which `line` made."""
        if self._changes is None or self._full:
            return
        content = b"".join(lines)
        if self._written + len(content) > _MOST_BYTES:
            self._full = True
            self._log.error("too much has changed since the kept tables; it is not kept", alarm="tables")
            return
        self._written += os.write(self._changes, content)

    def close(self) -> None:
        """No more."""
        if self._changes is not None:
            os.close(self._changes)
            self._changes = None

    # --- inside

    def _files(self) -> Iterator[TablesFile]:
        """The files that are there, the newest first; what is none is alarmed."""
        found: list[TablesFile] = []
        for path in self._folder.glob("*.tables"):
            try:
                found.append(TablesFile(path))
            except (TablesBad, OSError) as error:
                self._log.critical("kept tables cannot be read", alarm="tables", tables=path.stem, reason=str(error))
                path.unlink(missing_ok=True)
                path.with_suffix(".changes").unlink(missing_ok=True)
        return iter(sorted(found, key=lambda file: file.header.made, reverse=True))

    def _path(self, name: str, ending: str) -> Path:
        return self._folder / f"{name}.{ending}"

    def _open_changes(self) -> None:
        self.close()
        assert self.name is not None
        path = self._path(self.name, "changes")
        self._changes = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE)
        self._written = os.fstat(self._changes).st_size
        self._full = False
        begin = max(0, self._written - _TAIL)
        whole = os.pread(self._changes, _TAIL, begin).rfind(b"\n") + 1
        if begin + whole < self._written:  # a line that a crash cut off
            self._written = begin + whole
            os.ftruncate(self._changes, self._written)

    def _last_place(self) -> int:
        assert self._changes is not None
        begin = max(0, self._written - _TAIL)
        tail = os.pread(self._changes, _TAIL, begin).split(b"\n")
        return max((_place(line) for line in (tail if begin == 0 else tail[1:])), default=0)

    def _lines(self, name: str) -> Iterator[bytes]:
        try:
            with self._path(name, "changes").open("rb") as changes:
                for line in changes:
                    if line.endswith(b"\n") and line != b"\n":
                        yield line[:-1]
        except FileNotFoundError:
            return

    def _replay(self, built: Built) -> None:
        whole = True
        for line in self._lines(built.name):
            kind, payload = _parts(line)
            try:
                if kind == FACTS and whole:
                    whole = built.take(decode(payload, FactsChanged))
                elif kind in (CALLS, OWN):
                    for number, at in decode(payload, Called).callers:
                        built.calls[number] = max(at, built.calls.get(number, at))
            except ExchangeMessageBad as error:
                self._log.error("a kept change cannot be read", alarm="tables", reason=str(error))
                whole = whole and kind != FACTS
        built.called(built.calls)


def line(place: int, kind: bytes, payload: bytes) -> bytes:
    """What is kept of a message of the stream, or of calls of this router's own, which have no place."""
    return b"%d\t%s\t%s\n" % (place, kind, payload)


def own(number: str, at: int) -> bytes:
    """What is kept of a call of this router's own."""
    return line(0, OWN, encode(Called(((number, at),))))


class Pending:
    """Changes that wait for tables: without gaps, and bounded by the numbers in them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._numbers = 0
        self.messages: deque[FactsChanged] = deque()

    def add(self, changed: FactsChanged) -> None:
        """One more; what it does not follow after, and all where there are too many, is dropped."""
        last = self.messages[-1] if self.messages else None
        if last is not None and last.epoch == changed.epoch and changed.sequence <= last.sequence:
            return
        numbers = len(changed.owners) + len(changed.calls)
        if last is not None and (last.epoch, last.sequence + 1) != (changed.epoch, changed.sequence):
            self.clear()
        if self._numbers + numbers > self._most:
            self.clear()
        self.messages.append(changed)
        self._numbers += numbers

    def clear(self) -> None:
        """None."""
        self.messages.clear()
        self._numbers = 0

    def take(self) -> list[FactsChanged]:
        """All of them, which wait no more."""
        taken = list(self.messages)
        self.clear()
        return taken


def _parts(kept: bytes) -> tuple[bytes, bytes]:
    _place, _, rest = kept.partition(b"\t")
    kind, _, payload = rest.partition(b"\t")
    return kind, payload


def _place(kept: bytes) -> int:
    place = kept.partition(b"\t")[0]
    return int(place) if place.isdigit() else 0


class _Numbered(msgspec.Struct):
    epoch: str
    sequence: int


def _after(kept: bytes, file: TablesFile) -> bool:
    """Whether a file may lack what was kept."""
    kind, payload = _parts(kept)
    try:
        if kind != FACTS:
            calls = msgspec.json.decode(payload, type=Called).callers
            return file.header.calls_until is None or any(at > file.header.made - _LONGEST_CALL_MS for _, at in calls)
        changed = msgspec.json.decode(payload, type=_Numbered)
    except msgspec.DecodeError:
        return False
    return changed.epoch == file.header.epoch and changed.sequence > file.header.sequence

"""The numbering plan of the Russian regulator: which range of numbers was given to which region.

The published files have the columns `АВС/ DEF`; `От`; `До`; `Емкость`; `Оператор`; `Регион`, and may have more behind
them; they are parted by semicolons, in UTF-8 or Windows-1251. `import_files` makes of several such files one stored
plan: gzip-ed CSV of `from;to;region` with whole E.164 numbers, ascending, without overlaps. A company's plan is the
file `numbering-plan.csv.gz` in the company's folder.

Where ranges overlap the narrower one wins, as with the longest of matching prefixes.

Source of the form: the register of the Russian system and plan of numbering, published by the regulator as open data.
"""

from __future__ import annotations

import csv
import gzip
import heapq
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kommutator.errors import NumberingPlanInvalid

PLAN_FILE: Final = "numbering-plan.csv.gz"
"""The name of a company's stored plan, in the company's folder."""
MAX_BAD_ROWS: Final = 20
"""How many bad rows are named before the rest is only counted."""

_COUNTRY_CODE: Final = "7"
_NATIONAL_DIGITS: Final = 10
_HEADER: Final = "from;to;region"
_MIN_COLUMNS: Final = 6


@dataclass(frozen=True, order=True, slots=True)
class Range:
    """Whole E.164 numbers, both ends included, and the region they were given to, as written."""

    first: int
    last: int
    region: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    rows: int
    ranges: int
    regions: int


def import_files(files: Sequence[Path], output: Path) -> Imported:
    """Reads the regulator's files and stores them as one plan in `output`.

    Raises `NumberingPlanInvalid`, naming file and line of each bad row, and stores nothing then: a plan with a hole
    would send calls astray in silence. OSError when a file cannot be read or written.
    """
    ranges: list[Range] = []
    bad = _BadRows()
    for file in files:
        before = len(ranges) + bad.count
        ranges.extend(_rows(file, bad))
        if len(ranges) + bad.count == before:
            bad.add(file, 1, "no rows of a numbering plan")
    bad.refuse()
    flat = list(_flatten(ranges))
    _store(flat, output)
    return Imported(rows=len(ranges), ranges=len(flat), regions=len({item.region for item in flat}))


@dataclass(slots=True)
class Plan:
    """A stored plan."""

    ranges: list[Range] = field(default_factory=list)

    @classmethod
    def read(cls, file: Path) -> Plan:
        """Reads a stored plan. Raises `NumberingPlanInvalid`; OSError when the file cannot be read."""
        plan = cls()
        try:
            with gzip.open(file, "rt", encoding="utf-8", newline="\n") as lines:
                if next(lines, "").rstrip("\n") != _HEADER:
                    raise NumberingPlanInvalid(f"{file}: not made by `kommutator numbering-plan import`")
                for line in lines:
                    first, last, region = line.rstrip("\n").split(";", 2)
                    plan.ranges.append(Range(int(first), int(last), region))
        except (EOFError, gzip.BadGzipFile, ValueError) as error:
            raise NumberingPlanInvalid(f"{file}: damaged, import the numbering plan again") from error
        return plan

    def names(self) -> list[str]:
        """Every name by which a range can be claimed: whole region fields, and their parts."""
        return sorted({name for item in {item.region for item in self.ranges} for name in _names(item)})

    def assign(self, claims: Mapping[str, str]) -> dict[str, list[tuple[int, int]]]:
        """The ranges that belong to each claimant, neighbours joined.

        `claims` maps a name to who claims it. Of a field such as `г. Химки|Московская область` the whole counts first,
        then its parts from the left, which goes from the particular to the general.
        """
        by_name = {folded(name): owner for name, owner in claims.items()}
        owners: dict[str, str | None] = {}
        assigned: dict[str, list[tuple[int, int]]] = {owner: [] for owner in claims.values()}
        for item in self.ranges:
            if item.region not in owners:
                names = (by_name.get(folded(name)) for name in _names(item.region))
                owners[item.region] = next((owner for owner in names if owner is not None), None)
            owner = owners[item.region]
            if owner is None:
                continue
            taken = assigned[owner]
            if taken and taken[-1][1] + 1 == item.first:
                taken[-1] = (taken[-1][0], item.last)
            else:
                taken.append((item.first, item.last))
        return assigned


def folded(name: str) -> str:
    """A region's name for comparison: case, spacing, `ё` and the common abbreviations make no difference."""
    words = name.casefold().replace("ё", "е").split()
    return " ".join(_ABBREVIATED.get(word, word) for word in words)


_ABBREVIATED: Final = {
    "обл.": "область",
    "обл": "область",
    "респ.": "республика",
    "респ": "республика",
    "р-н": "район",
    "ао": "автономный округ",
}


def _names(region: str) -> list[str]:
    parts = [part.strip() for part in region.split("|")]
    return [region, *parts] if len(parts) > 1 else [region]


class _BadRows:
    def __init__(self) -> None:
        self.count = 0
        self._named: list[str] = []

    def add(self, file: Path, line: int, reason: str) -> None:
        self.count += 1
        if len(self._named) < MAX_BAD_ROWS:
            self._named.append(f"{file}:{line}: {reason}")

    def refuse(self) -> None:
        """Raises `NumberingPlanInvalid` when there was any."""
        if self.count:
            more = [f"and {self.count - len(self._named)} more"] if self.count > len(self._named) else []
            raise NumberingPlanInvalid("\n".join(self._named + more))


def _rows(file: Path, bad: _BadRows) -> Iterator[Range]:
    data = file.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1251", errors="replace")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";")
    line = 1
    columns = (0, 1, 2, 5)
    try:
        for row in reader:
            here, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if here == 1 and not re.search(r"\d", row[0]):
                columns = _columns(row)
            elif reader.line_num != here:
                bad.add(file, here, f"a quotation mark that is closed only in line {reader.line_num}")
            elif isinstance(parsed := _parse(row, columns), Range):
                yield parsed
            else:
                bad.add(file, here, parsed)
    except csv.Error as error:
        bad.add(file, line, str(error))


def _columns(header: Sequence[str]) -> tuple[int, int, int, int]:
    """Where code, from, to and region stand, by the header's names, else where the regulator puts them."""
    names = [cell.strip().casefold() for cell in header]
    try:
        return 0, names.index("от"), names.index("до"), names.index("регион")
    except ValueError:
        return 0, 1, 2, 5


def _parse(row: Sequence[str], columns: tuple[int, int, int, int]) -> Range | str:
    """The range of a row, or what is wrong with it."""
    if len(row) <= max(columns):
        return f"{len(row)} columns where at least {max(_MIN_COLUMNS, max(columns) + 1)} are expected"
    code, first, last, region = (row[column].strip() for column in columns)
    if not re.fullmatch(r"[0-9]{3,5}", code):
        return f"`{code}` is no area code"
    width = _NATIONAL_DIGITS - len(code)
    if not all(re.fullmatch(rf"[0-9]{{1,{width}}}", end) for end in (first, last)):
        return f"`{first}` to `{last}` are no subscriber numbers of {width} digits"
    low, high = (int(_COUNTRY_CODE + code + end.zfill(width)) for end in (first, last))
    if low > high:
        return f"the range ends before it begins: {first} to {last}"
    region = " ".join(region.split())
    if not region or "\ufffd" in region:
        return "no region" if not region else "neither UTF-8 nor Windows-1251 text"
    return Range(low, high, region)


def _flatten(ranges: Iterable[Range]) -> Iterator[Range]:
    """Ascending ranges without overlaps, neighbours of one region joined; of overlapping ranges the narrower wins."""
    joined: Range | None = None
    for piece in _pieces(sorted(ranges)):
        if joined and joined.region == piece.region and joined.last + 1 == piece.first:
            joined = Range(joined.first, piece.last, joined.region)
            continue
        if joined:
            yield joined
        joined = piece
    if joined:
        yield joined


def _pieces(ranges: Sequence[Range]) -> Iterator[Range]:
    """Cuts overlapping ranges, given in ascending order, into disjoint pieces, each of the narrowest range over it."""
    active: list[tuple[int, Range]] = []
    at = 0
    for index in range(len(ranges) + 1):
        until = ranges[index].first if index < len(ranges) else None
        while active:
            narrowest = active[0][1]
            if narrowest.last < at:
                heapq.heappop(active)
                continue
            end = narrowest.last if until is None else min(narrowest.last, until - 1)
            if end < at:
                break
            yield Range(at, end, narrowest.region)
            at = end + 1
        if until is not None:
            at = max(at, until)
            heapq.heappush(active, (ranges[index].last - ranges[index].first, ranges[index]))


def _store(ranges: Sequence[Range], output: Path) -> None:
    lines = [_HEADER, *(f"{item.first};{item.last};{item.region}" for item in ranges)]
    body = ("\n".join(lines) + "\n").encode()
    partial = output.with_name(output.name + ".partial")
    partial.write_bytes(gzip.compress(body, mtime=0))
    partial.replace(output)

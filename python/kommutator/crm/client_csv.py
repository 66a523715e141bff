"""Clients as a table in a file: CSV as spreadsheets and other CRMs write it.

The columns are `name`, `kind` (`person` or `company`), `company` (the one that a person named), `numbers`, `email`, `owner` and
`notes`; `number_1`, `number_2` and so on count as `numbers` too. The separator is the header's: comma, semicolon or tab.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TextIO, get_args

from kommutator.crm.clients import MAX_NUMBERS, Client, Kind
from kommutator.crm.numbers import e164
from kommutator.errors import BadNumber, ClientsUnreadable

Field = Literal["name", "kind", "company", "numbers", "email", "owner", "notes"]
FIELDS: Final[tuple[Field, ...]] = get_args(Field)
Encoding = Literal["utf-8", "windows-1251"]
LONGEST: Final = 100_000
"""Characters of one cell."""
_NUMBERED = re.compile(r"number_?\d*")
_BETWEEN_NUMBERS = re.compile(r"[;,|\n]+")
_MOST_PIECES = 16
"""A number is written in at most so many pieces with spaces between them: it has 15 digits and a plus."""


@dataclass(frozen=True, slots=True)
class ClientRow:
    """A row that can be taken. What is empty, or None, the file does not tell."""

    line: int
    """1-based, where the row begins."""
    name: str = ""
    kind: Kind | None = None
    organisation: str = ""
    numbers: tuple[str, ...] = ()
    """E.164."""
    email: str = ""
    owner: str | None = None
    """An employee's id."""
    notes: str = ""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be taken, and why."""

    line: int
    problems: tuple[str, ...]
    """`line 12, column owner: …`."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is to be read."""

    encoding: Encoding = "utf-8"
    columns: Mapping[Field, Sequence[str]] = field(default_factory=dict)
    """Where the header has other words for a field; without upper and lower case."""


class ClientTable:
    """The rows of a file, read as they are asked for."""

    def __init__(
        self, raw: Iterable[bytes], dialect: Dialect, country: str, employee: Callable[[str], str | None]
    ) -> None:
        """Reads the header. `raw` gives lines with their ends; `employee` finds an id by what is written.

        Raises `ClientsUnreadable`.
        """
        self._country = country
        self._employee = employee
        self._read = 0
        lines = self._lines(raw, dialect.encoding)
        first = next(lines, "")
        self._separator = max(",;\t", key=first.count)
        self._cells = csv.reader(_again(first, lines), delimiter=self._separator, strict=True)
        self._names = [name.strip() for name in next(self._rows(), (0, []))[1]]
        header = [name.casefold() for name in self._names]
        self._places, self.ignored = _places(header, dialect.columns)
        """`ignored`: the columns that nothing is read of."""

    def __iter__(self) -> Iterator[ClientRow | BadRow]:
        """Every row but the empty ones. Raises `ClientsUnreadable` where the rest cannot be told apart."""
        for line, cells in self._rows():
            if any(cell and not cell.isspace() for cell in cells):
                yield self._row(line, cells)

    def _lines(self, raw: Iterable[bytes], encoding: str) -> Iterator[str]:
        for number, line in enumerate(raw, 1):
            try:
                yield line.decode("utf-8-sig" if number == 1 and encoding == "utf-8" else encoding)
            except UnicodeDecodeError as error:
                other = "windows-1251" if encoding == "utf-8" else "utf-8"
                raise ClientsUnreadable(f"this is not {encoding}; perhaps {other}?", number) from error

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        while True:
            line = self._cells.line_num + 1
            try:
                yield line, next(self._cells)
            except StopIteration:
                return
            except csv.Error as error:
                raise ClientsUnreadable(f"the row that begins here cannot be read: {error}", line) from error

    def _row(self, line: int, cells: list[str]) -> ClientRow | BadRow:
        problems: list[str] = []

        def wrong(place: int, message: str) -> None:
            problems.append(f"line {line}, column {self._names[place]}: {message}")

        if len(cells) > len(self._names):
            return BadRow(line, (f"line {line}: {len(cells)} cells, and the header has {len(self._names)}",))
        told: dict[Field, str] = {}
        numbers: dict[str, None] = {}
        for name, places in self._places.items():
            for place in places:
                cell = cells[place].strip() if place < len(cells) else ""
                if not cell:
                    continue
                if "\0" in cell or len(cell) > LONGEST:
                    wrong(place, f"a cell has at most {LONGEST} characters, and no zero among them")
                elif name == "numbers":
                    found, bad = split_numbers(cell, self._country)
                    numbers.update(dict.fromkeys(found))
                    for message in bad:
                        wrong(place, message)
                elif name == "kind" and cell.casefold() not in get_args(Kind):
                    wrong(place, f"`{cell}` is neither person nor company")
                elif name == "owner" and self._employee(cell) is None:
                    wrong(place, f"there is no employee `{cell}`, or several of that name")
                else:
                    told[name] = cell
        if len(numbers) > MAX_NUMBERS:
            problems.append(f"line {line}: {len(numbers)} numbers; a client has at most {MAX_NUMBERS}")
        if not problems and not numbers and not told.get("name") and not told.get("email"):
            problems.append(f"line {line}: neither a name, nor a number, nor an e-mail address")
        if problems:
            return BadRow(line, tuple(problems))
        kind: Any = told.get("kind", "").casefold() or None
        owner = told.get("owner")
        return ClientRow(
            line, told.get("name", ""), kind, told.get("company", ""), tuple(numbers), told.get("email", ""),
            None if owner is None else self._employee(owner), told.get("notes", ""),
        )  # fmt: skip


def split_numbers(cell: str, country: str) -> tuple[list[str], list[str]]:
    """The numbers of a cell as E.164, and what is wrong with the rest.

    Numbers are separated by semicolon, comma, bar, line end or space. Spaces within numbers too are understood where there is one
    way only to understand them: `8 916 123-45-67 8 495 111-22-33`.
    """
    found: list[str] = []
    wrong: list[str] = []
    for part in _BETWEEN_NUMBERS.split(cell):
        if not part.strip():
            continue
        whole = _number(part, country)
        ways = [[whole]] if whole is not None else _ways(part.split(), country)
        if len(ways) == 1:
            found += ways[0]
        elif ways:
            wrong.append(f"`{part.strip()}` can be understood in several ways: separate the numbers by semicolons")
        else:
            wrong.append(f"`{part.strip()}` is no telephone number")
    return found, wrong


def write(target: TextIO, clients: Iterable[Client], *, header: bool, excel: bool = False) -> None:
    """Appends clients as this module reads them; `excel` writes semicolons, which Excel expects where the comma is decimal."""
    rows = csv.writer(target, delimiter=";" if excel else ",", lineterminator="\r\n" if excel else "\n")
    if header:
        rows.writerow(FIELDS)
    for each in clients:
        rows.writerow(
            (each.name, each.kind, each.organisation, "; ".join(each.numbers), each.email, each.owner or "", each.notes)
        )


def _places(header: list[str], columns: Mapping[Field, Sequence[str]]) -> tuple[dict[Field, list[int]], list[str]]:
    """Where the cells of each field are, and the columns that are none's."""
    for name in header:
        if name and header.count(name) > 1:
            raise ClientsUnreadable(f"the header has the column `{name}` twice", 1)
    places: dict[Field, list[int]] = {}
    for name in FIELDS:
        wanted = [column.strip().casefold() for column in columns.get(name, ())]
        for column in wanted:
            if column not in header:
                raise ClientsUnreadable(
                    f"the header has no column `{column}`, only {', '.join(header) or 'nothing'}", 1
                )
        if not wanted:
            wanted = [n for n in header if n == name or (name == "numbers" and _NUMBERED.fullmatch(n))]
        places[name] = [header.index(column) for column in wanted]
    if not any(places[name] for name in ("name", "numbers", "email")):
        raise ClientsUnreadable(
            f"the header has none of the columns name, numbers, email, only {', '.join(header) or 'nothing'}", 1
        )
    used = {place for each in places.values() for place in each}
    return places, [name for place, name in enumerate(header) if place not in used and name]


def _number(text: str, country: str) -> str | None:
    try:
        return e164(text, country)
    except BadNumber:
        return None


def _ways(pieces: list[str], country: str) -> list[list[str]]:
    """How pieces in their order make whole numbers: no way, the one way, or two of several."""
    ways: list[list[list[str]]] = [[] for _ in range(len(pieces))] + [[[]]]
    for begin in range(len(pieces) - 1, -1, -1):
        for end in range(begin + 1, min(begin + _MOST_PIECES, len(pieces)) + 1):
            if not ways[end]:
                continue
            number = _number(" ".join(pieces[begin:end]), country)
            if number is not None:
                ways[begin] = (ways[begin] + [[number, *rest] for rest in ways[end]])[:2]
    return ways[0]


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest

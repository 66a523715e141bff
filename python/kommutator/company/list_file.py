"""Numbers from a CSV file that accompanies a list.

A short file's rows stand in the engine document as they were written. A long file is read by the engine, and its numbers
stand there packed into one text: millions of them are never objects of Python's.
"""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_LIST_BYTES: Final = 512 * 1024 * 1024
"""Of a long file: some thirty million numbers."""
MAX_ROWS_BYTES: Final = 64 * 1024
"""Of a file whose rows are read one by one."""
MAX_CELL: Final = 1_000

_NUMBER_COLUMNS: Final = frozenset({"number", "phone", "номер", "телефон"})


class BadListFile(ValueError):
    """The file is no CSV of numbers."""


NONE_PACKED: Final = "AA=="
"""No numbers, packed."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The numbers of a long file."""

    text: str
    """As an engine document carries them."""
    bad: list[tuple[int, str]]
    """Rows that hold no telephone number, by 1-based line: the first 100."""
    bad_count: int
    """How many such rows there are."""


def is_long(file: Path) -> bool:
    """Whether a file is to be read by `read_packed`. OSError when there is none."""
    return file.stat().st_size > MAX_ROWS_BYTES


def read_packed(file: Path, country: str) -> Packed:
    """The numbers of a long file, as a company in `country` means them; columns and header as for `read_rows`.

    A second for some millions of rows, in which other threads go on. Raises `BadListFile`, `BadNumber` for an unknown
    country; OSError when the file cannot be read.
    """
    from kommutator import _engine  # the reader alone works without the compiled engine, unless a file is this long

    if file.stat().st_size > MAX_LIST_BYTES:
        raise BadListFile(f"larger than {MAX_LIST_BYTES:,} bytes")
    data = file.read_bytes().removeprefix(codecs.BOM_UTF8)
    try:
        return Packed(*_engine.read_list(data if _is_utf8(data) else _decoded(data).encode(), country))
    except ValueError as error:
        raise BadListFile(str(error)) from error


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def read_rows(file: Path) -> list[tuple[int, str]]:
    """Each number in the file, as written, with its 1-based line.

    The number stands in the column called number, phone, номер or телефон, else in the first; a first row without any
    digit there is the header. Columns are parted by `;`, `,` or tabs; the text is UTF-8, else Windows-1251. Empty rows
    are skipped. Raises `BadListFile`; OSError when the file cannot be read.
    """
    text = io.StringIO(_decoded(file.read_bytes()), newline="")
    first = next((line for line in text if line.strip()), "")
    text.seek(0)
    reader = csv.reader(text, delimiter=max(";,\t", key=first.count))
    rows: list[tuple[int, str]] = []
    column: int | None = None
    line = 1
    try:
        for row in reader:
            here, line = line, reader.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if column is None:
                column, header = _number_column(row)
                if header:
                    continue
            number = row[column].strip() if column < len(row) else ""
            if len(number) > MAX_CELL:
                raise BadListFile(f"line {here}: a cell longer than {MAX_CELL} characters")
            if number:
                rows.append((here, number))
    except csv.Error as error:
        raise BadListFile(f"line {line}: {error}") from error
    return rows


def _number_column(row: list[str]) -> tuple[int, bool]:
    """Which column holds the numbers, and whether this first row is the header."""
    for index, cell in enumerate(row):
        if cell.strip().casefold() in _NUMBER_COLUMNS:
            return index, True
    return 0, not any(char.isdigit() for char in row[0])


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp1251")
    except UnicodeDecodeError as error:
        raise BadListFile("neither UTF-8 nor Windows-1251 text") from error

"""What is different between two versions: of their files, and of what the engine decides from."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from kommutator.crm import versions
from kommutator.crm.pool import Tx

_MOST_LINES = 10_000
_MOST_CHARACTERS = 10_000


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is different."""

    at: tuple[str, ...]
    """The keys that lead to it in the engine document; items of a list that only grew or shrank are not told one by
    one."""
    before: Any
    """None: it was not there."""
    after: Any


@dataclass(frozen=True, slots=True)
class Diff:
    """From one version to another."""

    text: str
    """A unified diff of the files of text; of others, and of those with more than 10,000 lines, only that they differ."""
    changes: list[Change]


async def diff(tx: Tx, old: int, new: int) -> Diff:
    """Compares two versions. Reads all their files. Raises `NotFound`."""
    files = await versions.files(tx, old), await versions.files(tx, new)
    documents = await versions.engine_document(tx, old), await versions.engine_document(tx, new)
    return await asyncio.to_thread(_compared, files, documents, old, new)


def _compared(
    files: tuple[dict[str, bytes], dict[str, bytes]], documents: tuple[bytes, bytes], old: int, new: int
) -> Diff:
    before, after = (orjson.loads(document) for document in documents)
    return Diff("".join(_files(*files, old, new)), list(_changes(before, after, ())))


def _files(before: Mapping[str, bytes], after: Mapping[str, bytes], old: int, new: int) -> Iterator[str]:
    renamed = _renamed(before, after)
    for path in sorted((before.keys() | after.keys()) - renamed.keys()):
        earlier = next((old_name for old_name, name in renamed.items() if name == path), path)
        one, two = before.get(earlier), after.get(path)
        if one == two:
            continue
        lines = _lines(one), _lines(two)
        if lines[0] is None or lines[1] is None:
            yield f"{path}: {'added' if one is None else 'removed' if two is None else 'changed'}\n"
            continue
        for line in difflib.unified_diff(lines[0], lines[1], f"{earlier} (version {old})", f"{path} (version {new})"):
            yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _renamed(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> dict[str, str]:
    """The document's one file of YAML, where it was imported under another name."""
    gone, come = (
        [path for path in there.keys() - elsewhere.keys() if path.endswith((".yaml", ".yml"))]
        for there, elsewhere in ((before, after), (after, before))
    )
    return dict(zip(gone, come, strict=True)) if len(gone) == len(come) == 1 else {}


def _lines(content: bytes | None) -> list[str] | None:
    """A file's lines; None when it is no text, or has too many to be compared in a moment."""
    if content is None:
        return []
    if b"\0" in content or content.count(b"\n") > _MOST_LINES:
        return None
    try:
        return content.decode().splitlines(keepends=True)
    except UnicodeDecodeError:
        return None


def _changes(before: Any, after: Any, at: tuple[str, ...]) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from _changes(before.get(key), after.get(key), (*at, key))
    elif before != after:
        yield Change(at, _told(before), _told(after))


def _told(value: Any) -> Any:
    """A value as a change tells it: of a text that no person reads, its beginning; what it means stands in the files."""
    return f"{value[:_MOST_CHARACTERS]}…" if isinstance(value, str) and len(value) > _MOST_CHARACTERS else value

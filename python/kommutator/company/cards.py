"""Changes of cards – employees, departments, service types – written into the files of a company document.

Only the lines of what changes are written anew; comments, order and everything else stay as people wrote them.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from kommutator.errors import CompanyUnreadable

Section = Literal["employees", "departments", "service_types"]
Value = str | int | list[str] | None
_WIDTH: Final = 4096
"""A card is one line, however long."""
_QUOTED: Final = frozenset({"mobile"})
"""Numbers with a plus, which YAML would take for numerals."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be written. Of a card only the given fields change; None or an empty list takes a field away."""

    written: Mapping[Section, Mapping[str, Mapping[str, Value]]] = field(default_factory=dict)
    """By section and id; an id that is not there is a new card."""
    removed: Mapping[Section, frozenset[str]] = field(default_factory=dict)


def with_changes(files: Mapping[str, bytes], changes: Changes) -> dict[str, bytes]:
    """The files with the changes in those YAML files where the cards are; a new card goes where its section is.

    Blocks for milliseconds. Raises `CompanyUnreadable` for a YAML file that cannot be read.
    """
    parsed = {path: _read(path, content) for path, content in files.items() if path.endswith((".yaml", ".yml"))}
    touched: set[str] = set()
    for section, cards in changes.written.items():
        for id, fields in cards.items():
            path = _home(parsed, section, id)
            card = parsed[path].setdefault(section, CommentedMap()).setdefault(id, _new_card())
            _write(card, fields)
            touched.add(path)
    for section, ids in changes.removed.items():
        for id in ids:
            path = _home(parsed, section, id)
            if parsed[path].get(section, {}).pop(id, None) is not None:
                touched.add(path)
    return {**files, **{path: _written(parsed[path]) for path in touched}}


def _home(parsed: Mapping[str, CommentedMap], section: Section, id: str) -> str:
    """The file that has the card, else the first that has its section, else the first."""
    of_section = [path for path, document in parsed.items() if isinstance(document.get(section), MutableMapping)]
    of_card = [path for path in of_section if id in parsed[path][section]]
    if not parsed:
        raise CompanyUnreadable("the document has no YAML file")
    return next(iter([*of_card, *of_section, *sorted(parsed)]))


def _new_card() -> CommentedMap:
    card = CommentedMap()
    card.fa.set_flow_style()
    return card


def _write(card: CommentedMap, fields: Mapping[str, Value]) -> None:
    for name, value in fields.items():
        if value is None or value == []:
            card.pop(name, None)
        elif card.get(name) != value:
            card[name] = _scalar(name, value)


def _scalar(name: str, value: Value) -> Any:
    if isinstance(value, list):
        items = CommentedSeq(value)
        items.fa.set_flow_style()
        return items
    return DoubleQuotedScalarString(value) if name in _QUOTED else value


def _yaml() -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    yaml.allow_unicode = True
    return yaml


def _read(path: str, content: bytes) -> CommentedMap:
    try:
        found = _yaml().load(content)
    except YAMLError as error:
        raise CompanyUnreadable(str(error), path) from None
    if not isinstance(found, CommentedMap):
        raise CompanyUnreadable("this is no mapping", path)
    return found


def _written(document: CommentedMap) -> bytes:
    out = io.BytesIO()
    _yaml().dump(document, out)
    return out.getvalue()

"""Cards of a company document changed in its YAML: every byte that is not of those cards stays as it was written.

What was written is read again: were anything different but the cards that were to change, nothing is changed at all.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kommutator.company.source import Numeral, Value
from kommutator.company.source import read as read_source
from kommutator.errors import CompanyUnreadable, Refused

Section = Literal["employees", "departments", "service_types"]
Card = Mapping[str, Any]
"""The fields to be set, texts, whole numbers, true or false, or lists of texts; None takes a field out."""
Changes = Mapping[Section, Mapping[str, Card | None]]
"""By section and id; None takes the whole card out, an unknown id is a new card."""
Entry = tuple[Node, Node]
"""A key and its value."""
_PLAIN: Final = re.compile(r"[^\W\d_](?:[\w ./@-]*[\w])?")
_WORDS: Final = frozenset({"null", "true", "false", "yes", "no", "on", "off", "y", "n"})
"""Quoted, whatever version of YAML somebody's editor knows."""


def edited(files: Mapping[str, bytes], changes: Changes) -> dict[str, bytes]:
    """The files of a document with cards changed. Blocks, for one reading of the YAML a card.

    A new card goes after the section's last one. Whether the result is sound is for the check to say. Raises `Refused` for a card
    to be taken out that is not there, and for YAML in which cards cannot be changed without changing more.
    """
    texts = {
        path: _decoded(path, files[path])
        for path in sorted(files)
        if "/" not in path and path.endswith((".yaml", ".yml"))
    }
    if not texts:
        raise Refused("the document has no YAML file")
    given = dict(texts)
    for section, cards in changes.items():
        for id, card in cards.items():
            _change(texts, section, id, card)
    written = {path: text.encode() for path, text in texts.items() if text != given[path]}
    if _meaning(texts, *changes) != _expected(_meaning(given), changes):
        raise Refused("the document is written in a way in which cards cannot be changed without changing more")
    return {**files, **written}


def _change(texts: dict[str, str], section: Section, id: str, card: Card | None) -> None:
    """Changes one card in the file that has it, or else in the one that has its section."""
    sections = {path: _entry(_root(path, text), section) for path, text in texts.items()}
    having = {path: entry[1] for path, entry in sections.items() if entry and isinstance(entry[1], MappingNode)}
    home = next((path for path, node in having.items() if _entry(node, id)), None)
    if home is None:
        if card is None:
            raise Refused(f"there is no {id} in {section}")
        path = (
            next(iter(having), None) or next((p for p, entry in sections.items() if entry), None) or next(iter(texts))
        )
        line = f"{_scalar(id)}: {_flow(card)}"
        if path in having and having[path].value:
            texts[path] = _added(texts[path], having[path], line)
        elif (entry := sections[path]) is not None:
            at = entry[0].end_mark.index
            texts[path] = (
                f"{texts[path][:at]}: {{{line}}}{texts[path][_end(entry[1]) if having.get(path) else at + 1 :]}"
            )
        else:
            texts[path] = f"{texts[path].rstrip()}\n{section}:\n  {line}\n"
        return
    text, node = texts[home], having[home]
    if card is None:
        texts[home] = _removed(text, node, id)
        return
    for name, value in card.items():
        entry = _entry(_card(home, text, section, id), name)
        if entry is None and value is None:
            continue
        found = _card(home, text, section, id)
        if value is None:
            text = _removed(text, found, name)
        elif entry is not None:
            text = text[: entry[1].start_mark.index] + _written(value) + text[_end(entry[1]) :]
        elif found.value:
            text = _added(text, found, f"{name}: {_written(value)}")
        else:
            text = f"{text[: found.start_mark.index]}{{{name}: {_written(value)}}}{text[_end(found) :]}"
    texts[home] = text


def _card(path: str, text: str, section: str, id: str) -> MappingNode:
    """The card as it stands now."""
    there = _entry(_root(path, text), section)
    entry = _entry(there[1], id) if there else None
    if entry is None or not isinstance(entry[1], MappingNode):
        raise Refused(f"the card of {id} is no mapping")
    return entry[1]


def _added(text: str, mapping: MappingNode, line: str) -> str:
    """The text with an entry more at the end of a mapping that has some."""
    key, value = mapping.value[-1]
    end = _entry_end(key, value)
    if mapping.flow_style:
        return f"{text[:end]}, {line}{text[end:]}"
    stop = _line_end(text, end)
    return f"{text[:stop]}\n{' ' * key.start_mark.column}{line}{text[stop:]}"


def _removed(text: str, mapping: MappingNode, name: str) -> str:
    """The text without an entry, and without the rest of its lines where they are its own."""
    entries: list[Entry] = mapping.value
    index = next(place for place, (key, _) in enumerate(entries) if key.value == name)
    key, value = entries[index]
    if mapping.flow_style:
        if index + 1 < len(entries):
            return text[: key.start_mark.index] + text[entries[index + 1][0].start_mark.index :]
        start = _entry_end(*entries[index - 1]) if index else key.start_mark.index
        return text[:start] + text[_entry_end(key, value) :]
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    return text[:start] + text[_line_end(text, _entry_end(key, value)) + 1 :]


def _end(node: Node) -> int:
    """Where a node's own text ends: a block's mark stands after the comments that follow it."""
    if isinstance(node, MappingNode | SequenceNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _entry_end(*last) if isinstance(node, MappingNode) else _end(last)
    end: int = node.end_mark.index
    return end


def _entry_end(key: Node, value: Node) -> int:
    """Where an entry ends: a value that is nothing at all has its mark anywhere after the colon."""
    nothing = value.start_mark.index == value.end_mark.index
    return int(key.end_mark.index) + 1 if nothing else _end(value)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _entry(node: Node | None, name: str) -> Entry | None:
    if not isinstance(node, MappingNode):
        return None
    entries: list[Entry] = node.value
    return next((entry for entry in entries if isinstance(entry[0], ScalarNode) and entry[0].value == name), None)


def _root(path: str, text: str) -> Node | None:
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False
    try:
        root: Node | None = yaml.compose(text)
    except (YAMLError, RecursionError) as error:
        raise Refused(f"{path} cannot be read to be changed") from error
    return root


def _decoded(path: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is not UTF-8 text") from error


def _flow(card: Card) -> str:
    return "{" + ", ".join(f"{name}: {_written(value)}" for name, value in card.items() if value is not None) + "}"


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_written(each) for each in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else _scalar(value)


def _scalar(text: str) -> str:
    plain = _PLAIN.fullmatch(text) and text.casefold() not in _WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def _meaning(texts: Mapping[str, str], *sections: Section) -> dict[str, Value]:
    """What the document says, as its reader has it; of these sections, nothing at all is an empty one."""
    with tempfile.TemporaryDirectory(prefix="kommutator-") as name:
        for path, text in texts.items():
            (Path(name) / path).write_bytes(text.encode())
        try:
            source = read_source(Path(name))
        except CompanyUnreadable as error:
            raise Refused("the document cannot be read once its cards are changed") from error
        if source.findings:
            raise Refused("the document has errors that must be mended first")
        return {**source.data, **{section: _mapping(source.data.get(section)) for section in sections}}


def _expected(said: dict[str, Value], changes: Changes) -> dict[str, Value]:
    """What the document is to say."""
    for section, cards in changes.items():
        items = _mapping(said.get(section))
        for id, card in cards.items():
            if card is None:
                items.pop(id, None)
                continue
            fields = _mapping(items.get(id))
            fields.update({name: _read_again(value) for name, value in card.items() if value is not None})
            items[id] = {name: value for name, value in fields.items() if name not in card or card[name] is not None}
        said[section] = items
    return said


def _mapping(value: Value) -> dict[str, Value]:
    return dict(value) if isinstance(value, dict) else {}


def _read_again(value: Any) -> Value:
    if isinstance(value, list | tuple):
        return [_read_again(each) for each in value]
    return Numeral(str(value), value) if isinstance(value, int) and not isinstance(value, bool) else value

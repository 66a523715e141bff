"""YAML in: one file, or a folder of files merged, as plain data of which every key's file and line is known.

The YAML is that of version 1.2: `no` and `on` are words, `09:00` is text. A plain number keeps the text it was written
as, so that `+79161230001` and `007` without quotes lose nothing where text is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kommutator.company.findings import At, Finding, Place
from kommutator.errors import CompanyUnreadable

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_FILES: Final = 1_000
MAX_VALUES: Final = 300_000
"""Scalars, lists and mappings of the whole document, counted after aliases are expanded."""
MAX_CHARACTERS: Final = 64 * 1024 * 1024
"""Characters of all scalars, counted likewise."""
MAX_DEPTH: Final = 32

_NULL: Final = re.compile(r"~|null|Null|NULL|")
_BOOL: Final = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT: Final = re.compile(r"[-+]?[0-9]{1,40}")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]{1,40}|[0-9]{1,40}(\.[0-9]{0,40})?)([eE][-+]?[0-9]{1,3})?")
_INFINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number written without quotes: its value, and the text it was written as."""

    text: str
    value: int | float


type_names: Final[dict[type, str]] = {
    type(None): "nothing",
    bool: "true or false",
    str: "text",
    Numeral: "a number",
    list: "a list",
    dict: "a mapping",
}
"""How a value's type is called in a message."""

Value = None | bool | str | Numeral | list["Value"] | dict[str, "Value"]


@dataclass(slots=True)
class Source:
    """A document as data, with the place of each of its keys and items."""

    folder: Path
    """What the files named in the document are relative to."""
    root: Place
    data: dict[str, Value] = field(default_factory=dict)
    places: dict[At, Place] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def locate(self, at: Sequence[str]) -> Place:
        """The place of the longest known beginning of `at`: what is missing is blamed on its parent's line."""
        for length in range(len(at), 0, -1):
            if place := self.places.get(tuple(at[:length])):
                return place
        return self.root


def read(path: Path) -> Source:
    """Reads the document at `path`, a YAML file or a folder of them.

    In a folder, every `*.yaml` and `*.yml` directly in it counts, in the order of their names; sections that several
    files have are merged. Raises `CompanyUnreadable`.
    """
    files = _files(path)
    source = Source(folder=path if path.is_dir() else path.parent, root=Place(files[0], 1))
    composer = _Composer(source)
    for file in files:
        composer.add(file)
    if not source.data:
        raise CompanyUnreadable("the document is empty", str(path))
    return source


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml") and file.is_file())
        if not files:
            raise CompanyUnreadable("the folder holds no *.yaml or *.yml file", str(path))
        if len(files) > MAX_FILES:
            raise CompanyUnreadable(f"the folder holds more than {MAX_FILES} YAML files", str(path))
        return files
    return [path]


class _Composer:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._values = 0
        self._characters = 0

    def add(self, file: Path) -> None:
        """Merges one file into the source: its sections, and the items of sections already there."""
        root = _compose(file)
        if root is None or _is_null(root):
            return
        if not isinstance(root, MappingNode):
            raise CompanyUnreadable("a mapping with sections such as `company:` is expected", str(file), _line(root))
        data = self._source.data
        for name, key, node in self._entries(file, root, ()):
            at = (name,)
            known = data.get(name)
            if name not in data or known is None:
                self._source.places.setdefault(at, Place(file, _line(key)))
                data[name] = self._value(file, node, at)
            elif isinstance(known, dict) and isinstance(node, MappingNode):
                self._merge(file, known, node, at)
            elif not _is_null(node):
                self._duplicate(at, Place(file, _line(key)))

    def _merge(self, file: Path, into: dict[str, Value], node: MappingNode, at: At) -> None:
        for name, key, value in self._entries(file, node, at):
            place = Place(file, _line(key))
            if name in into:
                self._duplicate((*at, name), place)
            else:
                self._source.places[(*at, name)] = place
                into[name] = self._value(file, value, (*at, name))

    def _duplicate(self, at: At, place: Place) -> None:
        first = self._source.places[at]
        message = f"`{at[-1]}` is already defined at {first}, and again at {place}"
        self._source.findings.append(Finding("duplicate_key", message, at, place))

    def _entries(self, file: Path, node: MappingNode, at: At) -> list[tuple[str, Node, Node]]:
        """Each key of a mapping as text, with its node and its value's; a key's second occurrence is a finding."""
        first: dict[str, Node] = {}
        entries: list[tuple[str, Node, Node]] = []
        for key, value in node.value:
            place = Place(file, _line(key))
            if not isinstance(key, ScalarNode):
                self._source.findings.append(Finding("wrong_type", "a key must be a word or a number", at, place))
                continue
            _refuse_surrogates(file, key)
            if key.value in first:
                before = Place(file, _line(first[key.value]))
                message = f"`{key.value}` is already defined at {before}, and again at {place}"
                self._source.findings.append(Finding("duplicate_key", message, (*at, key.value), place))
            else:
                first[key.value] = key
                entries.append((key.value, key, value))
        return entries

    def _value(self, file: Path, node: Node, at: At) -> Value:
        self._values += 1
        if self._values > MAX_VALUES:
            raise CompanyUnreadable(f"more than {MAX_VALUES:,} values, aliases expanded", str(file), _line(node))
        if len(at) > MAX_DEPTH:
            raise CompanyUnreadable(f"nested more than {MAX_DEPTH} deep", str(file), _line(node))
        if isinstance(node, MappingNode):
            mapping: dict[str, Value] = {}
            for name, key, value in self._entries(file, node, at):
                self._source.places[(*at, name)] = Place(file, _line(key))
                mapping[name] = self._value(file, value, (*at, name))
            return mapping
        if isinstance(node, SequenceNode):
            items: list[Value] = []
            for index, item in enumerate(node.value):
                self._source.places[(*at, str(index))] = Place(file, _line(item))
                items.append(self._value(file, item, (*at, str(index))))
            return items
        if isinstance(node, ScalarNode):
            self._characters += len(node.value)
            if self._characters > MAX_CHARACTERS:
                raise CompanyUnreadable("too much text, aliases expanded", str(file), _line(node))
            _refuse_surrogates(file, node)
            return _scalar(node)
        raise CompanyUnreadable("an unknown kind of YAML node", str(file), _line(node))


def _compose(file: Path) -> Node | None:
    try:
        size = file.stat().st_size
        if size > MAX_FILE_BYTES:
            raise CompanyUnreadable(f"{size:,} bytes, more than {MAX_FILE_BYTES:,}", str(file))
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CompanyUnreadable(error.strerror or str(error), str(file)) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise CompanyUnreadable("not UTF-8 text", str(file), line) from error
    yaml = YAML(typ="safe", pure=True)
    yaml.composer.warn_double_anchors = False  # an anchor defined again is allowed: the last one counts
    try:
        node: Node | None = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = " ".join(part for part in (error.context, error.problem) if part)
        raise CompanyUnreadable(f"not YAML: {message}", str(file), mark.line + 1 if mark else None) from error
    except YAMLError as error:
        raise CompanyUnreadable(f"not YAML: {str(error).splitlines()[0]}", str(file)) from error
    except RecursionError as error:
        raise CompanyUnreadable(f"nested more than {MAX_DEPTH} deep", str(file)) from error
    return node


def _refuse_surrogates(file: Path, node: ScalarNode) -> None:
    """An escape such as `\\ud800` makes half a character, which no JSON can carry."""
    if any("\ud800" <= char <= "\udfff" for char in node.value):
        raise CompanyUnreadable("an escape that is half a character", str(file), _line(node))


def _line(node: Node) -> int:
    line: int = node.start_mark.line
    return line + 1


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and _scalar(node) is None


def _scalar(node: ScalarNode) -> Value:
    text: str = node.value
    if node.style:
        return text
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return Numeral(text, int(text))
    if _FLOAT.fullmatch(text):
        return Numeral(text, float(text))
    if _INFINITE.fullmatch(text):
        return Numeral(text, float(text.replace(".", "", 1)))
    return text

"""From a company document to the engine document.

Each item is read by itself: one of the wrong shape becomes a *hole*, so that references to it are still known, and
everything else is still checked. What only the outside can tell is filled in by `outside`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import orjson

from kommutator.company import models, source
from kommutator.company.findings import At, Finding, Place, did_you_mean
from kommutator.company.outside import HOLE, Outside
from kommutator.company.prompts import PromptSource
from kommutator.company.shape import fit
from kommutator.company.source import Source, Value, type_names

SECTIONS: Final = (
    "company",
    "employees",
    "departments",
    "service_types",
    "groups",
    "schedules",
    "lists",
    "regions",
    "prompts",
    "templates",
    "numbers",
    "schemes",
)
"""The sections of a company document, in the order of the engine document."""

_DEFAULT_CARD: Final = {"name": "", "timezone": "UTC", "country": "RU", "language": "ru"}

M = TypeVar("M", bound=models.Model)


@dataclass(frozen=True, slots=True)
class LoadedCompany:
    """A company document as it was read: what the engine takes, and where each part of it was written."""

    document: dict[str, Any]
    """The engine document."""
    engine_json: bytes
    """The same as JSON: equal documents and files give equal bytes."""
    findings: list[dict[str, Any]]
    """What the reader found wrong, in the form of `kommutator check --json`; the engine's check finds the rest."""
    prompts: dict[str, PromptSource]
    """What adapters play; a prompt with an error is not there."""
    _source: Source
    _rows: dict[str, list[Place]]
    _blamed: frozenset[At]

    def blames(self, at: Sequence[str | int]) -> bool:
        """Whether the reader itself found something wrong exactly there."""
        return tuple(str(key) for key in at) in self._blamed

    def locate(self, at: Sequence[str | int]) -> tuple[str, int]:
        """File and 1-based line of a place in the engine document, given by the keys that lead to it.

        What is not there is blamed on its parent's line.
        """
        place = self._place(tuple(str(key) for key in at))
        return str(place.file), place.line

    def _place(self, at: At) -> Place:
        match at:
            case ("lists", name, "rows", index) if index.isdigit() and int(index) < len(self._rows.get(name, ())):
                return self._rows[name][int(index)]
            case ("lists", name, "rows", *_):
                at = ("lists", name, "file")
            case ("regions", name, "ranges", *_):
                at = ("regions", name, "plan")
        return self._source.locate(at)


def load(path: str | Path) -> LoadedCompany:
    """Reads the company document at `path`: a YAML file, or a folder whose YAML files are merged.

    Files that the document names are relative to its folder. Raises `CompanyUnreadable` when there is nothing to read;
    everything else that is wrong is in `findings`.
    """
    return _Reader(source.read(Path(path))).read()


class _Reader:
    def __init__(self, document: Source) -> None:
        self._source = document
        self._findings = document.findings

    def read(self) -> LoadedCompany:
        for name in self._source.data:
            if name not in SECTIONS:
                self._find("unknown_key", f"unknown section `{name}`{did_you_mean(name, SECTIONS)}", (name,))
        card = self._card()
        outside = Outside(self._source.folder, card["language"], card["country"], self._findings)
        document: dict[str, Any] = {
            "company": card,
            "employees": self._items("employees", models.Employee, _named),
            "departments": self._items("departments", models.Department, _named),
            "service_types": self._items("service_types", models.ServiceType, _named),
            "groups": self._items("groups", models.Group, _as_is),
            "schedules": self._items("schedules", models.Schedule, outside.schedule),
            "lists": self._items("lists", models.NumberList, outside.number_list),
            "regions": self._items("regions", models.Region, outside.region),
            "prompts": self._items("prompts", models.Prompt, outside.prompt),
            "templates": self._items("templates", models.Template, _as_is),
            "numbers": self._numbers(),
            "schemes": {name: self._scheme(name, value) for name, value in self._section("schemes").items()},
        }
        outside.fill_plan(document["regions"])
        findings = [finding.to_dict(finding.place or self._source.locate(finding.at)) for finding in self._findings]
        return LoadedCompany(
            document=document,
            engine_json=orjson.dumps(document),
            findings=sorted(findings, key=lambda finding: (finding["file"], finding["line"])),
            prompts=outside.prompts,
            _source=self._source,
            _rows=outside.rows,
            _blamed=frozenset(finding.at for finding in self._findings),
        )

    def _card(self) -> dict[str, Any]:
        value = self._source.data.get("company")
        if value is None:
            self._find("missing_key", "the section `company` is missing", ("company",))
            return dict(_DEFAULT_CARD)
        card = fit(models.Company, value, ("company",), self._findings)
        if card is not None:
            return card.engine()
        known = value if isinstance(value, dict) else {}
        readable = {key: text for key in _DEFAULT_CARD if isinstance(text := known.get(key), str)}
        if readable.get("language") not in ("ru", "en"):
            readable.pop("language", None)
        return _DEFAULT_CARD | readable

    def _items(
        self, section: str, model: type[M], engine: Callable[[str, M, At], dict[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        items = {}
        for name, value in self._section(section).items():
            item = fit(model, value, (section, name), self._findings)
            items[name] = dict(HOLE) if item is None else engine(name, item, (section, name))
        return items

    def _numbers(self) -> dict[str, dict[str, Any]]:
        """The numbers. The engine has no hole for one: it stays where its scheme can be read, else it is left out."""
        numbers = {}
        for name, value in self._section("numbers").items():
            item = fit(models.Number, value, ("numbers", name), self._findings)
            scheme = value.get("scheme") if isinstance(value, dict) else None
            if item is not None:
                numbers[name] = item.engine()
            elif isinstance(scheme, str):
                numbers[name] = {"scheme": scheme}
        return numbers

    def _scheme(self, name: str, value: Value) -> dict[str, Any]:
        at = ("schemes", name)
        frame = fit(models.Scheme, value, at, self._findings)
        written = value.get("nodes") if isinstance(value, dict) else None
        nodes = written if isinstance(written, dict) else {}
        read = {node: self._node(inner, (*at, "nodes", node)) for node, inner in nodes.items()}
        if frame is not None:
            return frame.engine() | {"nodes": read}
        keys = value if isinstance(value, dict) else {}
        readable = {key: text for key in ("start", "responsible") if isinstance(text := keys.get(key), str)}
        return {**readable, **HOLE, "nodes": read}

    def _node(self, value: Value, at: At) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._find("wrong_type", f"`{at[-1]}` must be a mapping with a `kind`, not {type_names[type(value)]}", at)
            return {"kind": "broken", "exits": {}}
        kind = value.get("kind")
        if isinstance(kind, str) and kind in models.KINDS:
            node = fit(models.KINDS[kind], value, at, self._findings)
            if node is not None:
                return node.engine()
        elif isinstance(kind, str):
            self._find("unknown_kind", f"unknown kind `{kind}`{did_you_mean(kind, models.KINDS)}", (*at, "kind"))
        elif kind is None:
            self._find("missing_key", f"`{at[-1]}`: `kind` is missing", (*at, "kind"))
        else:
            self._find("wrong_type", f"`kind` must be text, not {type_names[type(kind)]}", (*at, "kind"))
        exits = value.get("exits")
        wired = exits if isinstance(exits, dict) else {}
        return {"kind": "broken", "exits": {name: to for name, to in wired.items() if isinstance(to, str)}}

    def _section(self, name: str) -> dict[str, Value]:
        value = self._source.data.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._find("wrong_type", f"`{name}` must be a mapping of ids, not {type_names[type(value)]}", (name,))
            return {}
        return value

    def _find(self, code: str, message: str, at: At) -> None:
        self._findings.append(Finding(code, message, at))


def _as_is(_name: str, item: models.Model, _at: At) -> dict[str, Any]:
    return item.engine()


def _named(name: str, item: models.Model, _at: At) -> dict[str, Any]:
    return {"name": name} | item.engine()

"""Reads the configuration: a TOML file, then the environment over it, and remembers where each value came from.

The file is `--config FILE`, else `$KOMMUTATOR_CONFIG`, else `./kommutator.toml` where there is one, else none. An
environment variable is `KOMMUTATOR_` and the key's path with `__` between its parts, in capitals, `-` written as `_`:
`KOMMUTATOR_POSTGRES__DSN`, `KOMMUTATOR_ROUTERS__OFFICE__PBX__PASSWORD`. Lists and tables are written there as in TOML.
An empty variable counts as not set. A relative `data` in the file is beside the file; elsewhere, in the current folder.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kommutator.configuration import Configuration
from kommutator.errors import ConfigurationInvalid

FILE: Final = "kommutator.toml"
DEFAULT: Final = "default"
"""The source of a value that nobody has set."""

_PREFIX = "KOMMUTATOR_"
_OTHERS = frozenset(
    _PREFIX + name
    for name in (
        "CONFIG", "LIFELINE", "AUTHOR", "PASSWORD", "NATS_SERVER", "ARI_URL", "ARI_USER", "ARI_PASSWORD", "CACHE",
    )
)  # fmt: skip
"""Variables that mean something else: values of single commands, and of this project's own tests."""
_OLD_NAMES = {"KOMMUTATOR_DSN": ("postgres", "dsn")}

Path_ = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration as it was read."""

    configuration: Configuration
    sources: Mapping[str, str]
    """For each dotted key that was set: `FILE:LINE`, `$VARIABLE` or an option. Other keys have their default."""
    file: Path | None = None
    """The file that was read."""
    warnings: tuple[str, ...] = ()
    """What is not wrong, and surely not meant."""

    def source(self, key: str) -> str:
        """Where the value of a dotted key comes from."""
        return self.sources.get(key, DEFAULT)

    def overridden(self, option: str, **values: Any) -> Settings:
        """The settings with values of the command line over them, such as `data`; None is no value.

        A name with `__` is a path, as in the environment. Raises `ConfigurationInvalid`.
        """
        given = {tuple(name.split("__")): value for name, value in values.items() if value is not None}
        if not given:
            return self
        document = self.configuration.model_dump(exclude_unset=True)
        sources = dict(self.sources)
        for path, value in given.items():
            _put(document, path, value)
            sources[".".join(path)] = option
        return replace(self, configuration=_validated(document, sources), sources=sources)


def read(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """The settings of a file and an environment.

    Raises `ConfigurationInvalid` with everything that is wrong, each with its file and line or its variable.
    """
    file = _file(path, environ)
    document: dict[str, Any] = {}
    sources: dict[str, str] = {}
    if file is not None:
        document, lines = _read_file(file)
        sources = {".".join(key): f"{file}:{line}" for key, line in lines.items()}
        if isinstance(document.get("data"), str):
            document["data"] = file.parent / document["data"]
    warnings = []
    for name, text in sorted(environ.items()):
        if not name.startswith(_PREFIX) or name in _OTHERS or not text:
            continue
        key = _OLD_NAMES.get(name) or _key(name, document)
        if key is None:
            warnings.append(f"the environment variable {name} sets nothing that Kommutator knows")
        elif not (name in _OLD_NAMES and sources.get(".".join(key), "").startswith("$")):
            _put(document, key, _value(text))
            sources[".".join(key)] = f"${name}"
    # A section that a variable has written over has no lines of its own any more.
    return Settings(_validated(document, sources), _of_leaves(sources, document), file, tuple(warnings))


# --- the file


def _file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path is not None:
        return path
    if environ.get("KOMMUTATOR_CONFIG"):
        return Path(environ["KOMMUTATOR_CONFIG"])
    return Path(FILE) if Path(FILE).exists() else None


def _read_file(file: Path) -> tuple[dict[str, Any], dict[Path_, int]]:
    try:
        text = file.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationInvalid([f"{file}: {error.strerror}"]) from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigurationInvalid([f"{file}:{line}: not UTF-8"]) from error
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).rpartition(" (at ")
        line_of = place.removeprefix("line ").split(",")[0]
        line = int(line_of) if line_of.isdigit() else text.rstrip().count("\n") + 1
        raise ConfigurationInvalid([f"{file}:{line}: {message or error}"]) from error
    return document, _lines(text)


def _lines(text: str) -> dict[Path_, int]:
    """The line of each key of a valid TOML document.

    `tomllib` tells no positions. It does tell where a statement ends: at the first line end at which the statement is a
    document of its own.
    """
    found: dict[Path_, int] = {}
    table: Path_ = ()
    begun, statement = 1, ""
    for number, line in enumerate(text.split("\n"), start=1):
        statement += line + "\n"
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            for table in _keys(parsed):  # the last is the longest
                found.setdefault(table, begun)
        else:
            for key in _keys(parsed):
                found.setdefault(table + key, begun)
        begun, statement = number + 1, ""
    return found


def _keys(value: Any) -> Iterator[Path_]:
    """The paths of all keys within a value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (key,)
            for path in _keys(inner):
                yield (key, *path)


# --- the environment


def _key(name: str, document: Mapping[str, Any]) -> Path_ | None:
    """The key that a variable names; None when there is no such key.

    What people name themselves, such as routers, is looked for in the file, where it may be written otherwise than
    capitals and `_` can tell.
    """
    path: list[str] = []
    form: Any = Configuration
    here: Any = document
    for part in name.removeprefix(_PREFIX).lower().split("__"):
        forms = _forms(form)
        if get_origin(form) is dict:
            key = next((key for key in here if _plain(key) == _plain(part)), part) if isinstance(here, dict) else part
            form = get_args(form)[1]
        else:
            fields = {name: field for each in forms for name, field in each.model_fields.items()}
            if part not in fields:
                return None
            key, form = part, fields[part].annotation
        path.append(key)
        here = here.get(key) if isinstance(here, dict) else None
    return tuple(path) if path and not _is_section(form) else None


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def _forms(form: Any) -> list[type[BaseModel]]:
    """The forms that a value may have: several where `kind` tells."""
    if get_origin(form) is Annotated:
        return _forms(get_args(form)[0])
    if get_origin(form) in (Union, UnionType):
        return [each for member in get_args(form) for each in _forms(member)]
    return [form] if isinstance(form, type) and issubclass(form, BaseModel) else []


def _is_section(form: Any) -> bool:
    return bool(_forms(form)) or get_origin(form) is dict


def _value(text: str) -> Any:
    """A list or a table as TOML writes it; anything else as it is, for the form to read."""
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return text
    return text


def _put(document: dict[str, Any], path: Path_, value: Any) -> None:
    here = document
    for part in path[:-1]:
        inner = here.get(part)
        here[part] = here = dict(inner) if isinstance(inner, dict) else {}
    here[path[-1]] = value


# --- what is wrong with it


def _validated(document: Mapping[str, Any], sources: Mapping[str, str]) -> Configuration:
    try:
        return Configuration.model_validate(document)
    except ValidationError as error:
        # Without the input: it may be a secret.
        problems = [_problem(each, document, sources) for each in error.errors(include_input=False, include_url=False)]
        raise ConfigurationInvalid(problems) from None


def _problem(error: ErrorDetails, document: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    path = _without_kinds(error["loc"], document)
    message = error["msg"].removeprefix("Value error, ").rstrip(".")
    message = re.sub("^(Input|Value) should", "should", message)
    if error["type"] == "extra_forbidden":
        message = f"there is no such key{_meant(path)}"
    elif error["type"] == "missing":
        message = "is needed here"
    elif error["type"] == "union_tag_not_found":
        path, message = (*path, "kind"), "is needed here"
    elif error["type"] == "union_tag_invalid":
        expected = str(error["ctx"]["expected_tags"]).replace(", ", " or ")
        path, message = (*path, "kind"), f"should be {expected}"
    if error["type"] == "string_pattern_mismatch" and path[-1:] == ("[key]",):
        path, message = path[:-1], "a name has up to 32 Latin letters, digits, - and _"
    if not path:
        return message
    place = next((sources[key] for key in _enclosing(path) if key in sources), "")
    return f"{place}: {'.'.join(path)}: {message}" if place else f"{'.'.join(path)}: {message}"


def _without_kinds(location: tuple[int | str, ...], document: Mapping[str, Any]) -> Path_:
    """The path of an error as people write it: pydantic puts the chosen `kind` into it as a part."""
    path: list[str] = []
    here: Any = document
    for part in location:
        if isinstance(here, dict) and part not in here and here.get("kind") == part:
            continue
        path.append(str(part))
        try:
            here = here[part]
        except (KeyError, IndexError, TypeError):
            here = None
    return tuple(path)


def _meant(path: Path_) -> str:
    """The key that a misspelt one was perhaps meant to be, and else those that there are."""
    form: Any = Configuration
    for part in path[:-1]:
        if get_origin(form) is dict:
            form = get_args(form)[1]
            continue
        form = next((each.model_fields[part].annotation for each in _forms(form) if part in each.model_fields), None)
    known = sorted({name for each in _forms(form) for name in each.model_fields})
    close = get_close_matches(path[-1], known, 1)
    if close:
        return f"; `{close[0]}` is meant perhaps"
    return f"; there are {', '.join(known)}" if known else ""


def _enclosing(path: Path_) -> Iterator[str]:
    """The dotted key, and those around it, from the inside."""
    for length in range(len(path), 0, -1):
        yield ".".join(path[:length])


def _of_leaves(sources: Mapping[str, str], document: Mapping[str, Any]) -> dict[str, str]:
    """The sources of keys that hold values, less those of sections."""

    def value(key: str) -> Any:
        here: Any = document
        for part in key.split("."):
            here = here.get(part) if isinstance(here, dict) else None
        return here

    return {key: source for key, source in sources.items() if not isinstance(value(key), dict)}

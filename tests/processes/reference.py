"""The table of all settings, from their forms: `python -m tests.processes.reference` writes it into `deploy/README.md`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import orjson
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from kommutator.configuration import Configuration

PAGE = Path(__file__).parents[2] / "deploy" / "README.md"
_BEGIN, _END = "<!-- settings -->\n", "<!-- end of settings -->\n"


def table() -> str:
    """The table, in Markdown."""
    lines = ["| key | values | default | meaning |", "|---|---|---|---|"]
    lines += (
        f"| `{key}` | {values} | {default} | {meaning} |" for key, values, default, meaning in _rows(Configuration)
    )
    return "\n".join(lines) + "\n"


def page() -> str:
    """The page, with the table as it should be."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    return before + _BEGIN + table() + _END + rest.partition(_END)[2]


def _rows(form: type[BaseModel], path: str = "") -> Iterator[tuple[str, str, str, str]]:
    for name, field in form.model_fields.items():
        key = f"{path}{name}"
        forms = _forms(field.annotation)
        if get_origin(field.annotation) is dict and (named := _forms(get_args(field.annotation)[1])):
            key, forms = f"{key}.NAME", named
        if not forms:
            values, default = _values(field), _default(field)
            if ".retention." in key:
                values, default = f'{values}, `"forever"`', default.replace("none", '`"forever"`')
            yield key, values, default, (field.description or "").replace("\n", " ").replace("|", "\\|")
        elif len(forms) == 1 and "kind" not in forms[0].model_fields:
            yield from _rows(forms[0], f"{key}.")
        else:
            for each in forms:
                kind = get_args(each.model_fields["kind"].annotation)[0]
                meaning = " ".join((each.__doc__ or "").split())
                yield f'{key}.kind = "{kind}"', "", "", meaning
                for row in _rows(each, f"{key}."):
                    if row[0] != f"{key}.kind":
                        yield row


def _forms(annotation: Any) -> list[type[BaseModel]]:
    if get_origin(annotation) is Annotated:
        return _forms(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [form for member in get_args(annotation) for form in _forms(member)]
    return [annotation] if isinstance(annotation, type) and issubclass(annotation, BaseModel) else []


def _values(field: FieldInfo) -> str:
    bounds = {name: getattr(each, name) for each in field.metadata for name in ("ge", "le") if hasattr(each, name)}
    words = _type(field.annotation)
    if bounds:
        words += f" {bounds.get('ge', '')}…{bounds.get('le', '')}".rstrip()
    return words


def _type(annotation: Any) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inside[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in inside)
    if origin in (Union, UnionType):
        return ", ".join(_type(each) for each in inside if each is not NoneType)
    if origin is tuple:
        return "list of texts"
    if origin is dict:
        return f"table of {_type(inside[1])}s"
    named = {str: "text", int: "number", float: "number", bool: "`true`, `false`", SecretStr: "secret", Path: "path"}
    return named[annotation]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if value is None or value == {} or value == ():
        return "none"
    return f"`{orjson.dumps(str(value) if isinstance(value, Path) else value).decode()}`"


if __name__ == "__main__":
    PAGE.write_text(page())

"""What forms of requests and answers have in common.

A `Form` comes in: strictly typed, unknown keys are errors. A `View` goes out. Times are RFC 3339 with a zone, and go
out in UTC; text has no control characters, which PostgreSQL or a letter could not hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints

MAX_ID: Final = 10**15 - 1
"""Of an id, and of a count: JavaScript has them exactly."""
MAX_NUMBER: Final = 10**9 - 1
"""Of a version's number."""

_FIRST_YEAR, _LAST_YEAR = 1900, 2999
_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
_LINES = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _rfc3339(value: object) -> object:
    if not isinstance(value, str):
        return value
    if not _RFC3339.fullmatch(value):
        raise ValueError("a time is written as in RFC 3339, with its zone: 2026-11-18T09:00:00+03:00")
    at = datetime.fromisoformat(value.upper())
    if not in_reach(at):
        raise ValueError(f"the year is to be between {_FIRST_YEAR} and {_LAST_YEAR}")
    return at


def in_reach(at: datetime) -> bool:
    """Whether a time is one that things here can have, in any zone."""
    return _FIRST_YEAR <= at.year <= _LAST_YEAR


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_rfc3339),
    PlainSerializer(_instant, return_type=str, when_used="json"),
    Field(json_schema_extra={"format": "date-time", "examples": ["2026-11-18T06:00:00.000Z"]}),
]
"""A point in time."""
Line = Annotated[str, StringConstraints(pattern=_ONE_LINE, max_length=500)]
"""One line of text."""
Name = Annotated[str, StringConstraints(pattern=_ONE_LINE, min_length=1, max_length=200)]
"""A name or an id, not empty."""
Text = Annotated[str, StringConstraints(pattern=_LINES, max_length=20_000)]
"""Text of several lines."""
Spelling = Annotated[
    str, StringConstraints(pattern=_ONE_LINE, min_length=1, max_length=64), Field(examples=["8 916 123-45-67"])
]
"""A telephone number in any spelling."""
E164 = Annotated[str, Field(examples=["+79161234567"])]
"""A telephone number that goes out."""
Id = Annotated[int, Field(ge=1, le=MAX_ID)]


class Form(BaseModel):
    """A body or a query."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class View(BaseModel):
    """An answer; made from the memory's dataclasses by their attributes."""

    model_config = ConfigDict(
        frozen=True,
        from_attributes=True,
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
    )


def dumped(view: BaseModel) -> bytes:
    """An answer as JSON."""
    return view.__pydantic_serializer__.to_json(view)


def fields_of(form: BaseModel) -> Mapping[str, Any]:
    """The values of a form by name, for a draft of the memory."""
    return {name: getattr(form, name) for name in type(form).model_fields}

"""Lists by pages: `?limit=&after=` gives `{items, next}` and a `Link` header to the next page (RFC 8288).

The cursor is the key of the last item, so that a page costs the same however deep it is, and nothing is skipped or
doubled when rows are added meanwhile.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from urllib.parse import urlencode

import orjson
from pydantic import Field, StringConstraints
from quart import request
from werkzeug.datastructures import MultiDict
from werkzeug.urls import iri_to_uri

from kommutator.desk.forms import MAX_ID, Form, View, in_reach
from kommutator.desk.problems import FieldProblem, Problem

T = TypeVar("T")
V = TypeVar("V", bound=View)


class PageQuery(Form):
    """Which part of a list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    after: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,400}$")] | None = None
    """The `next` of the page before."""


class Page(View, Generic[V]):
    """A part of a list."""

    items: list[V]
    next: str | None
    """What `after` is for the next page; null: this is the last one."""


def cut(rows: Sequence[T], limit: int, key: Callable[[T], Sequence[object]]) -> tuple[Sequence[T], str | None]:
    """The page of `rows`, which were read with `limit + 1`, and the cursor of the next one."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], _written(key(rows[limit - 1]))


def number_after(query: PageQuery, most: int = MAX_ID) -> int | None:
    """The cursor of a list that is ordered by a number, at most so great. Raises `Problem` 422 for one that is none of ours."""
    key = _read(query.after, 1)
    if key is None:
        return None
    if not isinstance(key[0], int) or not 0 <= key[0] <= most:
        raise _not_ours()
    return key[0]


def moment_after(query: PageQuery) -> tuple[datetime, str] | None:
    """The cursor of a list that is ordered by time and id. Raises `Problem` 422 for one that is none of ours."""
    key = _read(query.after, 2)
    if key is None:
        return None
    if not isinstance(key[0], str) or not isinstance(key[1], str) or "\0" in key[1]:
        raise _not_ours()
    try:
        at = datetime.fromisoformat(key[0])
    except ValueError:
        raise _not_ours() from None
    if at.tzinfo is None or not in_reach(at):
        raise _not_ours()
    return at, key[1]


def link(after: str) -> str:
    """The header `Link` to the next page of the list that was asked for."""
    arguments: MultiDict[str, str] = request.args.copy()
    arguments["after"] = after
    return f'<{iri_to_uri(request.path)}?{urlencode(list(arguments.items(multi=True)))}>; rel="next"'


def _written(key: Sequence[object]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(list(key))).decode().rstrip("=")


def _read(after: str | None, length: int) -> list[Any] | None:
    if after is None:
        return None
    try:
        key = orjson.loads(base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)))
    except ValueError:
        raise _not_ours() from None
    if not isinstance(key, list) or len(key) != length:
        raise _not_ours()
    return key


def _not_ours() -> Problem:
    wrong = FieldProblem(path="query.after", message="this is no cursor of this list")
    return Problem(422, "form_invalid", "the query is not of its form", fields=[wrong])

"""Operations of the API: each states its form once, and that is checked, served and documented.

A feature's handler gets what was asked, typed and allowed, and gives back a view:

    @feature.get("/api/clients/<id:client_id>", returns=Client, revision=True)
    async def get_client(asked: Asked, client_id: int) -> Client: ...

`query` and `body` name the forms that are read into arguments of these names; with `if_match` the handler gets the
`revision` that the request has seen. Who may do it stands in `auth.rights`, by the handler's name.

(quart-schema is not used: it builds a pydantic adapter at every request and answer, takes `"1"` for a number, and its
document knows neither errors, ETags, media nor rights, so that little more than its decorators would remain.)
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from quart import Quart, Response, current_app, g, request

from kommutator.crm.pool import Tx
from kommutator.desk import etags, paging, problems
from kommutator.desk.auth import identity
from kommutator.desk.auth.identity import Who
from kommutator.desk.forms import Form, View, dumped
from kommutator.desk.problems import Problem
from kommutator.desk.services import Services

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Handler = Callable[..., Awaitable[Any]]
H = TypeVar("H", bound=Handler)
JSON: Final = "application/json"
MAX_BODY: Final = 1024 * 1024
"""Bytes of a body, unless an operation takes more."""
EXTENSION: Final = "kommutator"


@dataclass(frozen=True, slots=True)
class Asked:
    """What every operation has at hand."""

    services: Services
    who: Who
    now: datetime

    def transaction(self) -> AbstractAsyncContextManager[Tx]:
        """A transaction of whoever asks."""
        return self.services.database.transaction(self.who.actor)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with more than its view: another status, or headers."""

    view: View | None
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address."""

    name: str
    method: Method
    path: str
    tag: str
    handler: Handler
    returns: type[View] | None
    """None: an answer without a body, or of `media`."""
    statuses: tuple[int, ...]
    query: type[Form] | None
    body: type[Form] | None
    media: str | None
    """The content type of an answer that is no JSON."""
    takes: tuple[str, ...]
    """Content types of a body that the handler reads itself."""
    limit: int
    """Bytes of the body."""
    revision: bool
    """The answer bears an ETag."""
    if_match: bool
    headers: tuple[str, ...]
    """Names of request headers that it needs."""
    also: tuple[int, ...]
    """Statuses of errors beyond those that follow from its form."""

    @property
    def summary(self) -> str:
        """The first sentence of the handler's docstring."""
        return self._words()[0]

    @property
    def description(self) -> str:
        """The rest of it."""
        return self._words()[1]

    def _words(self) -> tuple[str, str]:
        text = inspect.getdoc(self.handler) or self.name
        first, _, rest = text.partition("\n\n")
        return " ".join(first.split()), rest


class Feature:
    """The operations of one subject."""

    def __init__(self, tag: str, about: str) -> None:
        self.tag = tag
        self.about = about
        self.operations: list[Operation] = []

    def operation(
        self,
        method: Method,
        path: str,
        *,
        returns: type[View] | None = None,
        statuses: tuple[int, ...] = (),
        query: type[Form] | None = None,
        body: type[Form] | None = None,
        media: str | None = None,
        takes: tuple[str, ...] = (),
        limit: int = MAX_BODY,
        revision: bool = False,
        if_match: bool = False,
        headers: tuple[str, ...] = (),
        also: tuple[int, ...] = (),
    ) -> Callable[[H], H]:
        """States an operation; the handler stays as it is."""

        def state(handler: H) -> H:
            usual = 200 if returns is not None or media is not None else 204
            self.operations.append(
                Operation(
                    handler.__name__,
                    method,
                    path,
                    self.tag,
                    handler,
                    returns,
                    statuses or (usual,),
                    query,
                    body,
                    media,
                    takes,
                    limit,
                    revision,
                    if_match,
                    headers,
                    also,
                )
            )
            return handler

        return state

    def get(self, path: str, **form: Any) -> Callable[[H], H]:
        """Reads."""
        return self.operation("GET", path, **form)

    def post(self, path: str, **form: Any) -> Callable[[H], H]:
        """Makes or does."""
        return self.operation("POST", path, **form)

    def put(self, path: str, **form: Any) -> Callable[[H], H]:
        """Writes over."""
        return self.operation("PUT", path, **form)

    def delete(self, path: str, **form: Any) -> Callable[[H], H]:
        """Takes away."""
        return self.operation("DELETE", path, **form)


def add(app: Quart, operation: Operation) -> None:
    """Serves an operation."""

    async def view(**path: Any) -> Response:
        services: Services = current_app.extensions[EXTENSION]
        now = services.clock()
        g.who = who = await identity.admitted(services, operation.name, now)
        arguments: dict[str, Any] = dict(path)
        if operation.query is not None:
            arguments["query"] = _query(operation.query)
        if operation.body is not None:
            arguments["body"] = await _body(operation.body)
        elif operation.takes and request.mimetype not in operation.takes:
            raise _unsupported(operation.takes)
        if operation.if_match:  # after the other checks (RFC 9110, 13.2.1)
            arguments["revision"] = etags.expected()
        return _response(operation, await operation.handler(Asked(services, who, now), **arguments))

    app.add_url_rule(operation.path, operation.name, view, methods=[operation.method])


def _query(form: type[Form]) -> Form:
    given: dict[str, Any] = {}
    for key, values in request.args.lists():
        if len(values) > 1:
            wrong = problems.FieldProblem(path=f"query.{key}", message="is given more than once")
            raise Problem(422, "form_invalid", "the query is not of its form", fields=[wrong])
        given[key] = values[0]
    try:
        return form.model_validate_strings(given)
    except ValidationError as error:
        raise problems.of_validation(error, "query") from None


async def _body(form: type[Form]) -> Form:
    if request.mimetype != JSON:
        raise _unsupported((JSON,))
    raw = await request.get_data(as_text=False)
    try:
        return form.model_validate_json(raw)
    except ValidationError as error:
        if any(each["type"] == "json_invalid" for each in error.errors(include_input=False)):
            raise Problem(400, "bad_json", "the body is no JSON") from None
        raise problems.of_validation(error, "body") from None


def _unsupported(types: tuple[str, ...]) -> Problem:
    return Problem(415, "unsupported_media_type", f"the body is to be {' or '.join(types)}")


def _response(operation: Operation, result: object) -> Response:
    if isinstance(result, Response):
        return result
    reply = result if isinstance(result, Reply) else Reply(_view(result), operation.statuses[0])
    if reply.view is None:
        return Response(b"", reply.status, dict(reply.headers))
    response = Response(dumped(reply.view), reply.status, dict(reply.headers), content_type=JSON)
    if operation.revision:
        response.headers["ETag"] = etags.of(getattr(reply.view, "revision"))  # noqa: B009 - any view of those stated so
    if isinstance(reply.view, paging.Page) and reply.view.next is not None:
        response.headers["Link"] = paging.link(reply.view.next)
    return response


def _view(result: object) -> View | None:
    assert result is None or isinstance(result, View)
    return result


def models(operation: Operation) -> list[tuple[type[BaseModel], Literal["validation", "serialization"]]]:
    """The forms that an operation's document refers to."""
    found: list[tuple[type[BaseModel], Literal["validation", "serialization"]]] = []
    found += [(form, "validation") for form in (operation.query, operation.body) if form is not None]
    if operation.returns is not None:
        found.append((operation.returns, "serialization"))
    return found

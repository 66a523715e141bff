"""Errors as the API tells them: problem details (RFC 9457), the same form whatever went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from pydantic import Field, ValidationError
from quart import Quart, Response
from werkzeug.exceptions import HTTPException

from kommutator import errors
from kommutator.desk.forms import View, dumped

MEDIA_TYPE: Final = "application/problem+json"
TYPES: Final = "urn:kommutator:problem:"
RETRY_AFTER_S: Final = 2


class FieldProblem(View):
    """What is wrong at one place."""

    path: str
    """Where: `body.numbers.0`, `query.limit`; of a company document, its file and line."""
    message: str
    code: str | None = None


class ProblemDetails(View):
    """What went wrong (RFC 9457). Machines may rely on `status` and `code`; the texts are for people."""

    type: str = Field(examples=["urn:kommutator:problem:not_found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(ge=400, le=599)
    detail: str
    code: str = Field(examples=["not_found"])
    errors: list[FieldProblem] = Field([])


class Problem(Exception):
    """An answer that is an error. `code` is stable."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        fields: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, code, detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.fields = list(fields)
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """As it is sent."""
        told = ProblemDetails(
            type=TYPES + self.code,
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            code=self.code,
            errors=self.fields,
        )
        return Response(dumped(told), self.status, self.headers, content_type=MEDIA_TYPE)


STATUSES: Final[tuple[tuple[type[errors.KommutatorError], int], ...]] = (
    (errors.NotFound, 404),
    (errors.Conflict, 412),
    (errors.NoRollback, 409),
    (errors.Refused, 422),
    (errors.BadNumber, 422),
    (errors.CompanyInvalid, 422),
    (errors.CompanyUnreadable, 422),
    (errors.SignInRefused, 401),
    (errors.SignInThrottled, 429),
    (errors.DatabaseUnreachable, 503),
    (errors.ExchangeUnreachable, 503),
    (errors.ExchangeTimeout, 503),
    (errors.NobodyThere, 503),
)
"""How our own errors are told; the first that fits counts. What is not here is a defect of ours: 500."""


def of_error(error: errors.KommutatorError) -> Problem:
    """One of our own errors as an answer."""
    for kind, status in STATUSES:
        if isinstance(error, kind):
            return Problem(status, error.code, str(error), fields=_findings(error), headers=_headers(error, status))
    return unexpected()


def of_validation(error: ValidationError, place: str) -> Problem:
    """A request that is not of its form: 422. What was sent is not repeated: it may be a secret."""
    found = [
        FieldProblem(
            path=".".join([place, *map(str, each["loc"])]),
            message=each["msg"].removeprefix("Value error, "),
            code=each["type"],
        )
        for each in error.errors(include_url=False, include_input=False, include_context=False)[:100]
    ]
    return Problem(422, "form_invalid", f"the {place} is not of its form", fields=found)


def unexpected() -> Problem:
    """A defect of ours; the log has it under the request's id."""
    return Problem(500, "internal_error", "something went wrong in the desk; its log has it under this request's id")


def install(app: Quart) -> None:
    """Lets every error of the application leave as a problem."""

    async def problem(error: Problem) -> Response:
        return error.response()

    async def ours(error: errors.KommutatorError) -> Response:
        answer = of_error(error)
        if answer.status >= 500:
            structlog.get_logger().warning("request failed", code=error.code, reason=str(error))
        return answer.response()

    async def http(error: HTTPException) -> Response:
        status = error.code or 500
        if error.response is not None or status < 400:
            return Response(status=status, headers=dict(error.get_headers()))
        headers = {key: value for key, value in error.get_headers() if key not in ("Content-Type", "Content-Length")}
        title = HTTPStatus(status).phrase
        return Problem(status, title.casefold().replace(" ", "_"), _HTTP.get(status, title), headers=headers).response()

    async def defect(error: Exception) -> Response:
        structlog.get_logger().error("request failed", exc_info=error)
        return unexpected().response()

    app.register_error_handler(Problem, problem)
    app.register_error_handler(errors.KommutatorError, ours)
    app.register_error_handler(HTTPException, http)
    app.register_error_handler(Exception, defect)


_HTTP: Final = {
    400: "the request cannot be understood",
    404: "there is nothing at this address",
    405: "this address does not know this method",
    413: "the body is larger than is taken here",
    416: "the sound has no such range",
}


def _findings(error: errors.KommutatorError) -> list[FieldProblem]:
    found: list[Mapping[str, Any]] = []
    if isinstance(error, errors.CompanyInvalid):
        found = list(error.findings[:100])
    elif isinstance(error, errors.CompanyUnreadable):
        found = [{"file": error.file, "line": error.line, "message": error.message}]
    return [
        FieldProblem(
            path=":".join(str(part) for part in (each.get("file") or "", each.get("line")) if part is not None),
            message=str(each.get("message")),
            code=each.get("code"),
        )
        for each in found
    ]


def _headers(error: errors.KommutatorError, status: int) -> dict[str, str]:
    if isinstance(error, errors.SignInThrottled):
        return {"Retry-After": str(error.retry_after_s)}
    if status == 503:
        return {"Retry-After": str(RETRY_AFTER_S)}
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="kommutator"'}
    if isinstance(error, errors.Conflict):
        return {"ETag": f'"{error.revision}"'}
    return {}

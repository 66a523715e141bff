"""The OpenAPI 3.1 document, made from the statements of the operations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from kommutator.desk import problems
from kommutator.desk.auth.rights import RIGHTS, table
from kommutator.desk.forms import MAX_ID, MAX_NUMBER
from kommutator.desk.operations import JSON, Feature, Operation, models
from kommutator.desk.problems import ProblemDetails

_PLACE: Final = re.compile(r"<(\w+):(\w+)>")
PARAMETERS: Final[dict[str, dict[str, Any]]] = {
    "id": {"type": "integer", "minimum": 1, "maximum": MAX_ID},
    "number": {"type": "integer", "minimum": 1, "maximum": MAX_NUMBER},
    "endpoint": {"type": "string", "maxLength": 97, "examples": ["PJSIP/101"]},
    "word": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[^/\x00-\x1f\x7f]+$"},
}
"""The schema of each converter of `app`."""
_REF: Final = "#/components/schemas/{model}"
_HEADERS: Final = {
    "If-Match": ("The ETag of what is changed.", {"type": "string", "pattern": '^"[0-9]{1,9}"$', "examples": ['"3"']}),
    "Idempotency-Key": (
        "The identity of what is made: sent twice, it is made once.",
        {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[A-Za-z0-9_:.-]+$"},
    ),
    "Range": ("A part of the sound (RFC 9110, 14.2).", {"type": "string", "examples": ["bytes=0-1023"]}),
}
_OPTIONAL: Final = frozenset({"Range"})
_SAYS: Final = {
    400: "The body is no JSON, or a header is malformed.",
    401: "Not signed in, or the login, password or token is wrong.",
    403: "The role or the scope is not enough, or the CSRF token is missing.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "It cannot be done in this state.",
    412: "It was changed meanwhile; ETag has the revision that is there.",
    413: "The body is too large.",
    415: "The body is not of a type that is taken.",
    416: "There is no such range.",
    422: "Not of the form, or against a rule; `errors` tells where.",
    428: "If-Match is missing.",
    429: "Too many failures; Retry-After says how long to wait.",
    500: "A defect of the desk.",
    503: "The database or the exchange cannot be reached; Retry-After says when to try again.",
}


def document(features: Sequence[Feature]) -> dict[str, Any]:
    """The document of these features."""
    operations = [operation for feature in features for operation in feature.operations]
    wanted: dict[tuple[type[BaseModel], Any], None] = {(ProblemDetails, "serialization"): None}
    for operation in operations:
        wanted.update(dict.fromkeys(models(operation)))
    references, schemas = models_json_schema(list(wanted), ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = _PLACE.sub(r"{\2}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, references, schemas["$defs"])
    used = {form.__name__ for each in operations for form in (each.query,) if form is not None}
    components = {name: schema for name, schema in schemas["$defs"].items() if name not in used}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Kommutator", "version": version("kommutator"), "description": _ABOUT + table()},
        "tags": [{"name": feature.tag, "description": feature.about} for feature in features],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "kommutator"},
                "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _operation(operation: Operation, references: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    right = RIGHTS[operation.name]
    security: list[dict[str, list[str]]] = []
    if right.role is not None:
        security.append({"session": []} if operation.method == "GET" else {"session": [], "csrf": []})
        if right.scope is not None:
            security.append({"token": []})
    told: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": "\n\n".join(part for part in (operation.description, _allowed(operation)) if part),
        "security": security,
        "parameters": [
            *_path(operation),
            *_query(operation, schemas),
            *(_header(name) for name in (*(("If-Match",) if operation.if_match else ()), *operation.headers)),
        ],
        "responses": _responses(operation, references),
    }
    if operation.body is not None:
        told["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": references[operation.body, "validation"]}},
        }
    elif operation.takes:
        binary = {"schema": {"type": "string", "format": "binary"}}
        told["requestBody"] = {"required": True, "content": dict.fromkeys(operation.takes, binary)}
    return told


def _allowed(operation: Operation) -> str:
    right = RIGHTS[operation.name]
    if right.role is None:
        return "Anybody may."
    scope = f" Tokens: scope `{right.scope}`." if right.scope else ""
    return f"Least role: {right.role}.{scope}"


def _path(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": PARAMETERS[kind]}
        for kind, name in _PLACE.findall(operation.path)
    ]


def _query(operation: Operation, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    form = schemas[operation.query.__name__]
    found = []
    for name, schema in form["properties"].items():
        kept = {key: value for key, value in schema.items() if key not in ("description", "title", "default")}
        alternatives = [each for each in kept.get("anyOf", ()) if each != {"type": "null"}]
        if len(alternatives) == 1:  # a query has no null: what is not there is left out
            del kept["anyOf"]
            kept.update(alternatives[0])
        parameter = {"name": name, "in": "query", "required": name in form.get("required", ()), "schema": kept}
        if "description" in schema:
            parameter["description"] = schema["description"]
        if schema.get("default") is not None:
            kept["default"] = schema["default"]
        found.append(parameter)
    return found


def _header(name: str) -> dict[str, Any]:
    says, schema = _HEADERS[name]
    return {"name": name, "in": "header", "required": name not in _OPTIONAL, "description": says, "schema": schema}


def _responses(operation: Operation, references: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status in operation.statuses:
        answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if operation.returns is not None:
            answer["content"] = {JSON: {"schema": references[operation.returns, "serialization"]}}
        elif operation.media is not None:
            answer["content"] = {operation.media: {"schema": {"type": "string", "format": "binary"}}}
        if operation.revision:
            answer["headers"] = {"ETag": {"description": "Its revision.", "schema": {"type": "string"}}}
        found[str(status)] = answer
    problem = {problems.MEDIA_TYPE: {"schema": references[ProblemDetails, "serialization"]}}
    for status in sorted(_errors(operation)):
        if str(status) not in found:
            found[str(status)] = {"description": _SAYS[status], "content": problem}
    return found


def _errors(operation: Operation) -> set[int]:
    statuses = {500, 503, *operation.also}
    if RIGHTS[operation.name].role is not None:
        statuses |= {401, 403}
    if _PLACE.search(operation.path):
        statuses.add(404)
    if operation.query is not None:
        statuses.add(422)
    if operation.body is not None:
        statuses |= {400, 408, 413, 415, 422}
    elif operation.takes:
        statuses |= {408, 413, 415, 422}
    if operation.if_match:
        statuses |= {400, 412, 428}
    return statuses


_ABOUT: Final = """The API of Kommutator's desk.

**Form.** JSON in UTF-8; unknown keys are errors; a body has `Content-Type: application/json` and at most 1 MiB. Times
are RFC 3339, and go out in UTC. Telephone numbers go out as E.164. Lists are given by pages: `?limit=&after=`, with
`next` in the answer and in the header `Link`.

**Errors** are problem details (RFC 9457) with a stable `code`; `errors` tells places and reasons.

**Changes** of what has a revision need `If-Match` with the ETag that came with it: 428 without it, 412 when somebody
else was faster.

**Signing in.** People: `POST /api/sign-in` gives a cookie, and a `csrf` token to send as `X-CSRF-Token` with everything
that is not a GET. Behind https the cookies are called `__Host-kommutator` and `__Host-kommutator-csrf`. Machines:
`Authorization: Bearer TOKEN`.

**Rights.** Roles, from the one who may least: operator, manager, supervisor, administrator; each may what those before
him may.

"""

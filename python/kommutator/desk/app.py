"""The application: all features, behind the same errors, headers and rights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from quart import Quart, Request, Response
from werkzeug.routing import BaseConverter, IntegerConverter
from werkzeug.routing.map import Map

from kommutator.desk import document, operations, problems, requests
from kommutator.desk.auth import routes as auth
from kommutator.desk.auth.rights import RIGHTS
from kommutator.desk.clients import routes as clients
from kommutator.desk.forms import MAX_ID, MAX_NUMBER
from kommutator.desk.health import routes as health
from kommutator.desk.operations import Feature
from kommutator.desk.services import Services

FEATURES: Final[tuple[Feature, ...]] = (auth.feature, clients.feature, health.feature)


def create(services: Services) -> Quart:
    """The application on these services. The one who gives them opens and closes them."""
    app = _Desk("kommutator.desk", static_folder=None)
    app.extensions[operations.EXTENSION] = services
    app.config["MAX_CONTENT_LENGTH"] = operations.MAX_BODY
    for name, converter in _CONVERTERS.items():
        app.url_map.converters[name] = converter
    problems.install(app)
    requests.install(app, services.secure)
    told = orjson.dumps(openapi())

    async def openapi_document() -> Response:
        return Response(told, content_type=operations.JSON)

    app.add_url_rule("/api/openapi.json", "openapi", openapi_document, methods=["GET"])
    for operation in every_operation():
        app.limits[operation.path] = max(operation.limit, app.limits.get(operation.path, 0))
        operations.add(app, operation)
    return app


def openapi() -> dict[str, Any]:
    """The OpenAPI document; it needs no services."""
    return document.document(FEATURES)


def every_operation() -> list[operations.Operation]:
    """All operations; each has its right, and each right its operation."""
    found = [operation for feature in FEATURES for operation in feature.operations]
    names = [operation.name for operation in found]
    assert len(set(names)) == len(names) and set(names) == set(RIGHTS), set(names) ^ set(RIGHTS)
    return found


class _Desk(Quart):
    """Quart, with a limit of the body by address."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.limits: dict[str, int] = {}
        desk = self

        class DeskRequest(Request):
            """The body begins to arrive before any handler runs: its limit is known from the address alone."""

            def __init__(self, *given: Any, max_content_length: int | None = None, **more: Any) -> None:
                path = given[2]
                super().__init__(*given, max_content_length=desk.limits.get(path, max_content_length), **more)

        self.request_class = DeskRequest


class _Id(IntegerConverter):
    """A key of the database."""

    regex = "[1-9][0-9]{0,18}"

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, min=1, max=MAX_ID)


class _Number(IntegerConverter):
    """The number of a version."""

    regex = "[1-9][0-9]{0,9}"

    def __init__(self, url_map: Map) -> None:
        super().__init__(url_map, min=1, max=MAX_NUMBER)


class _Word(BaseConverter):
    """An id that is a word, without control characters."""

    regex = r"[^/\x00-\x1f\x7f]{1,200}"


_CONVERTERS: Final[Mapping[str, type[BaseConverter]]] = {"id": _Id, "number": _Number, "word": _Word}

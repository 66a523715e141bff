"""The application: all features, behind the same errors, headers and rights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from quart import Quart, Request, Response
from werkzeug.routing import BaseConverter, IntegerConverter

from kommutator.desk import document, operations, pages, problems, requests
from kommutator.desk.audit import routes as audit
from kommutator.desk.auth import routes as auth
from kommutator.desk.auth.rights import RIGHTS
from kommutator.desk.calls import routes as calls
from kommutator.desk.clients import routes as clients
from kommutator.desk.drafts import routes as drafts
from kommutator.desk.enquiries import routes as enquiries
from kommutator.desk.events import routes as events
from kommutator.desk.floor import routes as floor
from kommutator.desk.forms import MAX_ID, MAX_NUMBER
from kommutator.desk.health import routes as health
from kommutator.desk.hooks import routes as hooks
from kommutator.desk.interactions import routes as interactions
from kommutator.desk.interests import routes as interests
from kommutator.desk.missed import routes as missed
from kommutator.desk.notices import routes as notices
from kommutator.desk.operations import Feature
from kommutator.desk.orders import routes as orders
from kommutator.desk.people import routes as people
from kommutator.desk.phones import routes as phones
from kommutator.desk.recordings import routes as recordings
from kommutator.desk.services import Services
from kommutator.desk.tasks import routes as tasks
from kommutator.desk.tokens import routes as tokens
from kommutator.desk.users import routes as users
from kommutator.desk.versions import routes as versions

FEATURES: Final[tuple[Feature, ...]] = tuple(
    module.feature
    for module in (
        auth,
        clients,
        interactions,
        interests,
        enquiries,
        drafts,
        calls,
        recordings,
        missed,
        tasks,
        notices,
        people,
        floor,
        events,
        orders,
        phones,
        versions,
        users,
        tokens,
        audit,
        health,
        hooks,
    )
)


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
    pages.install(app)
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
    """A key of the database. Its bound is that of the pattern: what is beyond it is no such address (404)."""

    regex = f"[1-9][0-9]{{0,{len(str(MAX_ID)) - 1}}}"


class _Number(IntegerConverter):
    """The number of a version."""

    regex = f"[1-9][0-9]{{0,{len(str(MAX_NUMBER)) - 1}}}"


class _Endpoint(BaseConverter):
    """A phone: an endpoint of a PBX, or an E.164 number."""

    regex = r"(?:[A-Za-z0-9]{1,32}/)?[A-Za-z0-9_.+-]{1,64}"
    part_isolating = False


class _Word(BaseConverter):
    """An id that is a word, without control characters."""

    regex = r"[^/\x00-\x1f\x7f]{1,200}"


_CONVERTERS: Final[Mapping[str, type[BaseConverter]]] = {
    "id": _Id,
    "number": _Number,
    "word": _Word,
    "endpoint": _Endpoint,
}

"""What watches the process asks here. Nobody signs in for it: it tells states and sums, and nothing of any client or call."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from quart import Response

from kommutator.desk.forms import View
from kommutator.desk.operations import Asked, Feature, Reply

feature = Feature(
    "health", "Whether the desk lives and can serve, and its figures. Nobody signs in for them: they tell sums only"
)


class Health(View):
    """The process answers."""

    status: str = "ok"


class Readiness(View):
    """Whether the desk can serve."""

    ready: bool
    checks: dict[str, str | None]
    """By subject: null is well, else what is wrong."""


@feature.get("/healthz", returns=Health)
async def health(_asked: Asked) -> Health:
    """Whether the process lives; what it depends on is not asked."""
    return Health()


@feature.get("/readyz", returns=Readiness, statuses=(200, 503))
async def readiness(asked: Asked) -> Reply:
    """Whether the desk can serve now: 503 when something that it depends on is away, and what."""
    found = {name: check() for name, check in asked.services.checks.items()}
    ready = all(wrong is None for wrong in found.values())
    return Reply(Readiness(ready=ready, checks=found), 200 if ready else 503)


@feature.get("/metrics", media="text/plain")
async def metrics(_asked: Asked) -> Response:
    """The figures of this process, in Prometheus' text form."""
    return Response(generate_latest(), content_type=CONTENT_TYPE_LATEST)

"""What happens around every request: its id, its line in the log, its figures, and the headers that guard the browser."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Sequence
from typing import Final

import structlog
from quart import Quart, Response, g, request

from kommutator.desk.health import metrics

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
GUARDS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob:; "
        "font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
"""Of every answer. No script or style stands in a page itself."""
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_HTTPS_ONLY: Final = "max-age=31536000"


def install(app: Quart, secure: bool, connect: Sequence[str] = ()) -> None:
    """Puts these around all requests of the application. `connect`: the origins besides ours that pages may connect to."""
    policy = "Content-Security-Policy"
    guards = {
        **GUARDS,
        policy: GUARDS[policy].replace("connect-src 'self'", " ".join(("connect-src 'self'", *connect))),
    }

    async def before() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        g.began = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=g.request_id)

    async def after(response: Response) -> Response:
        for name, value in guards.items():
            response.headers.setdefault(name, value)
        if secure:
            response.headers.setdefault("Strict-Transport-Security", _HTTPS_ONLY)
        if request.path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        response.headers["X-Request-ID"] = g.request_id
        _note(response)
        return response

    app.before_request(before)
    app.after_request(after)


def _note(response: Response) -> None:
    taken_s = time.perf_counter() - g.began
    rule = request.url_rule
    route = rule.rule if rule is not None else "none"
    method = request.method if request.method in _METHODS else "other"
    metrics.requests.labels(method, route, str(response.status_code)).inc()
    metrics.seconds.labels(method, route).observe(taken_s)
    who = g.get("who")
    structlog.get_logger().info(
        "request",
        method=request.method,
        route=route,
        status=response.status_code,
        ms=round(taken_s * 1000, 1),
        user=who.actor if who is not None else None,
    )

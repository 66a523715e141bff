"""`/metrics`, `/healthz` and `/readyz` of a router, served by threads of their own: they answer when the router cannot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

OLDEST_BEAT_S: Final = 5.0
_REQUEST_S: Final = 5.0


class Health:
    """How the router is, as its own loop last said. Written by the loop, read by the server's threads."""

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self._facts: Mapping[str, Any] = {}
        self._missing: tuple[str, ...] = ("the router is starting",)

    def say(self, missing: tuple[str, ...], facts: Mapping[str, Any]) -> None:
        """The loop turns, and this is so now."""
        self._missing, self._facts, self._beat = missing, facts, time.monotonic()

    def healthy(self) -> tuple[bool, dict[str, Any]]:
        """Whether the loop has turned within the last seconds."""
        age_s = time.monotonic() - self._beat
        return age_s < OLDEST_BEAT_S, {"healthy": age_s < OLDEST_BEAT_S, "beat_seconds_ago": round(age_s, 1)}

    def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether calls are routed, and what is missing."""
        missing = list(self._missing)
        if not self.healthy()[0]:
            missing.append("the router's loop does not turn")
        return not missing, {"ready": not missing, "missing": missing, **self._facts}


@contextmanager
def serving(listen: str | None, health: Health, registry: CollectorRegistry) -> Iterator[str | None]:
    """Serve on `host:port` (port 0: one that is free) meanwhile; yields the address. What cannot be listened on is
    alarmed, and routing goes on."""
    server = None if listen is None else _listen(listen, health, registry)
    if server is None:
        yield None
        return
    host, port = server.server_address[:2]
    address = f"http://{host!s}:{port}"
    thread = threading.Thread(target=server.serve_forever, name="figures", daemon=True)
    thread.start()
    structlog.get_logger().info("figures are served", url=f"{address}/metrics")
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listen(listen: str, health: Health, registry: CollectorRegistry) -> ThreadingHTTPServer | None:
    host, _, port = listen.rpartition(":")
    try:
        server = ThreadingHTTPServer((host.strip("[]"), int(port)), _handler(health, registry))
    except (OSError, ValueError, OverflowError) as error:
        structlog.get_logger().critical(
            "figures cannot be served; calls go on", alarm="figures", listen=listen, reason=str(error)
        )
        return None
    server.daemon_threads = True
    return server


def _handler(health: Health, registry: CollectorRegistry) -> type[BaseHTTPRequestHandler]:
    def state(of: Callable[[], tuple[bool, dict[str, Any]]]) -> tuple[int, str, bytes]:
        good, body = of()
        return 200 if good else 503, "application/json", orjson.dumps(body)

    class Handler(BaseHTTPRequestHandler):
        server_version = "Kommutator"
        sys_version = ""
        timeout = _REQUEST_S

        def do_GET(self) -> None:
            match urlsplit(self.path).path:
                case "/metrics":
                    encode, form = choose_encoder(self.headers.get("Accept") or "")
                    self._answer(200, form, encode(registry))
                case "/healthz":
                    self._answer(*state(health.healthy))
                case "/readyz":
                    self._answer(*state(health.ready))
                case _:
                    self._answer(404, "text/plain; charset=utf-8", b"/metrics, /healthz and /readyz are here\n")

        def _answer(self, status: int, form: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", form)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Requests are not logged."""

    return Handler

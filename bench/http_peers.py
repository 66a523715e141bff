"""The same answer over HTTP by what a user would write instead: an application around the engine, for two servers.

`hypercorn` serves `QUART`, `granian` serves `bare`: the one is what the desk is made of, the other the least that a server
can be given (ASGI without a framework).
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from quart import Quart, Response, request

from kommutator import Engine

ENGINE = Engine.load(os.environ["BENCH_COMPANY"])
QUART = Quart(__name__)


def decide(body: bytes) -> bytes:
    """The turn of an arrival, as JSON."""
    given = orjson.loads(body)
    now_ms = time.time_ns() // 1_000_000
    return orjson.dumps(ENGINE.arrive(given["call_id"], given["did"], given["caller"], now_ms).to_dict())


@QUART.post("/v1/calls")
async def arrive() -> Response:
    """An arrival."""
    body = await request.get_data(as_text=False)
    assert isinstance(body, bytes)
    return Response(decide(body), content_type="application/json")


async def bare(
    scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """An arrival; whatever else is asked is one too."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = decide(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})

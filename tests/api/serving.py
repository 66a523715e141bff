"""The application behind a real Hypercorn, on a port that the system chooses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart


@asynccontextmanager
async def served(app: Quart) -> AsyncIterator[str]:
    """Its address, for as long as the context lasts."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]  # the server closes it
    config.graceful_timeout = 0.5
    config.include_server_header = False
    ending = asyncio.Event()
    server = asyncio.create_task(serve(app, config, shutdown_trigger=ending.wait))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        ending.set()
        await server
        # A connection that was accepted in the last moment has a task that must begin before it can be cancelled: cancelled
        # before, it would leave its socket open.
        await asyncio.sleep(0)

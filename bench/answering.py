"""A desk that only answers routers' questions, for `bench.clients`: `python -m bench.answering DSN URL`.

It says `ready` when it serves, and ends at SIGTERM.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime

from kommutator.crm.answers import Answers
from kommutator.crm.pool import Database, DatabaseSettings
from kommutator.errors import ExchangeError
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.lookups import DeskLookups
from kommutator.exchange.settings import ExchangeSettings

ECHO = "bench.echo"
"""Answered without asking the database: what the exchange itself takes."""


async def main(dsn: str, url: str) -> None:
    """Answers, until it is ended."""
    user, password = (os.environ[f"KOMMUTATOR_BENCH_{name}"] for name in ("USER", "PASSWORD"))
    exchange = Exchange(ExchangeSettings((url,), user, password), "desk")
    async with Database.opened(DatabaseSettings(dsn)) as database:
        answers = Answers(database, lambda: datetime.now(UTC))
        DeskLookups(exchange, answers)
        exchange.attach("echo", lambda connection: connection.serve(ECHO, _same, "desks", 32))
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        running = asyncio.create_task(exchange.run())
        connection = await exchange.ready()
        while True:  # what is attached serves a moment after the connection is there
            try:
                await connection.request(ECHO, b"", 1.0)
                break
            except ExchangeError:  # nobody serves yet
                await asyncio.sleep(0.02)
        await answers.owner_of("+70000000000")
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await ended.wait()
        running.cancel()


async def _same(payload: bytes) -> bytes:
    return payload


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))

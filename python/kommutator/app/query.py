"""Routing queries on one company document, by as many processes as there are cores for them.

The processes share the address, and the system spreads connections over them. Each has an engine with a floor of its own;
whom a call of one process claims is taken for those of the others (`forked`).
"""

from __future__ import annotations

import socket
import ssl
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog
import trio

from kommutator import readiness
from kommutator.app.forked import Forked, claims_file, folder_of, until_alone
from kommutator.app.process import SystemClock, the_only_router, until_told_to_stop
from kommutator.engine import Engine
from kommutator.query.http import HttpServer, HttpSettings
from kommutator.query.journal import QueryJournal
from kommutator.query.listening import UNIX, listen, name_of


@dataclass(frozen=True, slots=True)
class Queries:
    """What is served where. Without `data`, calls are in no ledger."""

    address: str
    settings: HttpSettings
    tls: ssl.SSLContext | None = None
    data: Path | None = None


def answer(engine: Engine, queries: Queries, count: int = 1) -> None:
    """Answer queries until SIGTERM or SIGINT, by so many processes. Raises `AddressTaken`, `DataFolderBusy`.

    The ledger of the first process is in `data`, those of the others are in `data/2` and so on.
    """
    sockets = listen_often(queries.address, count)
    if count == 1:
        trio.run(_answer, engine, queries, sockets[0], queries.data)
        return
    claims = claims_file()

    def work(place: int, lifeline: int) -> bool:
        data = folder_of(queries.data, place)
        trio.run(_answer, engine, queries, sockets[place - 1], data, claims, lifeline)
        return False

    Forked("query", range(1, count + 1), work).run()


async def _answer(
    engine: Engine,
    queries: Queries,
    listeners: list[socket.socket],
    data: Path | None,
    claims: Path | None = None,
    lifeline: int | None = None,
) -> None:
    clock = SystemClock()
    with ExitStack() as kept:
        journal: QueryJournal | None = None
        if data is not None:
            kept.enter_context(the_only_router(data))
            journal = QueryJournal(data, clock)
            kept.callback(journal.close)
        server = HttpServer(queries.settings, clock, journal, claims=claims)
        server.route_by(engine)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_told_to_stop, nursery.cancel_scope)
            if lifeline is not None:
                nursery.start_soon(until_alone, lifeline, nursery.cancel_scope)
            if journal is not None:
                nursery.start_soon(journal.run)
            where = ", ".join(map(name_of, listeners))
            structlog.get_logger().info("ready", listening=where)
            readiness.ready(f"answering queries at {where}")
            await server.run(listeners, queries.tls)


def listen_often(address: str, count: int, *, shared: bool = False) -> list[list[socket.socket]]:
    """The sockets of each of so many processes; `shared`: others may listen there, too. Raises `AddressTaken`."""
    if count == 1 or address.startswith(UNIX):
        return [listen(address, shared=shared)] * count
    first = listen(address, shared=True)
    host, _, port = address.rpartition(":")
    port = str(first[0].getsockname()[1]) if port == "0" else port
    return [first, *(listen(f"{host}:{port}", shared=True) for _ in range(count - 1))]

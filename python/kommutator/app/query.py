"""Routing queries on one company document, by as many processes as there are cores for them.

The processes share the address, and the system spreads connections over them. Each has an engine with a floor of its own:
who is claimed by a call of one process is free to the others, who hear of it from the phone that is busy.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import structlog
import trio

from kommutator import processes, readiness
from kommutator.app.process import SystemClock, the_only_router, until_told_to_stop
from kommutator.engine import Engine
from kommutator.errors import KommutatorError
from kommutator.query.http import HttpServer, HttpSettings
from kommutator.query.journal import QueryJournal
from kommutator.query.listening import UNIX, listen, name_of
from kommutator.routing.ledger import FileJournal

_STOPPING = (signal.SIGTERM, signal.SIGINT)
_AGAIN_S = 1.0
"""A process that died is replaced no sooner than so long after the last one was."""


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
    if count == 1:
        trio.run(_answer, engine, queries, listen(queries.address), queries.data, None)
    else:
        _Processes(engine, queries, count).run()


async def _answer(
    engine: Engine, queries: Queries, listeners: list[socket.socket], data: Path | None, lifeline: int | None
) -> None:
    clock = SystemClock()
    with ExitStack() as kept:
        journal = file = None
        if data is not None:
            kept.enter_context(the_only_router(data))
            file = FileJournal(data)
            kept.callback(file.close)
            journal = QueryJournal(file, lambda: engine, clock)
        server = HttpServer(queries.settings, clock, journal)
        server.route_by(engine)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_told_to_stop, nursery.cancel_scope)
            if lifeline is not None:
                nursery.start_soon(_until_alone, lifeline, nursery.cancel_scope)
            if file is not None and journal is not None:
                nursery.start_soon(file.run)
                nursery.start_soon(journal.run)
            where = ", ".join(map(name_of, listeners))
            structlog.get_logger().info("ready", listening=where)
            readiness.ready(f"answering queries at {where}")
            await server.run(listeners, queries.tls)


async def _until_alone(lifeline: int, scope: trio.CancelScope) -> None:
    """Cancel the scope when the process that began this one is gone: its end of the pipe is closed then."""
    await trio.lowlevel.wait_readable(lifeline)
    scope.cancel()


class _Processes:
    """The processes of one address, forked from one that has the company compiled: its memory is shared.

    Their sockets are made here and outlive them: who connects to one whose process has died is served by the next.
    """

    def __init__(self, engine: Engine, queries: Queries, count: int) -> None:
        self._engine = engine
        self._queries = queries
        self._sockets = self._listen(count)
        self._lifeline = os.pipe()
        self._running: dict[int, int] = {}
        self._told: signal.Signals | None = None
        self._log = structlog.get_logger()

    def run(self) -> None:
        before = {number: signal.signal(number, self._stop) for number in _STOPPING}
        try:
            for place in range(len(self._sockets)):
                self._begin(place)
            while self._running:
                pid, status = os.wait()
                place = self._running.pop(pid)
                if self._told is None:
                    code = os.waitstatus_to_exitcode(status)
                    self._log.critical("a process ended", alarm="query", process=place + 1, code=code)
                    time.sleep(_AGAIN_S)
                    self._begin(place)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for each in self._lifeline:
                os.close(each)

    def _listen(self, count: int) -> list[list[socket.socket]]:
        if self._queries.address.startswith(UNIX):
            return [listen(self._queries.address)] * count
        first = listen(self._queries.address, shared=True)
        host, _, port = self._queries.address.rpartition(":")
        port = str(first[0].getsockname()[1]) if port == "0" else port
        return [first, *(listen(f"{host}:{port}", shared=True) for _ in range(count - 1))]

    def _begin(self, place: int) -> None:
        # A signal that comes meanwhile waits: until the new process is known here, and until it is itself there.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        try:
            if self._told is not None:
                return
            pid = os.fork()
            if pid:
                self._running[pid] = place
                return
            code = 1
            try:
                for number in _STOPPING:
                    signal.signal(number, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                code = self._work(place)
            finally:
                os._exit(code)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _work(self, place: int) -> int:
        """What a process does; its exit code."""
        os.close(self._lifeline[1])
        data = self._queries.data
        if data is not None and place:
            data = data / str(place + 1)
        try:
            trio.run(_answer, self._engine, self._queries, self._sockets[place], data, self._lifeline[0])
        except KommutatorError as error:
            self._log.error("a process cannot work", process=place + 1, reason=str(error))
            return 1
        return 0

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        self._told = signal.Signals(number)
        for pid in self._running:
            processes.send(pid, signal.SIGTERM)

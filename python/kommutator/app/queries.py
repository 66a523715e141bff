"""The part of a router of the house that answers queries over HTTP: by the router's engine, on its floor.

Its calls have a journal of their own in `queries/`, for the router takes whatever is in its own for a call of its PBX.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import structlog
import trio

from kommutator import _engine
from kommutator.configuration import Query
from kommutator.exchange.messages import CallEntry
from kommutator.exchange.outgoing import OutgoingSpool
from kommutator.query.claiming import Claiming
from kommutator.query.http import HttpServer, HttpSettings
from kommutator.query.journal import QueryJournal, Told
from kommutator.query.listening import listen, name_of, server_tls
from kommutator.routing.ports import Clock, Lookups

QUERY_FIGURES: Final = {
    "requests": "Queries that were understood from their heads.",
    "arrivals": "Turns of arrivals, by queries.",
    "steps": "Turns of steps, by queries.",
    "refused": "Arrivals and steps of queries that got a problem instead of a turn.",
}


class Queries:
    """Answers queries. Look-ups are answered by the desk, and employees of other PBXs claimed at their routers, as for the calls of
    the PBX.

    Raises `AddressTaken`, `CertificateUnusable` when it is made: it listens from then on.
    """

    def __init__(
        self,
        form: Query,
        data: Path,
        outgoing: OutgoingSpool,
        on_entry: Callable[[CallEntry], None],
        lookups: Lookups,
        clock: Clock,
        claiming: Claiming,
        listeners: Sequence[socket.socket] | None = None,
        claims: Path | None = None,
    ) -> None:
        """`listeners` are sockets made by who forked this process, which all hold employees by the locks of `claims`."""
        self._tls = server_tls(form.tls.certificate, form.tls.key, form.tls.clients) if form.tls is not None else None
        self._listeners = listen(form.listen, shared=form.shared) if listeners is None else listeners
        self._journal: QueryJournal | None = None
        if form.journal:
            told = Told(outgoing.append, outgoing.flush, on_entry)
            self._journal = QueryJournal(data / "queries", clock, told, form.forget_s)
        settings = HttpSettings(
            tokens=tuple(token.get_secret_value() for token in form.tokens),
            connections=form.connections,
            idle_s=form.idle_s,
        )
        self.server = HttpServer(settings, clock, self._journal, lookups, claims, claiming)

    @property
    def address(self) -> str:
        """Where it listens."""
        return ", ".join(map(name_of, self._listeners))

    @property
    def live(self) -> int:
        """How many calls go on."""
        return self._journal.live if self._journal is not None else 0

    def figure(self, name: str) -> int:
        """One of `QUERY_FIGURES`."""
        return self.server.figures()[name]

    def states(self) -> Iterator[str]:
        """The states of the calls that go on."""
        return self._journal.states() if self._journal is not None else iter(())

    def route_by(self, engine: _engine.Engine) -> None:
        """Decide with this engine."""
        self.server.route_by(engine)

    async def run(self) -> None:
        """Answer until cancelled."""
        if self._listeners:
            structlog.get_logger().info("queries are answered", listening=self.address)
        async with trio.open_nursery() as nursery:
            if self._journal is not None:
                nursery.start_soon(self._journal.run)
            await self.server.run(self._listeners, self._tls)

    def close(self) -> None:
        """Write and sync what is left of the journal."""
        if self._journal is not None:
            self._journal.close()

"""What every process of a router has around an engine: its place on the exchange, versions, tables, claims, answers.

Everything is made before anything runs, for what lives on a connection to the exchange must be attached before the first.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
import trio

from kommutator.app.exchange import exchange_of
from kommutator.app.figures import Figures, MeasuredLookups
from kommutator.app.process import SystemClock
from kommutator.app.queries import QUERY_FIGURES, Queries
from kommutator.app.redirect import sip_endpoint
from kommutator.app.versions import Company, Versions
from kommutator.configuration import Asterisk, Configuration, FastAgi, Redirect
from kommutator.exchange.answers import ClaimsOfAnswers
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.callers import SharedCallers
from kommutator.exchange.claims import Claims
from kommutator.exchange.floor import SharedFloor
from kommutator.exchange.lookups import ExchangeLookups
from kommutator.exchange.messages import CallEntry
from kommutator.exchange.outgoing import OutgoingSpool
from kommutator.exchange.shipper import Shipper
from kommutator.exchange.tables import Tables
from kommutator.exchange.tables_file import Kind
from kommutator.exchange.tables_shelf import Bounds, TablesShelf
from kommutator.exchange.versions import VersionShelf, VersionWatch
from kommutator.query.decisions import Decisions
from kommutator.query.journal import Told
from kommutator.query.sip import Shared, SipEndpoint


@dataclass(frozen=True, slots=True)
class Answering:
    """Where a process answers, when the sockets were made by who forked it."""

    asked: Sequence[socket.socket]
    """For queries."""
    invited: Shared | None
    """For SIP."""
    claims: Path
    """The file in whose locks processes hold employees against each other."""


class Parts:
    """The parts. `place` is 0 for the router's own process, and that of another beside it.

    Raises `AddressTaken`, `CertificateUnusable`.
    """

    def __init__(
        self,
        configuration: Configuration,
        name: str,
        data: Path,
        *,
        shelf: VersionShelf,
        answering: Answering | None,
        place: int = 0,
        tables: bool = True,
    ) -> None:
        self._name = name
        self._form = form = configuration.routers[name]
        self._data = data
        self._shelf = shelf
        self._answering = answering
        self._clock = clock = SystemClock()
        self._log = structlog.get_logger().bind(router=name)
        self._figures = Figures()
        settings, find = exchange_of(configuration)
        # Its entries have a subject of their own in the stream, as a router's have.
        self._bridge = bridge = Bridge(settings, f"{name}/{place}" if place else name, find)
        self._outgoing = OutgoingSpool(data / "outgoing")
        speaks = isinstance(form.pbx, Asterisk | FastAgi) and not place
        tts = form.tts if speaks else None
        routers = tuple(configuration.routers)
        self._versions = versions = Versions(data, tts, name, routers, self.states, self.swapping)
        self._watch = VersionWatch(bridge, shelf, versions.adopt)
        self._claims = Claims(bridge, name, versions.homes)
        self._answers = ClaimsOfAnswers(self._claims, lambda now_ms: versions.engine.claims(now_ms), clock)
        self._floor = SharedFloor(bridge, name, versions.homes, clock, tells=not place)
        self._lookups = ExchangeLookups(bridge, versions.forget_owner)
        bounds = Bounds(form.tables.owners, form.tables.callers) if tables else Bounds(0, 0)
        self._tables = Tables(
            bridge, TablesShelf(data / "tables"), bounds, versions, self._lookups, versions.there, clock.now_ms,
            alone=len(routers) == 1 and answering is None,
        )  # fmt: skip
        self._callers = SharedCallers(bridge, self._tables.ended)
        self._shipper = Shipper(bridge, self._outgoing, name)
        self._measured = MeasuredLookups(self._lookups, self._figures)
        self._queries: Queries | None = None
        if form.query is not None and (answering is None or answering.asked or (data / "queries").exists()):
            self._queries = Queries(
                form.query, data, self._outgoing, self.entry, self._measured, clock, self._answers,
                answering.asked if answering is not None else None, answering.claims if answering is not None else None,
            )  # fmt: skip
        self._watch_parts()

    def running(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """What runs as long as the process does."""
        return (
            self._outgoing.run, self._bridge.run, self._shipper.run, self._claims.run, self._answers.run, self._floor.run,
            self._tables.run, self._callers.run,
        )  # fmt: skip

    async def begin(self, nursery: trio.Nursery) -> Company:
        """Hold what is on the shelf, follow which version is active, and wait for the first; queries are answered by it."""
        versions = self._versions
        await versions.begin(self._shelf)
        if self._queries is not None:
            if versions.active is not None:
                self._queries.route_by(versions.engine)
            nursery.start_soon(self._queries.run)
        self._watch.current = versions.active.version if versions.active is not None else None
        nursery.start_soon(self._watch.run)
        await versions.there.wait()
        assert versions.active is not None
        if self._queries is not None:
            self._queries.route_by(versions.engine)
        return versions.active

    def redirects(self, form: Redirect) -> SipEndpoint:
        """The SIP redirect, listening. Raises `AddressTaken`."""
        told = Told(self._outgoing.append, self._outgoing.flush, self.entry)
        decisions = Decisions(self._data / "redirect", told) if form.journal else None
        shared = self._answering.invited if self._answering is not None else None
        endpoint = sip_endpoint(form, self._versions.engine, decisions, self._measured, shared, self._answers)
        endpoint.watch(self._figures.watch)
        listening = [f"{host}:{port}" for host, port, *_ in endpoint.addresses]
        self._log.info("redirects are answered", listening=listening)
        if decisions is not None:
            troubled = "Whether the disk takes nothing of the redirect's spool."
            self._figures.watch("redirect_spool_troubled", troubled, lambda: decisions.troubled)
        return endpoint

    def close(self) -> None:
        """Write and sync what is left of the journals."""
        if self._queries is not None:
            self._queries.close()
        self._outgoing.close()

    # --- what parts tell each other

    def states(self) -> Iterator[str]:
        """The states of the calls that go on."""
        return self._queries.states() if self._queries is not None else iter(())

    def entry(self, entry: CallEntry) -> None:
        """Something happened to a call."""
        self._figures.entry(entry)
        self._callers.take(entry)

    def swapping(self, company: Company) -> None:
        """A version is about to become the active one."""
        self._figures.version(company.version)
        self._floor.homes_changed()
        homes = self._versions.homes()
        self._versions.engine.elsewhere([employee for employee, home in homes.items() if home != self._name])

    # --- how it is

    @property
    def calls(self) -> int:
        """How many calls of queries go on."""
        return self._queries.live if self._queries is not None else 0

    def _watch_parts(self) -> None:
        watch, outgoing = self._figures.watch, self._outgoing
        watch("exchange_connected", "Whether the exchange is reached.", lambda: self._bridge.connected)
        watch("versions_held", "Company versions that calls can run on.", lambda: len(self._versions.held))
        watch("spool_bytes", "What the outgoing spool takes, on disk and in memory.", lambda: outgoing.waiting_bytes)
        watch("spool_entries", "Entries that the exchange has not acknowledged.", lambda: outgoing.waiting_entries)
        watch("spool_lost_entries", "Entries dropped at the spool's bounds.", lambda: outgoing.lost)
        watch("spool_troubled", "Whether the disk takes nothing of the outgoing spool.", lambda: outgoing.troubled)
        if (queries := self._queries) is not None:
            for name, says in QUERY_FIGURES.items():
                watch(f"query_{name}", says, partial(queries.figure, name))
            watch("query_connections", "Connections of queries.", lambda: queries.server.connections)
            watch("query_calls", "Calls of queries that go on.", lambda: queries.live)
        tables = self._tables
        watch("tables_in_use", "Whether owners and callers are answered from the tables.", lambda: tables.in_use)
        watch("tables_age_seconds", "The tables are what was so as long ago; -1: there are none.", lambda: tables.age_s)
        watch("tables_behind", "Messages with changes that the tables lack.", lambda: tables.behind)
        kinds: tuple[Kind, ...] = ("owners", "callers")
        for kind in kinds:
            watch(f"tables_{kind}", f"Numbers in the table of {kind} when it was taken.", partial(tables.numbers, kind))
            watch(f"tables_{kind}_bytes", "What they took in memory.", partial(tables.memory, kind))
        watch(
            "claims_of_answers",
            "Calls of queries and redirects that hold somebody at another PBX.",
            self._answers.count,
        )

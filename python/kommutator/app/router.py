"""The router process of the house: the loop, its PBX, and the exchange around it.

Everything is made before anything runs, for what lives on a connection to the exchange must be attached before the first.
No part waits for another: without the exchange calls are routed by the last version of the router's own shelf, and told
when there is one; without a version the PBX's fallback takes the calls, for the router is not connected to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

import structlog
import trio

from kommutator import readiness
from kommutator.app.adapters import Attached, asterisk, fastagi, simulated
from kommutator.app.exchange import exchange_of
from kommutator.app.figures import Figures, MeasuredEngine, MeasuredLookups
from kommutator.app.health import Health, serving
from kommutator.app.process import SystemClock, first_of, the_only_router, until_told_to_stop
from kommutator.app.queries import QUERY_FIGURES, Queries
from kommutator.app.redirect import sip_endpoint
from kommutator.app.versions import Company, Versions
from kommutator.configuration import Asterisk, Configuration, FastAgi, Redirect
from kommutator.errors import KommutatorError, NoSuchRouter
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.callers import SharedCallers
from kommutator.exchange.claims import ClaimingPbx, ClaimOwner, Claims
from kommutator.exchange.floor import SharedFloor, SharingPbx
from kommutator.exchange.journal import ToldJournal
from kommutator.exchange.lookups import ExchangeLookups
from kommutator.exchange.messages import CallEntry, Order, OrderDone
from kommutator.exchange.orders import Orders
from kommutator.exchange.outgoing import OutgoingSpool
from kommutator.exchange.recordings import RecordingUploader
from kommutator.exchange.shipper import Shipper
from kommutator.exchange.tables import Tables
from kommutator.exchange.tables_file import Kind
from kommutator.exchange.tables_shelf import Bounds, TablesShelf
from kommutator.exchange.versions import VersionShelf, VersionWatch
from kommutator.query.decisions import Decisions, Told
from kommutator.query.sip import SipEndpoint
from kommutator.routing.ledger import FileJournal
from kommutator.routing.loop import Router
from kommutator.routing.orders import OrderDesk

_BEAT_S = 0.5


async def serve(configuration: Configuration, name: str) -> None:
    """Route the calls of the router's PBX until SIGTERM or SIGINT; the calls that go on then stay in the PBX.

    Raises `NoSuchRouter`, `DataFolderBusy`, and `PbxRefused` when Asterisk refuses the credentials.
    """
    if name not in configuration.routers:
        known = ", ".join(configuration.routers) or "none"
        raise NoSuchRouter(f"the configuration has no [routers.{name}]; it has {known}")
    with the_only_router(configuration.router_data(name)):
        await _Parts(configuration, name).run()


class _Parts:
    def __init__(self, configuration: Configuration, name: str) -> None:
        self._name = name
        self._form = configuration.routers[name]
        self._socket = configuration.pbx_socket(name)
        self._data = data = configuration.router_data(name)
        self._clock = clock = SystemClock()
        self._log = structlog.get_logger().bind(router=name)
        self._figures, self._health = Figures(), Health()
        self._attached: Attached | None = None
        self._router: Router | None = None
        self._orders: OrderDesk | None = None
        settings, find = exchange_of(configuration)
        self._bridge = bridge = Bridge(settings, name, find)
        self._kept = FileJournal(data)
        self._outgoing = OutgoingSpool(data / "outgoing")
        self._journal = ToldJournal(self._kept, self._outgoing, self._entry)
        self._versions = versions = Versions(
            data,
            self._form.tts if isinstance(self._form.pbx, Asterisk | FastAgi) else None,
            name,
            tuple(configuration.routers),
            self._states,
            self._swapping,
        )
        self._shelf = VersionShelf(data / "versions")
        self._watch = VersionWatch(bridge, self._shelf, versions.adopt)
        self._claims = Claims(bridge, name, versions.homes)
        self._floor = SharedFloor(bridge, name, versions.homes, clock)
        self._lookups = ExchangeLookups(bridge, versions.forget_owner)
        bounds = Bounds(self._form.tables.owners, self._form.tables.callers)
        self._tables = Tables(
            bridge, TablesShelf(data / "tables"), bounds, versions, self._lookups, versions.there, clock.now_ms,
            alone=len(configuration.routers) == 1,
        )  # fmt: skip
        self._callers = SharedCallers(bridge, self._tables.ended)
        self._callers.go_on(self._kept.callers())
        self._shipper = Shipper(bridge, self._outgoing, name)
        self._recordings = RecordingUploader(bridge, data / "recordings")
        self._queries: Queries | None = None
        if self._form.query is not None:
            measured = MeasuredLookups(self._lookups, self._figures)
            self._queries = Queries(self._form.query, data, self._outgoing, self._entry, measured, clock)
        ClaimOwner(bridge, name, versions, clock, self._freed)
        Orders(bridge, self._carry_out, clock)
        self._watch_parts()

    async def run(self) -> None:
        failure: KommutatorError | None = None
        try:
            with serving(self._form.metrics, self._health, self._figures.registry):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(until_told_to_stop, nursery.cancel_scope)
                    for part in (
                        self._beat, self._kept.run, self._outgoing.run, self._bridge.run, self._shipper.run,
                        self._claims.run, self._floor.run, self._tables.run, self._callers.run,
                        self._recordings.run,
                    ):  # fmt: skip
                        nursery.start_soon(part)
                    if self._queries is not None:
                        nursery.start_soon(self._queries.run)
                    try:
                        await self._route(nursery)
                    except* KommutatorError as group:
                        failure = first_of(group)
                        nursery.cancel_scope.cancel()
        finally:
            readiness.stopping()
            self._kept.close()
            if self._queries is not None:
                self._queries.close()
            self._outgoing.close()
        if failure is not None:
            raise failure

    async def _route(self, nursery: trio.Nursery) -> None:
        versions = self._versions
        await versions.begin(self._shelf)
        self._watch.current = versions.active.version if versions.active is not None else None
        nursery.start_soon(self._watch.run)
        await versions.there.wait()
        assert versions.active is not None
        if self._queries is not None:
            self._queries.route_by(versions.engine)
        self._attached = self._attach(versions.active)
        pbx = SharingPbx(ClaimingPbx(self._attached.pbx, self._claims), self._floor)
        self._figures.queues(versions.engine.queues, self._clock.now_ms)
        self._router = Router(
            MeasuredEngine(versions.engine, self._figures),
            pbx,
            self._journal,
            MeasuredLookups(self._lookups, self._figures),
            self._clock,
            self._figures.step,
        )
        if self._form.redirect is not None:
            nursery.start_soon(self._redirects(self._form.redirect).run)
        self._orders = OrderDesk(self._router, versions.engine, self._claims, self._clock, versions.phone_of)
        await self._router.run()

    def _attach(self, company: Company) -> Attached:
        recordings, lines = self._data / "recordings", self._versions.lines()
        if isinstance(self._form.pbx, Asterisk):
            return Attached(asterisk(self._form.pbx, recordings, self._versions, lines), lambda company: None)
        if isinstance(self._form.pbx, FastAgi):
            return Attached(fastagi(self._form.pbx, recordings, self._versions, lines), lambda company: None)
        return simulated(self._socket, recordings, company, lines)

    def _redirects(self, form: Redirect) -> SipEndpoint:
        lookups = MeasuredLookups(self._lookups, self._figures)
        told = Told(self._outgoing.append, self._outgoing.flush, self._entry)
        decisions = Decisions(self._data / "redirect", told) if form.journal else None
        endpoint = sip_endpoint(form, self._versions.engine, decisions, lookups)
        endpoint.watch(self._figures.watch)
        if decisions is not None:
            troubled = "Whether the disk takes nothing of the redirect's spool."
            self._figures.watch("redirect_spool_troubled", troubled, lambda: decisions.troubled)
        return endpoint

    # --- what parts tell each other

    def _states(self) -> Iterator[str]:
        """The states of the calls that go on."""
        kept = (turn.state for turn in self._kept.unfinished().values() if turn is not None)
        return chain(kept, self._queries.states()) if self._queries is not None else kept

    def _entry(self, entry: CallEntry) -> None:
        self._figures.entry(entry)
        self._callers.take(entry)

    def _swapping(self, company: Company) -> None:
        self._figures.version(company.version)
        if self._attached is not None:
            self._attached.tell(company)
            self._attached.pbx.lines(self._versions.lines())
        self._floor.homes_changed()

    def _freed(self, _employee: str) -> None:
        if self._router is not None:
            self._router.look_for_free()

    async def _carry_out(self, order: Order) -> OrderDone:
        if self._orders is None:
            return OrderDone(order.order, False, "unknown_call")
        return await self._orders.carry_out(order)

    # --- how it is

    async def _beat(self) -> None:
        """Say how the router is: to its health, and to its supervisor when that changes."""
        said: tuple[str, ...] | None = None
        told_version = None
        while True:
            missing, facts = self._missing(), self._facts()
            self._health.say(missing, facts)
            if missing != said or facts["version"] != told_version:
                said, told_version = missing, facts["version"]
                if missing:
                    readiness.status("; ".join(missing))
                    self._log.warning("not ready", missing=missing)
                else:
                    readiness.ready(f"routing by the company's version {facts['version']}")
                    self._log.info("ready", version=facts["version"])
            await trio.sleep(_BEAT_S)

    def _missing(self) -> tuple[str, ...]:
        missing = []
        if self._versions.active is None:
            missing.append("no company version yet: calls take the PBX's own fallback")
        elif not self._reached():
            missing.append("the PBX is not reached")
        return tuple(missing)

    def _reached(self) -> bool:
        return self._attached is not None and self._attached.pbx.connected

    def _facts(self) -> dict[str, Any]:
        active = self._versions.active
        return {
            "router": self._name,
            "version": active.version if active is not None else None,
            "exchange": self._bridge.connected,
            "tables": self._tables.state,
            "calls": len(self._kept.unfinished()) + (self._queries.live if self._queries is not None else 0),
        }

    def _watch_parts(self) -> None:
        watch, outgoing, kept = self._figures.watch, self._outgoing, self._kept
        watch("calls_in_flight", "Calls that go on.", lambda: len(kept.unfinished()))
        watch("exchange_connected", "Whether the exchange is reached.", lambda: self._bridge.connected)
        watch("pbx_connected", "Whether the PBX is reached.", self._reached)
        watch("versions_held", "Company versions that calls can run on.", lambda: len(self._versions.held))
        watch("spool_bytes", "What the outgoing spool takes, on disk and in memory.", lambda: outgoing.waiting_bytes)
        watch("spool_entries", "Entries that the exchange has not acknowledged.", lambda: outgoing.waiting_entries)
        watch("spool_lost_entries", "Entries dropped at the spool's bounds.", lambda: outgoing.lost)
        watch("spool_troubled", "Whether the disk takes nothing of the outgoing spool.", lambda: outgoing.troubled)
        watch("journal_troubled", "Whether the disk takes nothing of the journal.", lambda: kept.troubled)
        watch("journal_waiting_bytes", "What of the journal waits in memory for the disk.", lambda: kept.waiting_bytes)
        watch("journal_lost_lines", "Lines of the journal dropped at its bound.", lambda: kept.lost)
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
        watch("recordings_waiting", "Recordings not sent yet.", lambda: self._recordings.waiting)

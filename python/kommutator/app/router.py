"""The router process of the house: the loop, its PBX, and the exchange around it.

No part waits for another: without the exchange calls are routed by the last version of the router's own shelf, and told
when there is one; without a version the PBX's fallback takes the calls, for the router is not connected to it.

Where the configuration wants several processes for queries or redirects, they are forked beside the one that has the PBX
(`beside`), before anything runs here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Any

import trio

from kommutator import readiness
from kommutator.app.adapters import Attached, asterisk, fastagi, simulated
from kommutator.app.beside import Beside, answer
from kommutator.app.figures import MeasuredEngine
from kommutator.app.forked import Forked, until_alone
from kommutator.app.health import Health, serving
from kommutator.app.holders import HeldEngine, HeldReservations, Holders, Holding
from kommutator.app.parts import Answering, Parts
from kommutator.app.process import first_of, the_only_router, until_told_to_stop
from kommutator.app.reports import Reports, together
from kommutator.app.versions import Company
from kommutator.configuration import Asterisk, Configuration, FastAgi
from kommutator.errors import EngineError, KommutatorError, NoSuchRouter
from kommutator.exchange.claims import ClaimingPbx, ClaimOwner
from kommutator.exchange.floor import SharingPbx
from kommutator.exchange.journal import ToldJournal
from kommutator.exchange.messages import Order, OrderDone
from kommutator.exchange.orders import Orders
from kommutator.exchange.recordings import RecordingUploader
from kommutator.exchange.versions import VersionShelf
from kommutator.routing.ledger import FileJournal
from kommutator.routing.loop import Router
from kommutator.routing.orders import OrderDesk

_BEAT_S = 0.5


def serve(configuration: Configuration, name: str) -> None:
    """Route the calls of the router's PBX until SIGTERM or SIGINT; the calls that go on then stay in the PBX.

    Raises `NoSuchRouter`, `DataFolderBusy`, `AddressTaken`, and `PbxRefused` when Asterisk refuses the credentials and there is
    no process beside.
    """
    if name not in configuration.routers:
        known = ", ".join(configuration.routers) or "none"
        raise NoSuchRouter(f"the configuration has no [routers.{name}]; it has {known}")
    data = configuration.router_data(name)
    with the_only_router(data):
        beside = Beside.of(configuration.routers[name], data)
        if beside is None:
            trio.run(_route, configuration, name)
            return

        def work(place: int, lifeline: int) -> bool:
            if place:
                return trio.run(answer, configuration, name, beside, place, lifeline)
            trio.run(_route, configuration, name, beside, lifeline)
            return False

        Forked("router", [0, *beside.places], work).run()


async def _route(
    configuration: Configuration, name: str, beside: Beside | None = None, lifeline: int | None = None
) -> None:
    await _Routing(configuration, name, beside).run(lifeline)


class _Routing(Parts):
    """The router's own process."""

    def __init__(self, configuration: Configuration, name: str, beside: Beside | None) -> None:
        data = configuration.router_data(name)
        beside = beside if beside is not None and beside.answers else None
        super().__init__(
            configuration,
            name,
            data,
            shelf=VersionShelf(data / "versions"),
            answering=Answering([], None, beside.claims) if beside is not None else None,
        )
        versions, clock = self._versions, self._clock
        self._socket = configuration.pbx_socket(name)
        self._health = Health()
        self._attached: Attached | None = None
        self._router: Router | None = None
        self._orders: OrderDesk | None = None
        self._kept = FileJournal(data)
        self._callers.go_on(self._kept.callers())
        self._journal = ToldJournal(self._kept, self._outgoing, self.entry)
        self._recordings = RecordingUploader(self._bridge, data / "recordings")
        self._holding: Holding | None = None
        self._reports: Reports | None = None
        if beside is not None:
            self._holding = Holding(Holders(beside.claims), self._claimed, clock, self._freed_beside)
            self._reports = Reports(beside.ears)
        reservations = HeldReservations(versions, self._holding) if self._holding is not None else versions
        ClaimOwner(self._bridge, name, reservations, clock, self._freed)
        Orders(self._bridge, self._carry_out, clock)
        self._watch_routing()

    async def run(self, lifeline: int | None) -> None:
        failure: KommutatorError | None = None
        own, reports = self._figures.registry, self._reports
        try:
            with serving(self._form.metrics, self._health, own if reports is None else together(own, reports)):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(until_told_to_stop, nursery.cancel_scope)
                    if lifeline is not None:
                        nursery.start_soon(until_alone, lifeline, nursery.cancel_scope)
                    for part in (self._beat, self._kept.run, self._recordings.run, *self.running()):
                        nursery.start_soon(part)
                    if reports is not None:
                        nursery.start_soon(reports.run)
                    try:
                        await self._route(nursery)
                    except* KommutatorError as group:
                        failure = first_of(group)
                        nursery.cancel_scope.cancel()
        finally:
            readiness.stopping()
            self._kept.close()
            self.close()
        if failure is not None:
            raise failure

    async def _route(self, nursery: trio.Nursery) -> None:
        company = await self.begin(nursery)
        versions, holding = self._versions, self._holding
        self._attached = self._attach(company)
        self._figures.queues(versions.engine.queues, self._clock.now_ms)
        engine: MeasuredEngine
        if holding is None:
            engine = MeasuredEngine(versions.engine, self._figures)
            claiming = ClaimingPbx(self._attached.pbx, self._claims)
        else:
            engine = HeldEngine(versions.engine, self._figures, holding)
            claiming = ClaimingPbx(self._attached.pbx, self._claims, holding.refused)
            nursery.start_soon(holding.run)
        pbx = SharingPbx(claiming, self._floor)
        self._router = Router(engine, pbx, self._journal, self._measured, self._clock, self._figures.step)
        if self._form.redirect is not None and self._answering is None:
            nursery.start_soon(self.redirects(self._form.redirect).run)
        self._orders = OrderDesk(self._router, engine, self._claims, self._clock, versions.phone_of)
        await self._router.run()

    def _attach(self, company: Company) -> Attached:
        recordings, lines = self._data / "recordings", self._versions.lines()
        if isinstance(self._form.pbx, Asterisk):
            return Attached(asterisk(self._form.pbx, recordings, self._versions, lines), lambda company: None)
        if isinstance(self._form.pbx, FastAgi):
            return Attached(fastagi(self._form.pbx, recordings, self._versions, lines), lambda company: None)
        return simulated(self._socket, recordings, company, lines)

    # --- what parts tell each other

    def states(self) -> Iterator[str]:
        """The states of the calls that go on."""
        return chain((turn.state for turn in self._kept.unfinished().values() if turn is not None), super().states())

    def swapping(self, company: Company) -> None:
        """A version is about to become the active one."""
        if self._attached is not None:
            self._attached.tell(company)
            self._attached.pbx.lines(self._versions.lines())
        super().swapping(company)

    def _claimed(self, now_ms: int) -> list[tuple[str, str, str]]:
        return self._versions.engine.claims(now_ms)

    def _freed(self, _employee: str) -> None:
        if self._router is not None:
            self._router.look_for_free()

    def _freed_beside(self, employee: str) -> None:
        with suppress(EngineError):  # whom the version has no more is nobody's
            self._versions.engine.freed_elsewhere(employee)
        self._freed(employee)

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
        if self._reports is not None:
            active = self._versions.active
            missing += self._reports.missing(active.version if active is not None else None)
        return tuple(missing)

    def _reached(self) -> bool:
        return self._attached is not None and self._attached.pbx.connected

    def _facts(self) -> dict[str, Any]:
        active, reports = self._versions.active, self._reports
        facts: dict[str, Any] = {
            "router": self._name,
            "version": active.version if active is not None else None,
            "exchange": self._bridge.connected,
            "tables": self._tables.state,
            "calls": len(self._kept.unfinished()) + self.calls + (reports.calls if reports is not None else 0),
        }
        return facts if reports is None else {**facts, "processes": reports.facts()}

    def _watch_routing(self) -> None:
        watch, kept = self._figures.watch, self._kept
        watch("calls_in_flight", "Calls that go on.", lambda: len(kept.unfinished()))
        watch("pbx_connected", "Whether the PBX is reached.", self._reached)
        watch("journal_troubled", "Whether the disk takes nothing of the journal.", lambda: kept.troubled)
        watch("journal_waiting_bytes", "What of the journal waits in memory for the disk.", lambda: kept.waiting_bytes)
        watch("journal_lost_lines", "Lines of the journal dropped at its bound.", lambda: kept.lost)
        watch("recordings_waiting", "Recordings not sent yet.", lambda: self._recordings.waiting)
        if (reports := self._reports) is not None:
            watch("processes_answering", "Processes of queries and redirects that work.", lambda: len(reports.fresh()))

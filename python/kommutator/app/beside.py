"""Processes beside a router's own that answer its queries and redirects, where there is more to answer than one can.

The router's own process has the PBX, and stays one; then it answers neither. The others have an engine, a place on the exchange and
a spool of their own, and none of them waits for another. Whom a call of one claims is taken for all of them, by the locks of one
file. The sockets are made by who forks them, and outlive them all.

A folder of a process that is no more configured is brought to its end by one that is not asked anything: what it has not told
is told, and its calls end.
"""

from __future__ import annotations

import secrets
import shutil
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog
import trio

from kommutator.app.forked import claims_file, until_alone
from kommutator.app.parts import Answering, Parts
from kommutator.app.process import the_only_router, until_told_to_stop
from kommutator.app.query import listen_often
from kommutator.app.redirect import listening_often
from kommutator.app.reports import Report, pairs, say, series_of
from kommutator.configuration import Configuration, Router
from kommutator.errors import EngineError
from kommutator.exchange.messages import CompanyVersion
from kommutator.exchange.versions import VersionShelf
from kommutator.query.sip import Shared

_SAY_EVERY_S = 0.5
_LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Beside:
    """What they share with the router's own process, made before they are forked. Places are from 1."""

    queries: dict[int, list[socket.socket]]
    redirects: dict[int, list[socket.socket]]
    leaving: frozenset[int]
    """The places that are no more configured."""
    key: bytes
    """A request of SIP that comes again to another of them is the same call."""
    claims: Path
    ears: dict[int, socket.socket]
    mouths: dict[int, socket.socket]

    @classmethod
    def of(cls, form: Router, data: Path) -> Beside | None:
        """Those of a router with this folder; None when there are none. Raises `AddressTaken`."""
        queries = form.query.processes if form.query is not None else 0
        redirects = form.redirect.processes if form.redirect is not None else 0
        count = max(queries, redirects)
        count = count if count > 1 else 0
        leaving = frozenset(place for place in _left(data) if place > count)
        if not count and not leaving:
            return None
        asked: dict[int, list[socket.socket]] = {}
        invited: dict[int, list[socket.socket]] = {}
        if count and form.query is not None:
            asked = dict(enumerate(listen_often(form.query.listen, queries, shared=form.query.shared), 1))
        if count and form.redirect is not None:
            invited = dict(enumerate(listening_often(form.redirect.listen, redirects), 1))
        made = dict(enumerate(pairs(count), 1))
        ears = {place: ear for place, (ear, _) in made.items()}
        mouths = {place: mouth for place, (_, mouth) in made.items()}
        return cls(asked, invited, leaving, secrets.token_bytes(16), claims_file(), ears, mouths)

    @property
    def places(self) -> list[int]:
        """All of them."""
        return sorted({*self.ears, *self.leaving})

    @property
    def answers(self) -> bool:
        """Whether they answer what the router's own process does not."""
        return bool(self.ears)


def folder_of(data: Path, place: int) -> Path:
    """The folder of a process, in the router's."""
    return data / "processes" / str(place)


def _left(data: Path) -> list[int]:
    with suppress(OSError):
        return [int(folder.name) for folder in (data / "processes").iterdir() if folder.name.isdigit()]
    return []


async def answer(configuration: Configuration, name: str, beside: Beside, place: int, lifeline: int) -> bool:
    """What such a process does, until SIGTERM or SIGINT, or until who forked it is gone; one that leaves, until all is told:
    whether that is so."""
    data = folder_of(configuration.router_data(name), place)
    with the_only_router(data):
        process = _Beside(configuration, name, beside, place, data)
        await process.run(lifeline)
        if process.has_told_all:
            shutil.rmtree(data, ignore_errors=True)
        return process.has_told_all


class _KeptByTheRouter(VersionShelf):
    """The shelf of the router's own process, which alone puts something there."""

    def put(self, version: CompanyVersion) -> None:
        """Nothing."""


class _Beside(Parts):
    """One of these processes."""

    def __init__(self, configuration: Configuration, name: str, beside: Beside, place: int, data: Path) -> None:
        self._place = place
        self._mouth = beside.mouths.get(place)
        self._leaves = place in beside.leaving
        self.has_told_all = False
        invited = beside.redirects.get(place)
        super().__init__(
            configuration,
            name,
            data,
            shelf=_KeptByTheRouter(configuration.router_data(name) / "versions"),
            answering=Answering(
                beside.queries.get(place, []),
                Shared(invited, beside.key, beside.claims) if invited is not None else None,
                beside.claims,
            ),
            place=place,
            tables=not self._leaves,
        )
        self._log = structlog.get_logger().bind(router=name, process=place)

    async def run(self, lifeline: int) -> None:
        """Answer until told to stop."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(until_told_to_stop, nursery.cancel_scope)
                nursery.start_soon(until_alone, lifeline, nursery.cancel_scope)
                for part in (*self.running(), self._beat):
                    nursery.start_soon(part)
                if self._leaves:
                    nursery.start_soon(self._until_told, nursery.cancel_scope)
                await self.begin(nursery)
                self._floor.tell(self)
                redirect = self._form.redirect
                if redirect is not None and self._answering is not None and self._answering.invited is not None:
                    nursery.start_soon(self.redirects(redirect).run)
                self._log.info("ready", version=self._versions.held[-1])
        finally:
            self.close()

    def line(self, employee: str, line: str) -> None:
        """A fact of the floor."""
        with suppress(EngineError):
            self._versions.engine.line(employee, line)

    def presence(self, employee: str, presence: str) -> None:
        """A fact of the floor."""
        with suppress(EngineError):
            self._versions.engine.presence(employee, presence)

    async def _beat(self) -> None:
        """Say how it is."""
        while True:
            if self._mouth is not None:
                active = self._versions.active
                missing = () if active is not None else ("no company version yet",)
                version = active.version if active is not None else None
                say(self._mouth, Report(time.time(), missing, version, self.calls, series_of(self._figures.registry)))
            await trio.sleep(_SAY_EVERY_S)

    async def _until_told(self, scope: trio.CancelScope) -> None:
        """Cancel the scope when no call goes on here and all is told."""
        while self.calls or self._outgoing.waiting_entries:
            await trio.sleep(_LOOK_EVERY_S)
        self._log.info("all is told of a process that is no more configured")
        self.has_told_all = True
        scope.cancel()

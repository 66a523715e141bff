"""Presence by pages: who has had pages and has none for a minute is offline, until one comes back.

Who signs in is present, unless he had gone as something else within the day, or says otherwise meanwhile.

Pages of all desks stand in the database, so that it does not matter which desk a page comes back to, nor whether the desk was
restarted meanwhile. A presence set by hand stays; only whoever this set offline is set back, within the day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

import structlog

from kommutator.crm import attendance
from kommutator.crm.pool import Database
from kommutator.desk.live.tabs import Tab
from kommutator.errors import ExchangeError
from kommutator.exchange.nats.floor import DeskFloor

ABSENT_AFTER_S: Final = 60.0
COMES_BACK: Final = timedelta(days=1)
_SEEN_EVERY_S: Final = 15.0
_LOOK_S: Final = 3.0


class Attendance:
    """Follows pages."""

    def __init__(
        self,
        database: Database,
        floor: DeskFloor,
        clock: Callable[[], datetime],
        tabs: Callable[[], Iterable[Tab]],
        absent_after_s: float = ABSENT_AFTER_S,
    ) -> None:
        """`tabs` are those open at this desk."""
        self._database = database
        self._floor = floor
        self._clock = clock
        self._tabs = tabs
        self._gone = timedelta(seconds=absent_after_s)
        # Where a desk died, nobody has told that its pages are closed: they were seen a while before.
        self._lost = self._gone + timedelta(seconds=_SEEN_EVERY_S)
        self._log = structlog.get_logger()

    async def came(self, tab: Tab) -> None:
        """A page was opened. Raises `DatabaseUnreachable`."""
        if tab.employee is None:
            return
        async with self._database.transaction() as tx:
            await attendance.seen(tx, [(tab.id, tab.employee, tab.stream)], self._clock())
        await self._set_back(tab.employee)

    async def left(self, tab: Tab) -> None:
        """A page was closed. Raises `DatabaseUnreachable`."""
        if tab.employee is not None:
            async with self._database.transaction() as tx:
                await attendance.closed(tx, tab.id, tab.stream, self._clock())

    async def run(self) -> None:
        """Keep presence until cancelled. Raises `DatabaseUnreachable`."""
        loop = asyncio.get_running_loop()
        seen_at = loop.time()
        # Pages of a desk that was restarted need a moment to come back.
        sweep_from = loop.time() + self._gone.total_seconds()
        while True:
            await asyncio.sleep(min(_LOOK_S, self._gone.total_seconds() / 4))
            if loop.time() - seen_at >= _SEEN_EVERY_S:
                seen_at = loop.time()
                await self._see()
            if loop.time() >= sweep_from:
                await self.sweep()

    async def sweep(self) -> None:
        """Set offline whose pages are gone, and back who has some again. Raises `DatabaseUnreachable`."""
        now = self._clock()
        async with self._database.transaction() as tx:
            gone = await attendance.gone(tx, now - self._gone, now - self._lost)
            back = await attendance.back(tx, now - self._lost)
        for employee in gone:
            await self._set_offline(employee)
        for employee in back:
            await self._set_back(employee)

    async def _see(self) -> None:
        async with self._database.transaction() as tx:
            here = [(tab.id, tab.employee, tab.stream) for tab in self._tabs() if tab.employee is not None]
            await attendance.seen(tx, here, self._clock())

    async def _set_offline(self, employee: str) -> None:
        now = self._clock()
        try:
            async with self._database.transaction() as tx:
                if not await attendance.forget(tx, employee, now - self._gone, now - self._lost):
                    return
                before = self._presence(employee)
                if before in (None, "offline"):
                    return
                await attendance.absent(tx, employee, before, now)
                await self._floor.presence(employee, "offline", _ms(now))
        except ExchangeError as error:
            self._log.warning("an absence cannot be told; it is tried again", employee=employee, reason=str(error))
        else:
            self._log.info("an employee's last page is gone: offline", employee=employee)

    async def _set_back(self, employee: str) -> None:
        now = self._clock()
        try:
            async with self._database.transaction() as tx:
                absence = await attendance.returned(tx, employee)
                if (
                    absence is None
                    or now - absence.at > COMES_BACK
                    or self._presence(employee) not in (None, "offline")
                ):
                    return
                await self._floor.presence(employee, absence.presence, _ms(now))
        except ExchangeError as error:
            self._log.warning("a return cannot be told; it is tried again", employee=employee, reason=str(error))
        else:
            self._log.info("an employee's page is back", employee=employee, presence=absence.presence)

    def _presence(self, employee: str) -> str | None:
        facts = self._floor.facts()
        return next((each.value for each in facts if (each.kind, each.employee) == ("presence", employee)), None)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)

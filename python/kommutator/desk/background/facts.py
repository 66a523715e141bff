"""Routers are told what changes of owners and callers, in order; and with all of it as tables, from time to time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from kommutator.crm import tables
from kommutator.crm.pool import Database
from kommutator.crm.tables import State
from kommutator.desk.background.tasks import Bell
from kommutator.desk.background.topics import Topics
from kommutator.errors import ExchangeError
from kommutator.exchange.messages import CALLS, FactsChanged, TablesMade
from kommutator.exchange.nats import ledger_writer
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.tables import DeskTables
from kommutator.exchange.tables_file import Counts, Header, Kind, TablesWriter

_LOOK_S: Final = 2.0
"""Callers are told so late at most: routers tell each other of them at once."""
_AT_ONCE: Final = 5_000
_TOLD_AT_ONCE: Final = 20
_ALIVE_S: Final = 30.0
"""When nothing changes, routers are told so."""
_DUE_S: Final = 5.0
_AGE_MS: Final = 6 * 3600 * 1000
"""The stream keeps a day of changes: tables are younger than half of it, as long as anything changes."""
_OLDEST_MS: Final = 2 * 24 * 3600 * 1000
"""The store forgets after a week: tables are younger, whether anything changes or not."""
_MANY: Final = 100_000
"""So many changes of numbers, and no fewer than a quarter of these, make new tables."""
_WRITTEN_S: Final = 10.0
"""So long the ledger is waited for, for tables that have all calls in them."""
_GATHERED: Final = 512 * 1024


class FactChanges:
    """Takes changes from the database as the exchange has them: each is told after those before it, and perhaps twice."""

    def __init__(self, database: Database, topics: Topics, told: DeskTables, renew: Callable[[], None]) -> None:
        """`renew` is told when routers cannot go on from the tables that they have."""
        self._database = database
        self._told = told
        self._renew = renew
        self._bell = Bell()
        self._compared = False
        self._last_s = 0.0
        self._log = structlog.get_logger()
        topics.on("number_changes", lambda _told: self._bell.ring())

    def wake(self) -> None:
        """The exchange is there again; perhaps another one."""
        self._compared = False
        self._last_s = 0.0
        self._bell.ring()

    async def run(self) -> None:
        """Tell until cancelled. Raises `DatabaseUnreachable`, `ExchangeError`: what was not told stays in the database."""
        while True:
            await self._told.ready()
            if not self._compared:
                await self._compare()
            while await self._some():
                pass
            if time.monotonic() - self._last_s > _ALIVE_S:
                await self._nothing_more()
            await self._bell.wait(_LOOK_S)

    async def _compare(self) -> None:
        """A database that was put back to an earlier moment knows less than was told."""
        last = await self._told.last()
        async with self._database.transaction() as tx:
            now = await tables.state(tx)
            if last is not None and last.epoch == now.epoch and last.sequence > now.sequence:
                self._log.critical(
                    "the database is older than what routers were told: they get new tables", alarm="tables",
                    told=last.sequence, known=now.sequence,
                )  # fmt: skip
                await tables.begin_epoch(tx)
                self._renew()
        self._compared = True

    async def _some(self) -> bool:
        async with self._database.transaction() as tx:
            many = await tables.log(tx, _AT_ONCE)
        async with self._database.transaction() as tx:
            waiting = await tables.logged(tx, _TOLD_AT_ONCE)
        for each in waiting:
            at = round(each.at.timestamp() * 1000)
            await self._told.tell(FactsChanged(each.epoch, each.sequence, at, each.owners, each.calls))
            self._last_s = time.monotonic()
        if waiting:
            async with self._database.transaction() as tx:
                await tables.told(tx, waiting[-1].sequence)
        return many == _AT_ONCE or len(waiting) == _TOLD_AT_ONCE

    async def _nothing_more(self) -> None:
        async with self._database.transaction() as tx:
            found = await tables.moment(tx)
        if found is not None:
            now, at = found
            await self._told.tell(FactsChanged(now.epoch, now.sequence, round(at.timestamp() * 1000)))
            self._last_s = time.monotonic()


class Snapshots:
    """Makes tables when they are due: there are none, too much has changed, they are old, or a router cannot go on."""

    def __init__(self, database: Database, exchange: Exchange, folder: Path) -> None:
        self._database = database
        self._exchange = exchange
        self._folder = folder
        self._bell = Bell()
        self._wanted = False
        self._log = structlog.get_logger()
        self.exchange = DeskTables(exchange, self.renew)
        self.made: TablesMade | None = None
        """The tables made last, as last looked."""
        self.seconds = 0.0
        """How long this process took to make some, the last time."""

    def renew(self) -> None:
        """New ones are wanted."""
        self._wanted = True
        self._bell.ring()

    def wake(self) -> None:
        """The exchange is there again; perhaps another one."""
        self._bell.ring()

    async def run(self) -> None:
        """Make tables until cancelled. Raises `DatabaseUnreachable`, `ExchangeError`, `OSError`: then none were made."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._folder.glob("*.part"):
            left.unlink()
        while True:
            if self._exchange.connected and await self._due():
                await self._make()
            await self._bell.wait(_DUE_S)

    async def _due(self) -> bool:
        self.made = made = await self.exchange.made()
        if made is None or self._wanted:
            return True
        async with self._database.transaction() as tx:
            now = await tables.state(tx)
        return _due(made, now, time.time() * 1000)

    async def _make(self) -> None:
        self._wanted = False
        began = time.monotonic()
        until = await self._calls_until()
        place = await self.exchange.place()
        part = self._folder / "tables.part"
        try:
            made = await self._write(part, place, until)
            if made is not None:
                await self.exchange.publish(part, made, self.made)
        except BaseException:
            self._wanted = True
            raise
        finally:
            part.unlink(missing_ok=True)
        if made is None:
            return
        self.made, self.seconds, self._wanted = made, time.monotonic() - began, False
        self._log.info(
            "tables were made", tables=made.name, owners=made.owners, callers=made.callers, bytes=made.bytes,
            seconds=round(self.seconds, 1),
        )  # fmt: skip

    async def _write(self, part: Path, place: int, until: int | None) -> TablesMade | None:
        async with tables.snapshot(self._database) as snapshot:
            if snapshot is None:
                return None
            of, at = snapshot.of, round(snapshot.at.timestamp() * 1000)
            header = Header(of.epoch, of.sequence, place, at, until)
            with TablesWriter(part, header) as writer:
                pages = _Pages(writer)
                owners = await snapshot.owners(pages.owners)
                callers = await snapshot.callers(pages.callers)
                await pages.flush()
                counts = Counts(owners, callers)
                size = await asyncio.to_thread(writer.end, counts)
        before = None if self.made is None else self.made.name
        return TablesMade(
            f"{of.epoch[:8]}-{of.sequence}-{at}", of.epoch, of.sequence, place, at, of.items,
            counts.owners, counts.callers, size, until, before,
        )  # fmt: skip

    async def _calls_until(self) -> int | None:
        """Until when all calls that the exchange was told are in the ledger; None while it is behind."""
        at = round(time.time() * 1000)
        deadline = time.monotonic() + _WRITTEN_S
        try:
            connection = self._exchange.connection
            last = (await connection.last_sequence(CALLS))[1]
            while time.monotonic() < deadline:
                if await ledger_writer.has_written(connection, last):
                    return at
                await asyncio.sleep(0.2)
        except ExchangeError:
            return None
        return None


class _Pages:
    """Small pieces of rows, gathered for the writer's thread."""

    def __init__(self, writer: TablesWriter) -> None:
        self._writer = writer
        self._kind: Kind = "owners"
        self._some = bytearray()

    async def owners(self, some: bytes) -> None:
        """More lines of owners."""
        await self._take("owners", some)

    async def callers(self, some: bytes) -> None:
        """More lines of callers."""
        await self._take("callers", some)

    async def flush(self) -> None:
        """All that was gathered to the writer."""
        some, self._some = bytes(self._some), bytearray()
        await asyncio.to_thread(self._writer.lines, self._kind, some)

    async def _take(self, kind: Kind, some: bytes) -> None:
        if kind != self._kind:
            await self.flush()
            self._kind = kind
        self._some += some
        if len(self._some) >= _GATHERED:
            await self.flush()


def _due(made: TablesMade, now: State, at_ms: float) -> bool:
    changes, age_ms = now.items - made.items, at_ms - made.made
    return (
        made.epoch != now.epoch
        or made.sequence > now.sequence
        or changes > max(_MANY, (made.owners + made.callers) // 4)
        or (age_ms > _AGE_MS and changes > 0)
        or age_ms > _OLDEST_MS
    )

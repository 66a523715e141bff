"""A desk's services and a router's engine, in one process, with a real database and a real exchange between them."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import trio

from kommutator._engine import CallerTable, OwnerTable, normalize
from kommutator.crm.answers import Answers
from kommutator.crm.pool import Database, DatabaseSettings, Tx
from kommutator.desk.background.facts import FactChanges, Snapshots
from kommutator.desk.background.tasks import Tasks
from kommutator.desk.background.topics import Topics
from kommutator.engine import Engine
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.callers import SharedCallers
from kommutator.exchange.lookups import ExchangeLookups
from kommutator.exchange.messages import Began, Ended
from kommutator.exchange.nats.client import Connection, Exchange
from kommutator.exchange.nats.ledger_writer import LedgerWriter
from kommutator.exchange.nats.lookups import DeskLookups
from kommutator.exchange.settings import ExchangeSettings
from kommutator.exchange.tables import Tables
from kommutator.exchange.tables_shelf import Bounds, TablesShelf

PATIENCE_S = 60.0
OWNER, EVER, WEEK = "+74951112201", "+74951112202", "+74951112203"
COMPANY = """
company: {name: Ромашка, timezone: Europe/Moscow, country: RU, language: ru}
employees:
  anna:   {name: Анна Ильина, department: sales, endpoint: PJSIP/101}
  boris:  {name: Борис, department: sales, endpoint: PJSIP/102}
  boris2: {name: Борис, department: sales, endpoint: PJSIP/103}
departments: {sales: {name: Продажи}}
prompts: {leave-message: {say: "Оставьте сообщение.", seconds: 1}}
numbers: {"+74951112201": {scheme: owner}, "+74951112202": {scheme: ever}, "+74951112203": {scheme: week}}
schemes:
  owner:
    start: crm
    responsible: sales
    nodes:
      crm:     {kind: owner, exits: {found: mine, unknown: team, unavailable: team}}
      mine:    {kind: ring, ring: [{owner: true}], seconds: 5, exits: {no_answer: team}}
      team:    {kind: ring, ring: [{department: sales}], seconds: 5, exits: {no_answer: mailbox}}
      mailbox: {kind: voicemail, prompt: leave-message, exits: {done: bye}}
      bye:     {kind: hangup}
  ever:
    start: past
    responsible: sales
    nodes:
      past:    {kind: history, exits: {first: team, repeat: mailbox}}
      team:    {kind: ring, ring: [{department: sales}], seconds: 5, exits: {no_answer: mailbox}}
      mailbox: {kind: voicemail, prompt: leave-message, exits: {done: bye}}
      bye:     {kind: hangup}
  week:
    start: past
    responsible: sales
    nodes:
      past:    {kind: history, days: 7, exits: {first: team, repeat: mailbox}}
      team:    {kind: ring, ring: [{department: sales}], seconds: 5, exits: {no_answer: mailbox}}
      mailbox: {kind: voicemail, prompt: leave-message, exits: {done: bye}}
      bye:     {kind: hangup}
"""
ASKS = "asks"
_T = TypeVar("_T")


def now() -> datetime:
    """The machine's time."""
    return datetime.now(UTC)


class Ledger:
    """No call comes this way."""

    async def write(self, entries: object) -> None:
        """Nothing."""


class DeskSide:
    """The desk's parts that routers have to do with, in a thread of its own."""

    def __init__(self, dsn: str, settings: Callable[[], ExchangeSettings | None], folder: Path) -> None:
        self._dsn = dsn
        self._settings = settings
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self.database: Database
        self.exchange: Exchange
        self.snapshots: Snapshots
        self.answered = 0
        """How many questions of routers were answered."""

    def start(self) -> None:
        """Begin. Blocks until it is there."""
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)

    def stop(self) -> None:
        """End. Blocks."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(PATIENCE_S)
        elif not self._loop.is_closed():
            self._loop.close()

    async def do(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Something in its loop, from trio."""

        async def doing() -> _T:
            return await work()

        future = asyncio.run_coroutine_threadsafe(doing(), self._loop)
        return await trio.to_thread.run_sync(future.result, PATIENCE_S)

    async def tx(self, work: Callable[[Tx], Awaitable[_T]]) -> _T:
        """Something in a transaction, from trio."""

        async def doing() -> _T:
            async with self.database.transaction("test") as tx:
                return await work(tx)

        return await self.do(doing)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._main())

    async def renew(self) -> None:
        """Have new tables made, from trio."""

        async def doing() -> None:
            self.snapshots.renew()

        await self.do(doing)

    async def _main(self) -> None:
        async with Database.opened(DatabaseSettings(self._dsn, connections=4)) as self.database:
            topics = Topics(self.database)
            self.exchange = exchange = Exchange(ExchangeSettings(()), "desk", self._settings)
            LedgerWriter(exchange, Ledger())
            self.snapshots = Snapshots(self.database, exchange, self._folder)
            facts = FactChanges(self.database, topics, self.snapshots.exchange, self.snapshots.renew)
            DeskLookups(exchange, _Counting(self, Answers(self.database, now)))

            async def connected(connection: Connection) -> None:
                facts.wake()
                self.snapshots.wake()
                await connection.lost.wait()

            exchange.attach("telling", connected)
            tasks = Tasks()
            works = {"topics": topics.run, "exchange": exchange.run, "facts": facts.run, "tables": self.snapshots.run}
            async with asyncio.TaskGroup() as group:
                kept = [group.create_task(tasks.keep(name, work)) for name, work in works.items()]
                self._ready.set()
                await self._stop.wait()
                for task in kept:
                    task.cancel()


class _Counting:
    def __init__(self, desk: DeskSide, memory: Answers) -> None:
        self._desk = desk
        self._memory = memory

    async def owner_of(self, number: str) -> str | None:
        self._desk.answered += 1
        return await self._memory.owner_of(number)

    async def called_before(self, number: str, days: int | None) -> bool:
        self._desk.answered += 1
        return await self._memory.called_before(number, days)


class RouterSide:
    """An engine, with the tables around it."""

    def __init__(
        self, engine: Engine, settings: Callable[[], ExchangeSettings | None], folder: Path, *,
        bounds: Bounds | None = None, alone: bool = True, name: str = "r1",
    ) -> None:  # fmt: skip
        self.engine = engine
        self.bridge = Bridge(ExchangeSettings((), lookup_s=2.0), name, settings)
        self.lookups = ExchangeLookups(self.bridge, engine.forget_owner)
        there = trio.Event()
        there.set()
        self.shelf = TablesShelf(folder)
        self.facts = _FactsOf(engine)
        self.tables = Tables(
            self.bridge,
            self.shelf,
            bounds or Bounds(10**6, 10**6),
            self.facts,
            self.lookups,
            there,
            _now_ms,
            alone=alone,
        )
        self.callers = SharedCallers(self.bridge, self.tables.ended)
        self._calls = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[RouterSide]:
        """While the context lasts."""
        async with trio.open_nursery() as nursery:
            for part in (self.bridge.run, self.tables.run, self.callers.run):
                nursery.start_soon(part)
            yield self
            nursery.cancel_scope.cancel()

    async def current(self) -> None:
        """Wait until calls are answered from tables that are true."""
        await until(lambda: self.tables.state == "current")

    def owner(self, number: str) -> str | None:
        """What the engine says of its own: an employee, None for nobody's, or that a desk must be asked."""
        return said(self.engine, OWNER, number)

    def called(self, number: str, did: str = EVER) -> str | None:
        """`called`, `first`, or that a desk must be asked."""
        return said(self.engine, did, number)

    async def owner_or_asked(self, number: str) -> str | None:
        """Whom the router finds, by its engine or by asking."""
        found = self.owner(number)
        if found == ASKS:
            answer = await self.lookups.owner(number)
            return str(answer.get("employee") or answer["type"]) if answer["type"] != "no_owner" else None
        return found

    def call(self, number: str, at_ms: int | None = None) -> None:
        """A call of this router has come and ended, as the loop tells of it."""
        self._calls += 1
        at = _now_ms() if at_ms is None else at_ms
        self.engine.called(number, at)
        self.callers.take(Began(f"{self.bridge.name}-{self._calls}", EVER, number, at))
        self.callers.take(Ended(f"{self.bridge.name}-{self._calls}", at, "answered", "none"))


class _FactsOf:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.owner_is = engine.owner_is
        self.forget_owner = engine.forget_owner
        self.called = engine.called
        self.missed: list[int] = []

    def missed_calls(self, until_ms: int) -> None:
        self.missed.append(until_ms)
        self._engine.missed_calls(until_ms)

    def swap_owners(self, table: OwnerTable) -> None:
        self._engine.swap_owners(table)

    def swap_callers(self, table: CallerTable) -> None:
        self._engine.swap_callers(table)

    def normal(self, number: str) -> str | None:
        return normalize(number, "RU")


def engine(folder: Path) -> Engine:
    """On the company of these tests."""
    path = folder / "company.yaml"
    path.write_text(COMPANY, encoding="utf-8")
    return Engine.load(path)


def said(engine: Engine, did: str, number: str) -> str | None:
    """What an engine says of a caller by itself."""
    turn = engine.arrive(f"probe-{random.getrandbits(60):x}", did, number, _now_ms())
    if turn.action.type in ("find_owner", "find_history"):
        return ASKS
    why: dict[str, Any] = turn.trace[0]["why"]
    words = {"owner_unknown": None, "first_call": "first", "called_before": "called"}
    return why["employee"] if why["code"] in ("owner_found", "owner_not_here") else words[why["code"]]


async def until(
    condition: Callable[[], object] | Callable[[], Awaitable[object]], patience_s: float = PATIENCE_S
) -> None:
    """Wait for something that must come true."""
    deadline = time.monotonic() + patience_s
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return
        assert time.monotonic() < deadline, "not in time"
        await trio.sleep(0.02)


async def agrees(desk: DeskSide, router: RouterSide, numbers: Iterable[str]) -> bool:
    """Whether the engine says of all of these what the database says, and asks nobody."""
    from kommutator.crm import lookups

    asked = list(numbers)
    owners = await desk.tx(lambda tx: lookups.owners_of(tx, asked))
    return {number: router.owner(number) for number in asked} == owners


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

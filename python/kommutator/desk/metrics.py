"""The figures of the desk process besides its HTTP: the ledger, notices, answers to routers, the database, the floor.

What lives in memory is read when somebody asks for figures; what is in the database and in the exchange is read every few
seconds, and stays as last read while they are away.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Final, Protocol

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from kommutator.crm import accounts, outbox, tables
from kommutator.crm.pool import Database
from kommutator.desk.background.facts import Snapshots
from kommutator.desk.background.tasks import Tasks
from kommutator.errors import DatabaseUnreachable, ExchangeError
from kommutator.exchange.nats import ledger_writer
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.floor import DeskFloor
from kommutator.exchange.nats.ledger_writer import LedgerWriter

_EVERY_S: Final = 10.0
_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2)


class Memory(Protocol):
    """Whoever answers routers' questions."""

    async def owner_of(self, number: str) -> str | None: ...
    async def called_before(self, number: str, days: int | None) -> bool: ...


class MeasuredMemory:
    """Answers, with how they came out and how long they took."""

    def __init__(self, memory: Memory, registry: CollectorRegistry = REGISTRY) -> None:
        self._memory = memory
        self._answers = Counter(
            "kommutator_lookups", "Questions of routers, by answer.", ("question", "outcome"), registry=registry
        )
        self._seconds = Histogram(
            "kommutator_lookup_seconds", "How long an answer took.", ("question",), buckets=_SECONDS, registry=registry
        )

    async def owner_of(self, number: str) -> str | None:
        """As the memory answers."""
        found: str | None = None
        with self._measured("owner", lambda: "found" if found else "unknown"):
            found = await self._memory.owner_of(number)
        return found

    async def called_before(self, number: str, days: int | None) -> bool:
        """As the memory answers."""
        found = False
        with self._measured("history", lambda: "repeat" if found else "first"):
            found = await self._memory.called_before(number, days)
        return found

    def _measured(self, question: str, outcome: Callable[[], str]) -> _Measured:
        return _Measured(self._answers, self._seconds, question, outcome)


class _Measured:
    def __init__(self, answers: Counter, seconds: Histogram, question: str, outcome: Callable[[], str]) -> None:
        self._answers = answers
        self._seconds = seconds
        self._question = question
        self._outcome = outcome
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, kind: object, _error: object, _traceback: object) -> None:
        self._seconds.labels(self._question).observe(time.perf_counter() - self._began)
        self._answers.labels(self._question, "failed" if kind else self._outcome()).inc()


class DeskMetrics(Collector):
    """The figures of one desk process."""

    def __init__(
        self,
        database: Database,
        exchange: Exchange,
        writer: LedgerWriter,
        floor: DeskFloor,
        snapshots: Snapshots,
        tasks: Tasks,
        clock: Callable[[], datetime],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._database = database
        self._exchange = exchange
        self._writer = writer
        self._floor = floor
        self._snapshots = snapshots
        self._tasks = tasks
        self._clock = clock
        self._notices = Gauge(
            "kommutator_notices", "Notices that wait, and that were given up.", ("channel", "state"), registry=registry
        )
        self._oldest = Gauge(
            "kommutator_notices_oldest_seconds", "Age of the oldest notice that waits.", ("channel",), registry=registry
        )
        self._waiting = Gauge(
            "kommutator_fact_changes_waiting", "Changes of owners and callers not told to routers.", registry=registry
        )
        self._lag = Gauge(
            "kommutator_ledger_lag_messages", "Messages of the stream that the ledger lacks.", registry=registry
        )
        self._sessions = Gauge("kommutator_sessions", "Sessions of people that go on.", registry=registry)
        registry.register(self)

    async def run(self) -> None:
        """Read what is not in memory until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(_EVERY_S)

    async def refresh(self) -> None:
        """Read it once, as far as it can be reached."""
        with suppress(DatabaseUnreachable):
            await self._read_database()
        with suppress(ExchangeError):
            self._lag.set(await ledger_writer.lag(self._exchange.connection))

    def collect(self) -> Iterator[Metric]:
        """What is in memory."""
        entries = CounterMetricFamily("kommutator_ledger_entries", "Entries of calls.", labels=("result",))
        entries.add_metric(("written",), self._writer.written)
        entries.add_metric(("refused",), self._writer.refused)
        yield entries
        restarts = CounterMetricFamily("kommutator_task_restarts", "Long tasks begun again.", labels=("task",))
        for name, times in self._tasks.restarts.items():
            restarts.add_metric((name,), times)
        yield restarts
        opened, idle = self._database.connections
        connections = GaugeMetricFamily("kommutator_database_connections", "Of the pool.", labels=("state",))
        connections.add_metric(("idle",), idle)
        connections.add_metric(("busy",), opened - idle)
        yield connections
        made = self._snapshots.made
        if made is not None:
            numbers = GaugeMetricFamily("kommutator_tables_numbers", "In the tables made last.", labels=("kind",))
            numbers.add_metric(("owners",), made.owners)
            numbers.add_metric(("callers",), made.callers)
            yield numbers
            yield GaugeMetricFamily("kommutator_tables_bytes", "Of the tables made last.", value=made.bytes)
            yield GaugeMetricFamily(
                "kommutator_tables_made_timestamp_seconds", "When these were made.", value=made.made / 1000
            )
        yield GaugeMetricFamily(
            "kommutator_exchange_connected", "1 while it is.", value=float(self._exchange.connected)
        )
        floor = GaugeMetricFamily("kommutator_floor", "Employees, by what is known of them.", labels=("fact", "value"))
        for (kind, value), many in Tally((fact.kind, fact.value) for fact in self._floor.facts()).items():
            floor.add_metric((kind, value), many)
        yield floor

    async def _read_database(self) -> None:
        now = self._clock()
        async with self._database.transaction() as tx:
            counts = await outbox.counts(tx)
            oldest = await outbox.oldest(tx)
            self._waiting.set(await tables.waiting(tx))
            self._sessions.set(await accounts.sessions_going_on(tx, now))
        for channel in ("sms", "email"):
            for state in ("waiting", "failed"):
                self._notices.labels(channel, state).set(counts.get(f"{channel}/{state}", 0))
            made = oldest.get(channel)
            self._oldest.labels(channel).set(0 if made is None else max(0.0, (now - made).total_seconds()))

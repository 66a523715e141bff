"""The router's figures, in the form of Prometheus.

Of one process, since it began: what was before is in the ledger. A step is what a call waits for between the event that
its PBX reported and the next action: the engine, the journal, and the state kept with the channel.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from kommutator.routing.entries import Began, CallEntry, Ended, Turned
from kommutator.routing.ports import Engine, Lookups
from kommutator.routing.turn import EngineTurn, Event

_STEP_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_ENGINE_BUCKETS = (0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.005, 0.02, 0.1)
_LOOKUP_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class Figures:
    """What is counted, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._begun = Counter("kommutator_calls_begun", "Calls that arrived.", registry=registry)
        self._ended = Counter(
            "kommutator_calls_ended", "Calls that ended.", ("disposition", "fault"), registry=registry
        )
        self._turns = Counter("kommutator_turns", "Turns decided, by action.", ("action",), registry=registry)
        self._effects = Counter("kommutator_effects", "Effects of turns.", ("type",), registry=registry)
        self._refused = Counter(
            "kommutator_claims_refused", "Employees whom another call held when they were to ring.", registry=registry
        )
        self._steps = Histogram(
            "kommutator_step_seconds", "From an event to the next action.", buckets=_STEP_BUCKETS, registry=registry
        )
        self.engine_seconds = Histogram(
            "kommutator_engine_seconds", "The engine's part of a step.", buckets=_ENGINE_BUCKETS, registry=registry
        )
        self._lookups = Counter(
            "kommutator_lookups", "Questions to a desk, by answer.", ("question", "outcome"), registry=registry
        )
        self._lookup_seconds = Histogram(
            "kommutator_lookup_seconds", "How long an answer took.", buckets=_LOOKUP_BUCKETS, registry=registry
        )
        self._version = Gauge(
            "kommutator_company_version", "1 for the version that new calls begin on.", ("version",), registry=registry
        )
        self._active = ""

    def watch(self, name: str, says: str, value: Callable[[], float]) -> None:
        """A gauge that is read when somebody asks: in another thread, so `value` only reads."""
        Gauge(f"kommutator_{name}", says, registry=self.registry).set_function(value)

    def queues(self, queues: Callable[[int], list[dict[str, Any]]], now_ms: Callable[[], int]) -> None:
        """Who waits at queues, read from the engine when somebody asks."""
        self.registry.register(_Queues(queues, now_ms))

    def version(self, name: str) -> None:
        """The version that new calls begin on."""
        if self._active:
            self._version.remove(self._active)
        self._active = name
        self._version.labels(name).set(1)

    def entry(self, entry: CallEntry) -> None:
        """Something that happened to a call."""
        match entry:
            case Began():
                self._begun.inc()
            case Turned(event=event, turn=turn):
                if event is None and turn.sequence > 0:
                    return  # a resumption: counted when it was decided
                self._turns.labels(turn.kind).inc()
                for effect in turn.effects:
                    self._effects.labels(str(effect["type"])).inc()
                if event is not None and event["type"] == "taken":
                    self._refused.inc(len(event["employees"]))
            case Ended(disposition=disposition, fault=fault):
                self._ended.labels(disposition, fault).inc()

    def step(self, seconds: float) -> None:
        """A step was taken."""
        self._steps.observe(seconds)

    def looked_up(self, question: str, outcome: str, seconds: float) -> None:
        """A desk answered, or did not."""
        self._lookups.labels(question, outcome).inc()
        self._lookup_seconds.observe(seconds)


class _Queues(Collector):
    """Queues with somebody in line."""

    def __init__(self, queues: Callable[[int], list[dict[str, Any]]], now_ms: Callable[[], int]) -> None:
        self._queues = queues
        self._now_ms = now_ms

    def collect(self) -> Iterable[Metric]:
        """A gauge of callers, and one of the longest wait, for each queue."""
        names = ("scheme", "node")
        callers = GaugeMetricFamily("kommutator_queue_callers", "Callers in line at a queue.", labels=names)
        longest = GaugeMetricFamily(
            "kommutator_queue_longest_seconds", "For how long the first has waited.", labels=names
        )
        now_ms = self._now_ms()
        for queue in self._queues(now_ms):
            place = (queue["scheme"], queue["node"])
            callers.add_metric(place, len(queue["callers"]))
            longest.add_metric(place, max(0, now_ms - queue["callers"][0]["since_ms"]) / 1000)
        return (callers, longest)


class MeasuredEngine:
    """The engine, timed."""

    def __init__(self, engine: Engine, figures: Figures) -> None:
        self._engine = engine
        self._seconds = figures.engine_seconds

    def arrive(self, call_id: str, did: str, caller: str | None, now_ms: int) -> EngineTurn:
        """A call has come."""
        with self._seconds.time():
            return self._engine.arrive(call_id, did, caller, now_ms)

    def handle(self, state: str, event: Mapping[str, Any], now_ms: int) -> EngineTurn:
        """An event of a call."""
        with self._seconds.time():
            return self._engine.handle(state, event, now_ms)

    def resume(self, state: str, now_ms: int) -> EngineTurn:
        """The pending action again."""
        with self._seconds.time():
            return self._engine.resume(state, now_ms)

    def line(self, employee: str, line: str) -> object:
        """A fact of the floor."""
        return self._engine.line(employee, line)

    def presence(self, employee: str, presence: str) -> object:
        """A fact of the floor."""
        return self._engine.presence(employee, presence)

    def called(self, number: str, now_ms: int) -> object:
        """A number has called."""
        return self._engine.called(number, now_ms)

    def queue_heads(self, now_ms: int) -> list[str]:
        """Who is first in line, of each queue."""
        return self._engine.queue_heads(now_ms)

    def reserve(self, employee: str, call_id: str, now_ms: int) -> bool:
        """Somebody is claimed for a call."""
        return self._engine.reserve(employee, call_id, now_ms)

    def release(self, employee: str, call_id: str) -> None:
        """A claim is given up."""
        self._engine.release(employee, call_id)

    def claims(self, now_ms: int) -> list[tuple[str, str, str]]:
        """Who is claimed for what."""
        return self._engine.claims(now_ms)


class MeasuredLookups:
    """Questions to a desk, counted and timed. A question whose caller hung up, or whose scheme gave it less time, has no
    outcome of its own: it is `given_up`."""

    def __init__(self, lookups: Lookups, figures: Figures) -> None:
        self._lookups = lookups
        self._figures = figures

    async def owner(self, caller: str, /) -> Event:
        """Who is responsible for this caller."""
        began, outcome = time.perf_counter(), "given_up"
        try:
            answer = await self._lookups.owner(caller)
            outcome = str(answer["type"])
            return answer
        finally:
            self._figures.looked_up("owner", outcome, time.perf_counter() - began)

    async def history(self, caller: str, days: int | None, /) -> Event:
        """Whether this caller has called before."""
        began, outcome = time.perf_counter(), "given_up"
        try:
            answer = await self._lookups.history(caller, days)
            outcome = str(answer["type"])
            return answer
        finally:
            self._figures.looked_up("history", outcome, time.perf_counter() - began)

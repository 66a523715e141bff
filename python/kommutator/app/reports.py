"""What processes of a router say of themselves, and its figures with theirs.

Each has an end of a pair of sockets that who forked them made, which outlives them all. It says every half second how it
is; who has said nothing for some seconds does not work.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import msgspec
import structlog
import trio
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

_LONGEST = 200 * 1024
"""Bytes of a report: the kernel takes datagrams of 208 KiB."""
_SILENT_S = 3.0


class Series(msgspec.Struct, frozen=True, array_like=True):
    """A figure: name, what it says, its kind, and its samples, each with name, labels and value."""

    name: str
    says: str
    kind: str
    samples: tuple[tuple[str, dict[str, str], float], ...]


class Report(msgspec.Struct, frozen=True):
    """How a process is."""

    at: float
    """By the machine's clock, seconds."""
    missing: tuple[str, ...]
    version: str | None
    calls: int
    figures: tuple[Series, ...]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Report)


def series_of(registry: CollectorRegistry) -> tuple[Series, ...]:
    """The figures of a registry."""
    return tuple(
        Series(
            family.name,
            family.documentation,
            family.type,
            tuple((sample.name, dict(sample.labels), sample.value) for sample in family.samples),
        )
        for family in registry.collect()
    )


def say(to: socket.socket, report: Report) -> None:
    """Say how we are. Who does not listen at the moment misses it."""
    with suppress(BlockingIOError):
        to.send(_encoder.encode(report))


class Reports:
    """What the processes have said last, by their places. They are beside this one, which hears them."""

    def __init__(self, ears: Mapping[int, socket.socket]) -> None:
        self._ears = ears
        self._last: dict[int, Report] = {}
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Hear until cancelled."""
        async with trio.open_nursery() as nursery:
            for place, ear in self._ears.items():
                nursery.start_soon(self._hear, place, ear)

    async def _hear(self, place: int, ear: socket.socket) -> None:
        while True:
            await trio.lowlevel.wait_readable(ear)
            with suppress(BlockingIOError, msgspec.DecodeError):
                self._last[place] = _decoder.decode(ear.recv(_LONGEST))

    def fresh(self) -> dict[int, Report]:
        """What those said who work."""
        oldest = time.time() - _SILENT_S
        return {place: report for place, report in sorted(self._last.items()) if report.at >= oldest}

    def missing(self, version: str | None) -> list[str]:
        """What is missing, when calls are routed by this version."""
        fresh, missing = self.fresh(), []
        for place in sorted(self._ears):
            if (report := fresh.get(place)) is None:
                missing.append(f"process {place} does not answer")
                continue
            missing += [f"process {place}: {each}" for each in report.missing]
            if not report.missing and version is not None and report.version != version:
                missing.append(f"process {place} has another company version")
        return missing

    def facts(self) -> dict[str, dict[str, object]]:
        """How each is who works."""
        return {str(place): {"version": said.version, "calls": said.calls} for place, said in self.fresh().items()}

    @property
    def calls(self) -> int:
        """How many calls go on in them."""
        return sum(report.calls for report in self.fresh().values())


class Together(Collector):
    """A registry's figures, and those of processes, which have the label `process`."""

    def __init__(self, own: CollectorRegistry, reports: Reports) -> None:
        self._own = own
        self._reports = reports

    def collect(self) -> Iterable[Metric]:
        """All of them."""
        families = {family.name: family for family in self._own.collect()}
        for place, report in self._reports.fresh().items():
            for one in report.figures:
                family = families.get(one.name) or families.setdefault(one.name, Metric(one.name, one.says, one.kind))
                for name, labels, value in one.samples:
                    family.add_sample(name, {**labels, "process": str(place)}, value)
        return families.values()


def together(own: CollectorRegistry, reports: Reports) -> CollectorRegistry:
    """A registry to be served."""
    made = CollectorRegistry()
    made.register(Together(own, reports))
    return made


def pairs(count: int) -> Sequence[tuple[socket.socket, socket.socket]]:
    """For each process an ear and a mouth. They do not block."""
    made = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(count)]
    for pair in made:
        for end in pair:
            end.setblocking(False)
    return made

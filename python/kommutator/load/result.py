"""What came of a run: figures in HDR histograms, and how they went over time.

`hdrhistogram` is the port of Gil Tene's own by his project: three significant digits from a microsecond to two hours in 0.2 MB,
0.7 µs a record, merged by adding; its Rust sibling would record in 0.1 µs, which equal values folded together leave nothing of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from hdrh.histogram import HdrHistogram

from kommutator.load.measure import Usage
from kommutator.load.tally import EXAMPLES, Example, Interval, Part

_LARGEST_US: Final = 7_200_000_000
PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9, 99.99)
_CURVE: Final = (0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.975, 99.99, 99.995, 99.999)


class Latencies(msgspec.Struct, frozen=True):
    """A distribution, in milliseconds."""

    count: int
    mean: float
    percentiles: dict[str, float]
    """By name: `50`, `90`, `99`, `99.9`, `99.99`."""
    most: float
    curve: list[tuple[float, float]]
    """Percentiles and values, for a plot."""


class Moment(msgspec.Struct, frozen=True):
    """One interval of a run."""

    at_s: float
    due: int
    """Calls that were due."""
    answered: int
    """Answers that came."""
    p50_ms: float | None
    """Of the calls due; None where none of them was answered."""
    p99_ms: float | None
    most_ms: float | None
    errors: dict[str, int]
    wrong: int


class Report(msgspec.Struct, frozen=True):
    """A run's figures."""

    calls: int
    """That were due."""
    answered: int
    errors: dict[str, int]
    outcomes: dict[str, int]
    """What became of whole calls, the most frequent first."""
    wrong: int
    checked: bool
    """Whether answers were held against an engine."""
    abandoned: int
    """Open when the run was ended before its time."""
    seconds: float
    """From the beginning to the last call's moment."""
    width_s: float
    latency: Latencies | None
    """From the moment at which a call was due to its first answer. None where nothing was answered."""
    service: Latencies | None
    """From the moment at which it was asked: what a client that waits would have seen."""
    lateness: Latencies | None
    """How long after it was due the generator turned to a call."""
    waited: Latencies | None
    """From then until it was asked: for one of the connections."""
    steps: Latencies | None
    """Of whole calls: the later answers."""
    generators: int
    generator_s: float
    """Seconds of processor that the generators took."""
    server: Usage | None
    """None where nobody of this machine could be measured."""
    moments: list[Moment]
    examples: list[Example]

    @property
    def failed(self) -> int:
        """Calls without a right answer."""
        return sum(self.errors.values()) + self.wrong

    @property
    def share_failed(self) -> float:
        """Of the calls that came to an end."""
        ended = self.answered + sum(self.errors.values())
        return self.failed / ended if ended else 0.0


class Result:
    """Folds what generators tell."""

    def __init__(self, width_s: float, generators: int, checked: bool) -> None:
        self._width_s = width_s
        self._checked = checked
        self._due, self._sent, self._late, self._waited, self._steps = (
            HdrHistogram(1, _LARGEST_US, 3) for _ in range(5)
        )
        self._intervals: dict[int, Interval] = {}
        self._examples: list[Example] = []
        self._open = [0] * generators
        self._processor_s = [0.0] * generators
        self.abandoned = 0
        """Calls that were open when the run was ended."""

    def add(self, place: int, part: Part) -> None:
        """What generator `place` has counted."""
        self._open[place], self._processor_s[place] = part.open, part.processor_s
        for number, interval in part.intervals.items():
            for histogram, values in (
                (self._due, interval.due),
                (self._sent, interval.sent),
                (self._late, interval.late),
                (self._waited, interval.waited),
                (self._steps, interval.steps),
            ):
                for value, times in values.items():
                    histogram.record_value(min(max(value, 1), _LARGEST_US), times)
            # Over time, six bits are enough of a value, and few in number.
            interval.due = _coarse(interval.due)
            interval.sent, interval.waited, interval.steps = {}, {}, {}
            interval.late = {0: sum(interval.late.values())} if interval.late else {}
            self._intervals.setdefault(number, Interval()).add(interval)
        for example in part.examples:
            if sum(each.kind == example.kind for each in self._examples) < EXAMPLES:
                self._examples.append(example)

    @property
    def open(self) -> int:
        """Calls that are asked and not answered."""
        return sum(self._open)

    def report(self, server: Usage | None) -> Report:
        """What is known until now."""
        errors: dict[str, int] = {}
        for interval in self._intervals.values():
            for kind, times in interval.errors.items():
                errors[kind] = errors.get(kind, 0) + times
        outcomes: dict[str, int] = {}
        for interval in self._intervals.values():
            for outcome, times in interval.outcomes.items():
                outcomes[outcome] = outcomes.get(outcome, 0) + times
        last = max((number for number, each in self._intervals.items() if each.late), default=-1)
        return Report(
            calls=self._late.get_total_count(),
            answered=self._due.get_total_count(),
            errors=dict(sorted(errors.items(), key=lambda item: -item[1])),
            outcomes=dict(sorted(outcomes.items(), key=lambda item: -item[1])),
            wrong=sum(each.wrong for each in self._intervals.values()),
            checked=self._checked,
            abandoned=self.abandoned,
            seconds=(last + 1) * self._width_s,
            width_s=self._width_s,
            latency=_latencies(self._due),
            service=_latencies(self._sent),
            lateness=_latencies(self._late),
            waited=_latencies(self._waited),
            steps=_latencies(self._steps),
            generators=len(self._open),
            generator_s=sum(self._processor_s),
            server=server,
            moments=[_moment(number * self._width_s, self._intervals[number]) for number in sorted(self._intervals)],
            examples=list(self._examples),
        )


def to_json(report: Report) -> dict[str, Any]:
    """The report as JSON has it."""
    told: dict[str, Any] = msgspec.to_builtins(report)
    return {**told, "share_failed": report.share_failed}


def _latencies(histogram: Any) -> Latencies | None:
    count = histogram.get_total_count()
    if not count:
        return None

    def at(percentile: float) -> float:
        return float(histogram.get_value_at_percentile(percentile)) / 1000

    # A percentile is drawn as far as there are calls beyond it.
    curve = [(each, at(each)) for each in _CURVE if (100 - each) / 100 * count >= 1 or each == 0]
    return Latencies(
        count,
        histogram.get_mean_value() / 1000,
        {f"{each:g}": at(each) for each in PERCENTILES},
        histogram.get_max_value() / 1000,
        curve,
    )


def _moment(at_s: float, interval: Interval) -> Moment:
    values = interval.due
    return Moment(
        round(at_s, 3),
        sum(interval.late.values()),
        interval.answered,
        _at(values, 0.5),
        _at(values, 0.99),
        max(values) / 1000 if values else None,
        interval.errors,
        interval.wrong,
    )


def _at(values: Mapping[int, int], share: float) -> float | None:
    """The value below which that share lies, milliseconds."""
    wanted, passed = share * sum(values.values()), 0
    for value in sorted(values):
        passed += values[value]
        if passed >= wanted:
            return value / 1000
    return None


def _coarse(values: Mapping[int, int]) -> dict[int, int]:
    coarse: dict[int, int] = {}
    for value, times in values.items():
        shift = max(value.bit_length() - 6, 0)
        kept = value >> shift << shift
        coarse[kept] = coarse.get(kept, 0) + times
    return coarse

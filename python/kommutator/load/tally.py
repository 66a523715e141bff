"""What a generator counts, and how it is told: latencies by the interval in which calls were due, as counts of values.

A histogram costs 0.7 µs a record in Python, a list 0.05 µs: generators keep lists, fold equal values together when they
tell (0.06 µs each), and whoever reports puts them into histograms.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

EXAMPLES: Final = 5
"""Of each kind of error, and of wrong answers, that are kept."""


class Interval(msgspec.Struct):
    """The calls that were due in one stretch of the run. Latencies are microseconds: how often each."""

    due: dict[int, int] = {}
    """From the moment at which a call was due to its first answer."""
    sent: dict[int, int] = {}
    """From the moment at which it was really asked."""
    late: dict[int, int] = {}
    """How long after it was due the generator turned to it."""
    waited: dict[int, int] = {}
    """From when the generator turned to it until it was really asked: for a connection, mostly."""
    steps: dict[int, int] = {}
    """Of whole calls: the later answers."""
    errors: dict[str, int] = {}
    """Calls that failed, by kind; none of them has a latency but of `late`."""
    outcomes: dict[str, int] = {}
    """What became of whole calls."""
    wrong: int = 0
    """Answers that were wrong; they have their latency."""
    answered: int = 0
    """Answers that came in this interval, whenever their calls were due."""

    def add(self, other: Interval) -> None:
        """Count the other's, too."""
        for mine, theirs in (
            (self.due, other.due),
            (self.sent, other.sent),
            (self.late, other.late),
            (self.waited, other.waited),
            (self.steps, other.steps),
        ):
            for value, times in theirs.items():
                mine[value] = mine.get(value, 0) + times
        for kind, times in other.errors.items():
            self.errors[kind] = self.errors.get(kind, 0) + times
        for outcome, times in other.outcomes.items():
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + times
        self.wrong += other.wrong
        self.answered += other.answered


class Example(msgspec.Struct, frozen=True):
    """One call that went wrong."""

    kind: str
    """The kind of error, or `wrong`."""
    number: int
    did: str
    caller: str | None
    at_ms: int
    detail: str


class Part(msgspec.Struct, tag="part"):
    """What was counted since the last part."""

    intervals: dict[int, Interval]
    examples: list[Example]
    open: int
    """Calls that are asked and not answered."""
    processor_s: float
    """The generator's own, since it began to make calls."""


class Ready(msgspec.Struct, tag="ready"):
    """The generator can begin."""


class Failed(msgspec.Struct, tag="failed"):
    """It cannot."""

    message: str


class Done(msgspec.Struct, tag="done"):
    """It made all its calls, or was told to stop; nothing follows."""

    abandoned: int
    """Calls that were still open when it was told to stop."""


Message = Part | Ready | Failed | Done


_Lists = tuple[list[int], list[int], list[int], list[int], list[int]]
"""Microseconds: `due`, `sent`, `late`, `waited` and `steps` of an interval."""


class Tally:
    """Counts of one generator. `width_s` is an interval's length."""

    def __init__(self, width_s: float) -> None:
        self._width_s = width_s
        self._lists: dict[int, _Lists] = {}
        self._rest: dict[int, Interval] = {}
        self._examples: list[Example] = []
        self._shown: Counter[str] = Counter()

    def answer(self, due_s: float, late_s: float, sent_s: float, took_s: float, steps_s: tuple[float, ...]) -> None:
        """A call due at `due_s` was turned to `late_s` after, asked `sent_s` after, and answered `took_s` after."""
        due, sent, late, waited, steps = self._of(due_s)
        due.append(int(took_s * 1e6))
        sent.append(int((took_s - sent_s) * 1e6))
        late.append(int(late_s * 1e6))
        waited.append(int((sent_s - late_s) * 1e6))
        if steps_s:
            steps.extend(int(each * 1e6) for each in steps_s)
        self._also(due_s + took_s).answered += 1

    def error(self, due_s: float, late_s: float, kind: str) -> None:
        """A call failed."""
        self._of(due_s)[2].append(int(late_s * 1e6))
        errors = self._also(due_s).errors
        errors[kind] = errors.get(kind, 0) + 1

    def outcome(self, due_s: float, outcome: str) -> None:
        """A whole call, counted as answered besides, has come to this."""
        outcomes = self._also(due_s).outcomes
        outcomes[outcome] = outcomes.get(outcome, 0) + 1

    def wrong(self, due_s: float) -> None:
        """The answer of a call, counted as such besides, was wrong."""
        self._also(due_s).wrong += 1

    def wants(self, kind: str) -> bool:
        """Whether another example of this kind is kept."""
        return self._shown[kind] < EXAMPLES

    def show(self, example: Example) -> None:
        """Keep an example."""
        self._shown[example.kind] += 1
        self._examples.append(example)

    def take(self, open_now: int, processor_s: float) -> Part:
        """What was counted since this was asked last."""
        intervals, examples = self._rest, self._examples
        for place, lists in self._lists.items():
            interval = intervals.setdefault(place, Interval())
            interval.due, interval.sent, interval.late, interval.waited, interval.steps = (
                dict(Counter(each)) for each in lists
            )
        self._lists, self._rest, self._examples = {}, {}, []
        return Part(intervals, examples, open_now, processor_s)

    def _of(self, at_s: float) -> _Lists:
        place = int(at_s / self._width_s)
        lists = self._lists.get(place)
        if lists is None:
            lists = self._lists[place] = ([], [], [], [], [])
        return lists

    def _also(self, at_s: float) -> Interval:
        place = int(at_s / self._width_s)
        interval = self._rest.get(place)
        if interval is None:
            interval = self._rest[place] = Interval()
        return interval

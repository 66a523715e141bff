"""A day in figures, as JSON and people read them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import fsum

from kommutator.forecast.day import Ended, Outcome

_QUARTER_S = 900


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds until somebody answered, of the answered calls."""

    mean: float
    p50: float
    p90: float
    p99: float
    most: float


@dataclass(frozen=True, slots=True)
class Agent:
    """An employee's day. `occupancy` is the share of the time there that went to talking and wrapping up."""

    employee: str
    calls: int
    talked_s: float
    wrapped_s: float
    there_s: float
    occupancy: float


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour of the day, by when calls came. `within` is the service level, None without calls."""

    hour: int
    calls: int
    answered: int
    abandoned: int
    within: float | None
    mean_wait_s: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """Of a day, or of the calls of one number."""

    calls: int
    dispositions: dict[str, int]
    answered: float
    """The share of all calls."""
    abandoned: float
    service_level: float
    """The share of all calls that somebody answered within `within_s`."""
    within_s: float
    waits: Waits | None
    mean_queue_s: float
    """Of all calls: while phones rang, or while they waited for somebody to come free."""
    abandoned_after_s: float | None
    """Mean patience of those who left."""
    most_waiting: int
    rounds: float
    """Rounds of ringing a call, in the mean."""
    agents: list[Agent]
    hours: list[Hour]
    waiting: list[tuple[float, int]]
    """The most callers without an answer in each quarter of an hour, by its beginning in seconds."""


def figures(outcome: Outcome, within_s: float) -> Figures:
    """The figures of a day. A day without calls has zeros."""
    calls = outcome.calls
    total = max(len(calls), 1)
    dispositions = Counter(call.disposition for call in calls)
    answered = [call for call in calls if call.employee is not None or call.disposition == "answered"]
    left = [call for call in calls if call.disposition == "abandoned"]
    return Figures(
        calls=len(calls),
        dispositions=dict(dispositions.most_common()),
        answered=len(answered) / total,
        abandoned=len(left) / total,
        service_level=sum(call.waited_s <= within_s for call in answered) / total,
        within_s=within_s,
        waits=_waits([call.waited_s for call in answered]),
        mean_queue_s=fsum(call.queued_s for call in calls) / total,
        abandoned_after_s=fsum(call.waited_s for call in left) / len(left) if left else None,
        most_waiting=max((count for _, count in outcome.waiting), default=0),
        rounds=sum(call.rounds for call in calls) / total,
        agents=[
            Agent(
                employee, worked.calls, worked.talked_s, worked.wrapped_s, worked.there_s,
                (worked.talked_s + worked.wrapped_s) / worked.there_s if worked.there_s else 0.0,
            )
            for employee, worked in outcome.employees.items()
        ],
        hours=_hours(calls, within_s),
        waiting=_quarters(outcome.waiting),
    )  # fmt: skip


def _waits(seconds: list[float]) -> Waits | None:
    if not seconds:
        return None
    ordered = sorted(seconds)
    p50, p90, p99 = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.9, 0.99))
    return Waits(fsum(ordered) / len(ordered), p50, p90, p99, ordered[-1])


def _hours(calls: list[Ended], within_s: float) -> list[Hour]:
    by_hour: dict[int, list[Ended]] = {}
    for call in calls:
        by_hour.setdefault(int(call.came_s // 3600), []).append(call)
    hours = []
    for hour, those in sorted(by_hour.items()):
        waits = [call.waited_s for call in those if call.disposition == "answered"]
        told = Hour(
            hour=hour,
            calls=len(those),
            answered=len(waits),
            abandoned=sum(call.disposition == "abandoned" for call in those),
            within=sum(wait <= within_s for wait in waits) / len(those),
            mean_wait_s=fsum(waits) / len(waits) if waits else None,
        )
        hours.append(told)
    return hours


def _quarters(waiting: list[tuple[float, int]]) -> list[tuple[float, int]]:
    most: dict[int, int] = {}
    before, count = 0, 0
    for moment, now in waiting:
        quarter = int(moment // _QUARTER_S)
        for between in range(before, quarter):  # what had waited goes on waiting
            most[between + 1] = max(most.get(between + 1, 0), count)
        most[quarter] = max(most.get(quarter, 0), now)
        before, count = quarter, now
    return [(quarter * _QUARTER_S, number) for quarter, number in sorted(most.items())]

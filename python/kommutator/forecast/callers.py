"""Who calls when: all of a day's callers, drawn before the day begins.

So the same callers can be played through two documents, and what differs is the documents' doing.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from kommutator.errors import BadAssumption
from kommutator.forecast.assumptions import Assumptions

_DIGITS = 12
"""Of a caller's number, the `+` among them."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One call to come. Times in seconds; `came_s` from the day's beginning."""

    came_s: float
    did: str
    number: str | None
    patience_s: float
    talk_s: float
    message_s: float
    """0: he leaves none."""


def poisson(rate: float, chance: Random) -> Iterator[float]:
    """Moments of arrivals at so many a second, without end."""
    at = 0.0
    while True:
        at += chance.expovariate(rate)
        yield at


def over_hours(calls: float, hours: Mapping[int, float], chance: Random) -> Iterator[float]:
    """Moments of a day of so many expected calls that spread over the hours by weight: Poisson in each."""
    begins = sorted(hours)
    total = math.fsum(hours.values())
    if not total:
        raise BadAssumption("hours: their weights are 0")
    expected = [0.0, *accumulate(calls * hours[hour] / total for hour in begins)]
    reached = 0.0
    while True:
        reached += chance.expovariate(1.0)
        if reached >= expected[-1]:
            return
        hour = bisect_right(expected, reached) - 1
        share = (reached - expected[hour]) / (expected[hour + 1] - expected[hour])
        yield 3600 * (begins[hour] + share)


def drawn(moments: Iterator[float], assumptions: Assumptions, dids: Sequence[str], seed: int) -> Iterator[Caller]:
    """A caller for each moment. Raises `BadAssumption` where no number can be dialled."""
    chance = Random(f"callers {seed}")
    if unknown := [did for did in assumptions.numbers if did not in dids]:
        raise BadAssumption(f"numbers: `{unknown[0]}` is none of the company's")
    weights = dict(assumptions.numbers) or dict.fromkeys(dids, 1.0)
    if not weights:
        raise BadAssumption("the company has no number that could be dialled, save the default")
    did = _chosen(weights, chance)
    before: list[str] = []
    talk, patience, message = assumptions.talk.draw, assumptions.patience.draw, assumptions.message.draw
    for moment in moments:
        number: str | None
        if before and chance.random() < assumptions.known_callers:
            number = chance.choice(before)
        else:
            number = _number(chance.choice(assumptions.callers), chance)
            if number is not None:
                before.append(number)
        speaks = chance.random() < assumptions.leaves_message
        spoken = message(chance)
        yield Caller(moment, did(), number, patience(chance), talk(chance), spoken if speaks else 0.0)


def _chosen(weights: Mapping[str, float], chance: Random) -> Callable[[], str]:
    names, bounds = list(weights), list(accumulate(weights.values()))
    return lambda: names[bisect_right(bounds, chance.random() * bounds[-1])]


def _number(begins: str, chance: Random) -> str | None:
    if begins == "withheld":
        return None
    missing = _DIGITS - len(begins)
    return begins + f"{chance.randrange(10**missing):0{missing}}" if missing > 0 else begins

"""How long things take: distributions of seconds, as a person writes them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from kommutator.errors import BadAssumption

FORMS: Final = "fixed:S, exp:MEAN, uniform:FROM,TO, lognormal:MEAN,SD, erlang:K,MEAN, file:PATH, never"


@dataclass(frozen=True, slots=True)
class Seconds:
    """A distribution of times in seconds; `inf` is never."""

    written: str
    mean: float
    draw: Callable[[Random], float]

    @classmethod
    def read(cls, written: str) -> Seconds:
        """The distribution that is written in one of `FORMS`. Raises `BadAssumption`."""
        name, _, rest = written.strip().partition(":")
        try:
            return cls(written, *_FORMS[name](rest))
        except (KeyError, ValueError) as error:
            raise BadAssumption(f"`{written}` is no distribution of seconds: {FORMS}") from error
        except OSError as error:
            raise BadAssumption(f"`{written}`: {error.strerror}") from error


_Form = tuple[float, Callable[[Random], float]]


def _numbers(text: str, count: int) -> list[float]:
    numbers = [float(each) for each in text.split(",")]
    if len(numbers) != count or not all(math.isfinite(number) and number >= 0 for number in numbers):
        raise ValueError(text)
    return numbers


def _fixed(text: str) -> _Form:
    (seconds,) = _numbers(text, 1)
    return seconds, lambda _: seconds


def _exponential(text: str) -> _Form:
    (mean,) = _numbers(text, 1)
    return mean, (lambda chance: chance.expovariate(1 / mean)) if mean else (lambda _: 0.0)


def _uniform(text: str) -> _Form:
    low, high = _numbers(text, 2)
    return (low + high) / 2, lambda chance: chance.uniform(low, high)


def _lognormal(text: str) -> _Form:
    mean, deviation = _numbers(text, 2)
    if not mean:
        raise ValueError(text)
    variance = math.log(1 + (deviation / mean) ** 2)
    middle, spread = math.log(mean) - variance / 2, math.sqrt(variance)
    return mean, lambda chance: chance.lognormvariate(middle, spread)


def _erlang(text: str) -> _Form:
    phases, mean = _numbers(text, 2)
    if phases < 1 or phases != int(phases) or not mean:
        raise ValueError(text)
    return mean, lambda chance: chance.gammavariate(phases, mean / phases)


def _file(text: str) -> _Form:
    seen = [number for line in Path(text).read_text().split() for number in _numbers(line, 1)]
    if not seen:
        raise ValueError(text)
    return sum(seen) / len(seen), lambda chance: chance.choice(seen)


def _never(text: str) -> _Form:
    if text:
        raise ValueError(text)
    return math.inf, lambda _: math.inf


_FORMS: Final[dict[str, Callable[[str], _Form]]] = {
    "fixed": _fixed,
    "exp": _exponential,
    "uniform": _uniform,
    "lognormal": _lognormal,
    "erlang": _erlang,
    "file": _file,
    "never": _never,
}

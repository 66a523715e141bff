"""When calls are due, who makes them and to which number: settled before the first, whatever becomes of any.

A run is the same for one generator or several: each draws all moments and takes every n-th call.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

import msgspec

from kommutator.errors import BadReplay

_MIX: Final = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
"""SplitMix64 (Steele, Lea and Flood, 2014): one number of a call, without a generator to be made for it."""
_MASK: Final = (1 << 64) - 1
_DIGITS: Final = 12
"""Of a caller's number, the `+` among them."""
WITHHELD: Final = "withheld"


class Steady(msgspec.Struct, frozen=True, tag="steady"):
    """Calls at one rate, or at one that goes evenly from the first to the second."""

    from_rate: float
    to_rate: float
    for_s: float
    even: bool = False
    """As far from each other as the rate says; otherwise as chance has it: Poisson."""


class Replay(msgspec.Struct, frozen=True, tag="replay"):
    """The calls of a ledger, at the distances in which they came, divided by `speed`."""

    ledger: str
    speed: float = 1.0
    for_s: float | None = None


Arrivals = Steady | Replay


class Callers(msgspec.Struct, frozen=True):
    """Who calls whom, where no ledger says so."""

    dids: tuple[str, ...]
    """Each as likely as the others."""
    begins: tuple[str, ...] = ("+79",)
    """How callers' numbers begin, or `withheld`; the digits that are missing are drawn."""


class Call(msgspec.Struct, frozen=True):
    """One call to be made."""

    number: int
    due_s: float
    """From the beginning of the run."""
    did: str
    caller: str | None
    at_ms: int | None = None
    """When it came by the ledger, UTC; None for calls that are drawn."""


class _Line(msgspec.Struct):
    """What is read of a ledger's line; `routing.record` writes it."""

    did: str
    caller: str | None
    began: datetime


def calls(arrivals: Arrivals, callers: Callers, seed: int, place: int = 0, of: int = 1) -> Iterator[Call]:
    """The calls of generator `place` of so many. Raises `BadReplay`."""
    if isinstance(arrivals, Replay):
        yield from (call for call in _replayed(arrivals) if call.number % of == place)
        return
    for number, due_s in enumerate(moments(arrivals, seed)):
        if number % of == place:
            mixed = _mixed(seed, number)
            did = callers.dids[mixed % len(callers.dids)]
            yield Call(number, due_s, did, _caller(callers.begins, mixed >> 12))


def moments(steady: Steady, seed: int) -> Iterator[float]:
    """The moments of a rate, in seconds from the beginning."""
    chance = Random(f"arrivals {seed}")
    reached = 0.0
    for number in count():
        # Of so many calls expected until a moment, each comes one expected call after the other, on average or exactly.
        reached = float(number) if steady.even else reached + chance.expovariate(1.0)
        moment = _moment(steady, reached)
        if moment is None:
            return
        yield moment


def expected(arrivals: Arrivals) -> tuple[float, float]:
    """How many calls are to come, and in how many seconds. Raises `BadReplay`."""
    if isinstance(arrivals, Steady):
        return (arrivals.from_rate + arrivals.to_rate) / 2 * arrivals.for_s, arrivals.for_s
    last, many = 0.0, 0
    for call in _replayed(arrivals):
        last, many = call.due_s, many + 1
    return many, last


def _moment(steady: Steady, reached: float) -> float | None:
    """When so many calls are expected to have come; None beyond the end."""
    rate, steeper = steady.from_rate, (steady.to_rate - steady.from_rate) / steady.for_s
    if reached >= (steady.from_rate + steady.to_rate) / 2 * steady.for_s:
        return None
    if steeper == 0 or reached == 0:
        return reached / rate if rate else 0.0
    # rate·t + steeper·t²/2 = reached, in the form that loses nothing where the rate hardly changes
    return 2 * reached / (rate + math.sqrt(max(0.0, rate * rate + 2 * steeper * reached)))


def _replayed(replay: Replay) -> Iterator[Call]:
    lines = _lines(Path(replay.ledger))
    first = lines[0].began
    for number, line in enumerate(lines):
        due_s = (line.began - first).total_seconds() / replay.speed
        if replay.for_s is not None and due_s > replay.for_s:
            return
        yield Call(number, due_s, line.did, line.caller, round(line.began.timestamp() * 1000))


def _lines(path: Path) -> Sequence[_Line]:
    """A ledger's calls in the order in which they began: they are written in that in which they ended."""
    decoder = msgspec.json.Decoder(_Line)
    lines: list[_Line] = []
    try:
        with path.open("rb") as file:
            for at, raw in enumerate(file, 1):
                try:
                    lines.append(decoder.decode(raw))
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise BadReplay(f"{path}:{at}: not a line of a ledger: {error}") from error
                if lines[-1].began.tzinfo is None:
                    raise BadReplay(f"{path}:{at}: not a line of a ledger: `began` has no offset from UTC")
    except OSError as error:
        raise BadReplay(f"{path}: cannot be read: {error.strerror or error}") from error
    if not lines:
        raise BadReplay(f"{path}: no call is in it")
    return sorted(lines, key=lambda line: line.began)


def _mixed(seed: int, number: int) -> int:
    z = (seed * _MIX[1] + (number + 1) * _MIX[0]) & _MASK
    z = ((z ^ (z >> 30)) * _MIX[1]) & _MASK
    z = ((z ^ (z >> 27)) * _MIX[2]) & _MASK
    return z ^ (z >> 31)


def _caller(begins: Sequence[str], drawn: int) -> str | None:
    chosen = begins[drawn % len(begins)]
    if chosen == WITHHELD:
        return None
    missing = _DIGITS - len(chosen)
    return f"{chosen}{(drawn >> 8) % 10**missing:0{missing}}" if missing > 0 else chosen

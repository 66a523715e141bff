"""What is asked under load: one call and what it was answered, and the port that each kind of target implements.

A target lives in a generator's process, on trio. It performs calls and says what it was told; when calls are due, how many
there are at once, deadlines, latencies and errors are the generator's matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec
import trio

from kommutator.load.people import Chances
from kommutator.load.reference import Expected

Json = Mapping[str, Any]


class Options(msgspec.Struct, frozen=True):
    """How a target is asked, alike for all kinds; a kind that has no use for one passes it over."""

    token: str | None = None
    whole: bool = False
    """Calls are led to their end; otherwise a call is over with its first answer."""
    chances: Chances = Chances()
    """What people do in whole calls."""
    connections: int = 64
    """At once, of one generator: a call that finds none free waits for one, and its latency with it."""
    deadline_s: float = 10.0
    """From the moment at which a call is due to its first answer, or to its end where it is whole. The generator keeps it."""
    company: str | None = None
    """The path of the company document, where one is given: for what a target must know of it."""


class Ask(msgspec.Struct, frozen=True):
    """One call to make."""

    number: int
    """Which call of the run, from 0; what people do in it is drawn by this (`Chances.event`)."""
    call_id: str
    """Unique to the run. A target that cannot hand it on has no seeded answers compared."""
    did: str
    caller: str | None
    at_ms: int
    """When it is due, UTC: for targets that take a time."""


class Told(msgspec.Struct):
    """What came of a call. Moments are `time.perf_counter()`."""

    actions: Sequence[Json] = ()
    """What was answered, the first action first, in the contract's JSON form as far as the target can tell. One for a call
    that is over with its first answer."""
    events: Sequence[Json] = ()
    """Of a whole call: `events[i]` was answered by `actions[i + 1]`."""
    traces: Sequence[Sequence[Json]] = ()
    """The trace of each action, where the target tells traces."""
    error: str | None = None
    """Why the call failed, as a kind of few values: `refused`, `reset`, `closed`, `http 503`, `sip 500` …; the generator says
    `timeout` by itself."""
    detail: str = ""
    """What else is known of the error: the first examples of each kind are shown with it."""
    sent_at: float = 0.0
    """When the question really left; 0 where it is not known: then the moment of `ask` counts."""
    first_at: float = 0.0
    """When the first answer was there; 0 for the moment at which `ask` returned."""
    steps_s: tuple[float, ...] = ()
    """Of a whole call: how long each later answer took."""
    outcome: str | None = None
    """Of a whole call: what became of it (`kommutator.load.outcome`), where the target knows better than its events say."""


class Server(msgspec.Struct, frozen=True):
    """Whose processor time and memory are measured: processes of this machine, their children with them.

    Processes are found by whichever of these is given; one that is not of this machine has no figures, and the report says so.
    """

    pids: tuple[int, ...] = ()
    tcp: tuple[str, int] | None = None
    """Whoever listens here: host and port."""
    udp: tuple[str, int] | None = None
    unix: str | None = None
    """Whoever listens at the Unix socket of this path."""
    lock: str | None = None
    """Whoever holds the lock of this file."""
    routers: bool = False
    """Besides, routers of ours that are connected with these processes by TCP, as soon as one is seen to be."""


class Target(Protocol):
    """Something that answers calls. Made by its kind's `make`, which connects to nothing yet."""

    async def open(self, nursery: trio.Nursery) -> None:
        """Connect, and start in the nursery what has to run besides; it is cancelled after `close`.

        Raises `TargetUnreachable` when there is nothing to ask.
        """
        ...

    async def ask(self, ask: Ask) -> Told:
        """Make one call, from now until its answer (or its end, for whole calls); many run at once.

        What goes wrong with the call is told, not raised. The generator cancels it after the deadline: what it holds (a
        connection, a transaction) is then given up.
        """
        ...

    async def close(self) -> None:
        """Let all connections go."""
        ...

    def servers(self) -> Sequence[Server]:
        """Who is measured. Asked of a target that need not have been opened, in another process than the one that asks."""
        ...

    def compare(self, expected: Expected, told: Told) -> str | None:
        """What is wrong with the answer of a call without error; None when it is right.

        `Expected.verdict(told)` does it for targets that tell the contract's actions; a target that translates them compares
        its translation of `expected.action`, and of `expected.after(events)`.
        """
        ...

"""What the routing loop needs from outside, as Protocols. Adapters implement them and decide nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from kommutator.routing.conversation import Arrangement, Standing
from kommutator.routing.doings import CalledBack, Doing
from kommutator.routing.turn import EngineTurn, Event, Turn


class Call(Protocol):
    """One live call at a PBX.

    Legs persist between the `perform`s of one call: a `ring` action means "make exactly this set ring", a `talk` keeps
    the leg that answered, and any other action ends them all.
    """

    @property
    def call_id(self) -> str:
        """The call's id, unique for ever; at most 64 characters."""
        ...

    @property
    def did(self) -> str:
        """The number dialled, as the PBX gave it."""
        ...

    @property
    def caller(self) -> str | None:
        """The calling number as the PBX gave it; None when withheld."""
        ...

    @property
    def saved_state(self) -> str | None:
        """The state found with the channel, when this router takes over a call that began before."""
        ...

    @property
    def takes_orders(self) -> bool:
        """Whether desks can order something of the call: a phone to answer by itself, a conversation to change. Where
        not, `converse` is given the first stage alone, and orders are refused as `not_supported`."""
        ...

    async def save(self, turn: Turn) -> None:
        """Keep the turn's state with the channel, before its action is performed. Raises `CallGone` when the channel is
        gone.
        """
        ...

    async def perform(self, turn: Turn) -> Event:
        """Perform exactly one action and return the event that answers it; `caller_hung_up` when the caller has gone.

        A lookup is none of the PBX: performing one is watching the caller until he hangs up. A `talk` is not performed:
        it is a conversation, which `converse` arranges.

        Performing the same turn again, in this process or after a restart, continues where the PBX is. When it is
        cancelled, legs and music stay as they are.
        """
        ...

    def pick_up(self, endpoint: str) -> None:
        """Have a phone that rings for the current `ring` answer by itself, where it can; never blocks."""
        ...

    async def arrangement(self) -> Arrangement | None:
        """What `keep` has kept with the channel; None when nothing was."""
        ...

    async def keep(self, arrangement: Arrangement) -> None:
        """Keep the arrangement with the channel, before it is made. Raises `CallGone`, `PbxError`."""
        ...

    async def converse(self, arrangement: Arrangement, seen: Standing, seconds: float | None) -> Standing:
        """Make the arrangement true, and return how its phones are: at once when something had to be done for that, and
        otherwise when they are no more as `seen`, `interrupt` is called, or so many seconds have passed.

        Phones of other endpoints are hung up. Raises `CallGone` when the client has hung up, `PbxError`.
        """
        ...

    async def stop_ringing(self, keep: Sequence[str]) -> None:
        """Cancel the legs at all endpoints but these, and return when they ring no more. The caller hears nothing of it.
        What cannot be cancelled now is by the next action; never raises."""
        ...

    def interrupt(self) -> None:
        """Let `converse` return; never blocks."""
        ...

    async def close(self, turn: Turn | None) -> None:
        """After `end` (or, with None, after a failure): hang up whatever is left of the call, and forget it."""
        ...


class FloorSink(Protocol):
    """Where live facts about employees go."""

    def line(self, employee: str, line: str) -> None:
        """The employee's line is now `idle`, `ringing`, `busy` or `unreachable`."""
        ...

    def presence(self, employee: str, presence: str) -> None:
        """The employee is now `present`, `away` or `offline`."""
        ...


class Pbx(Protocol):
    """A PBX and the calls it sends."""

    async def run(self, on_call: Callable[[Call], Awaitable[None]], floor: FloorSink) -> None:
        """Serve until cancelled. `on_call` runs in a task of its own for every new call and for every call found alive
        with a saved state; on cancellation the calls stay in the PBX as they are, for the next router."""
        ...

    async def found_calls(self) -> frozenset[str]:
        """Wait for the PBX to be reached for the first time, and return the ids of the calls that were alive there
        then.
        """
        ...

    async def epitaph(self, call_id: str, turn: Turn) -> Event:
        """How a call ended whose channel is gone while nobody watched: `caller_hung_up`, with the `seconds` of a
        message that was being recorded."""
        ...

    async def call_back(self, call_id: str, endpoint: str, number: str, tell: Callable[[str], None]) -> str | None:
        """Ring an employee's phone, which shows the number, then the number; let both talk until one hangs up.

        `tell` is told `ringing` (the employee's phone), `calling` (the client's) and `talking`. Returns why nobody
        talked: `employee_…` or `client_…` with `busy`, `declined`, `no_answer`, `unreachable`, `gone`; None when
        somebody did. Cancelled before they talk, it ends; after, they go on talking. Raises `PbxError`, and
        `PbxCannot` where this cannot be done.
        """
        ...

    async def call_back_over(self, call_id: str) -> bool:
        """Wait until a call back is over in which both talk, whichever router began it. False, at once, when there is
        none.
        """
        ...

    async def hang_up_call_back(self, call_id: str) -> None:
        """End a call back in which both talk. Raises `PbxError`."""
        ...


class Clock(Protocol):
    """The time."""

    def now_ms(self) -> int:
        """Milliseconds of UTC since the epoch."""
        ...


class Lookups(Protocol):
    """Questions that only the desk's database can answer. The loop puts the deadline around them."""

    async def owner(self, caller: str, /) -> Event:
        """`owner {employee}`, `no_owner` or `failed`."""
        ...

    async def history(self, caller: str, days: int | None, /) -> Event:
        """`called_before`, `never_called` or `failed`."""
        ...


class Journal(Protocol):
    """Where the loop writes what happened to calls. Never blocks the call and never raises."""

    def began(self, call_id: str, did: str, caller: str | None, at_ms: int) -> None:
        """A call arrived."""
        ...

    def turned(self, call_id: str, at_ms: int, event: Event | None, turn: Turn, /) -> None:
        """A turn was decided; `event` is what led to it, None for an arrival or a resumption."""
        ...

    def ended(self, call_id: str, at_ms: int, disposition: str, fault: str) -> None:
        """The call is over: its one line of the ledger."""
        ...

    def did(self, doing: Doing, /) -> None:
        """Somebody did something with an answered call, or called a client back."""
        ...

    def unfinished(self) -> Mapping[str, Turn | None]:
        """The calls that have begun and not ended, with their last turn (None: there was none yet); read at start."""
        ...

    def calls_back(self) -> Mapping[str, CalledBack]:
        """The calls back that are not over, as they were told last; read at start."""
        ...


class Engine(Protocol):
    """The compiled engine, as far as the loop needs it. `state` is the text form of a turn's state."""

    def arrive(self, call_id: str, did: str, caller: str | None, now_ms: int) -> EngineTurn: ...
    def handle(self, state: str, event: Mapping[str, Any], now_ms: int) -> EngineTurn: ...
    def resume(self, state: str, now_ms: int) -> EngineTurn: ...
    def line(self, employee: str, line: str) -> object: ...
    def presence(self, employee: str, presence: str) -> object: ...
    def called(self, number: str, now_ms: int) -> object: ...
    def reserve(self, employee: str, call_id: str, now_ms: int) -> bool: ...
    def release(self, employee: str, call_id: str) -> None: ...
    def claims(self, now_ms: int) -> list[tuple[str, str, str]]: ...
    def queue_heads(self, now_ms: int) -> list[str]: ...

"""One call whose dialplan does everything itself and only asks what: decisions as channel variables, one connection each.

The dialplan asks `decide`, does what `KOMMUTATOR_ACTION` says, and says how that went by `step`: a connection with an
event, answered by the next decision. For the router it is a call like any other.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
import structlog
import trio

from kommutator.errors import CallGone, PbxError
from kommutator.pbx.agi import dial, questions
from kommutator.pbx.agi.line import DID, OVER, House
from kommutator.pbx.agi.session import Session
from kommutator.pbx.asterisk import CAUSES, STATE
from kommutator.routing.answers import ended_of
from kommutator.routing.conversation import Arrangement, Standing
from kommutator.routing.turn import (
    End,
    Event,
    FindHistory,
    FindOwner,
    HangUp,
    Menu,
    Play,
    Record,
    Ring,
    Talk,
    Transfer,
    Turn,
    Wait,
)

_NAMES = (
    "ACTION", "SECONDS", "DIAL", "MUSIC", "PROMPT", "NOTICE", "ANNOUNCE", "DIGITS", "RECORDING", "CAUSE", "DISPOSITION",
)  # fmt: skip
"""Each is set by every decision, with `KOMMUTATOR_` before it; empty where it has no meaning."""
_PLAIN = frozenset(
    {"played", "no_input", "no_answer", "busy", "unavailable", "waited", "transferred", "failed", "hung_up"}
)
_LONGEST_S = 6 * 3600.0
"""A call from whose dialplan nothing was heard for so long has ended without a word."""
_MOST_AT_ONCE = 16
_EARLY_S = 0.5
"""Waiting in whole seconds is as good as waiting to the end."""
_DECIDES_S = 30.0
"""How long a connection waits for its decision; then the dialplan goes on without."""


class Step(msgspec.Struct):
    """A connection that waits for a decision."""

    session: Session
    words: tuple[str, ...]
    """The event, as the dialplan says it; none: it asks what is to be done."""
    state: str
    """What the channel has kept."""
    told: trio.Event


class StepCall:
    """The `Call` port over single questions."""

    takes_orders = False

    def __init__(
        self, call_id: str, did: str, caller: str | None, house: House, saved_state: str | None, channel: str
    ) -> None:
        self.call_id = call_id
        self.did = did
        self.caller = caller
        self.saved_state = saved_state
        self.channel = channel
        """Its channel's name, when it came."""
        self.heard_at = trio.current_time()
        """When its dialplan asked last."""
        self._house = house
        self._steps: deque[Step] = deque()
        self._turn: Turn | None = None
        self._until = math.inf
        """When the time of the turn's action is up."""
        self._open: Step | None = None
        """Whoever waits for the next decision."""
        self._gone = False
        self._changed = trio.Event()
        self._log = structlog.get_logger().bind(call=call_id)

    # --- told by the adapter

    def has_gone(self) -> None:
        """The caller has hung up."""
        self._gone = True
        self._changed.set()

    async def asks(self, session: Session, words: Sequence[str], state: str) -> None:
        """The dialplan says how an action went, and asks for the next; returns when it has been told."""
        self.heard_at = trio.current_time()
        step = Step(session, tuple(words), state, trio.Event())
        if len(self._steps) >= _MOST_AT_ONCE:
            self._log.error("a dialplan asks on many connections at once")
            return
        self._steps.append(step)
        self._changed.set()
        with trio.move_on_after(_DECIDES_S):
            await step.told.wait()

    # --- the port

    async def save(self, turn: Turn) -> None:
        """The state is told with the decision."""

    async def perform(self, turn: Turn) -> Event:
        """Tell the decision, and wait for the step that answers it."""
        if turn is not self._turn:
            self._turn, seconds = turn, getattr(turn.action, "seconds", None)
            self._until = math.inf if seconds is None else trio.current_time() + seconds
        try:
            if isinstance(turn.action, FindOwner | FindHistory):
                await self._wait_until(lambda: self._gone)
                raise CallGone("the caller has hung up")
            await self._tell(turn)
            while True:
                step = await self._next()
                event = await self._event(step, turn) if step.state == turn.state else None
                if event is not None:
                    return event
                await self._tell(turn)
        except CallGone:
            return await self._last_words(turn)

    def pick_up(self, endpoint: str) -> None:
        """Orders are refused before they come here."""

    async def arrangement(self) -> None:
        """Conversations do not change."""

    async def keep(self, arrangement: Arrangement) -> None:
        """Conversations do not change."""

    async def converse(self, arrangement: Arrangement, seen: Standing, seconds: float | None) -> Standing:
        """A dialplan tells of an answer when the conversation is over."""
        if self._gone:
            raise CallGone("the caller has hung up")
        return Standing("gone")

    async def stop_ringing(self, keep: Sequence[str]) -> None:
        """What a dialplan rings is its own."""

    def interrupt(self) -> None:
        """`converse` never waits."""

    async def close(self, turn: Turn | None) -> None:
        """Tell whoever waits that it is over."""
        with trio.move_on_after(5, shield=True):
            told = decision(turn, self._house) if turn is not None else {"ACTION": "end"}
            self._open = self._open or (self._steps.popleft() if self._steps else None)
            await self._say(told, {OVER: "1"})
        for step in self._steps:
            step.told.set()

    # --- inside

    async def _next(self) -> Step:
        """Whoever asks next; he is not forgotten when this is cancelled."""
        with trio.move_on_after(_LONGEST_S):
            await self._wait_until(lambda: self._gone or bool(self._steps))
        if self._gone or not self._steps:
            raise CallGone("the caller has hung up")
        self._open = self._steps.popleft()
        return self._open

    async def _wait_until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            self._changed = trio.Event()
            await self._changed.wait()

    async def _tell(self, turn: Turn) -> None:
        told = decision(turn, self._house)
        if isinstance(turn.action, Wait):
            told["SECONDS"] = str(max(1, math.ceil(self._until - trio.current_time())))
        await self._say(told, {STATE: turn.state, DID: self.did})

    async def _say(self, decided: dict[str, str], besides: dict[str, str]) -> None:
        step, self._open = self._open, None
        if step is None:
            return
        told = {f"KOMMUTATOR_{name}": decided.get(name, "") for name in _NAMES} | besides
        try:
            with trio.CancelScope(shield=True):  # half of a decision is none; each command has a deadline
                for name, value in told.items():
                    await step.session.command("SET VARIABLE", name, value, even_gone=True)
        except PbxError as error:
            self._log.warning("a decision could not be told", code=error.code, reason=str(error))
        step.told.set()

    async def _event(self, step: Step, turn: Turn) -> Event | None:
        """The event that the dialplan tells; None for none, and for one that cannot be read."""
        match step.words:
            case []:
                return None
            case ["digits", digits]:
                return {"type": "digits", "digits": digits}
            case ["answered", endpoint]:
                return {"type": "answered", "endpoint": endpoint, "ended": []}
            case ["waited"] if isinstance(turn.action, Wait):
                return {"type": "waited"} if trio.current_time() >= self._until - _EARLY_S else None
            case ["dialled"] if isinstance(turn.action, Ring | Transfer):
                return await self._dialled(step.session, turn.action)
            case ["recorded"] if isinstance(turn.action, Record):
                return {"type": "recorded", "seconds": await self._house.recordings.take(turn.action.recording) or 0.0}
            case [word] if word in _PLAIN:
                return {"type": word}
            case _:
                self._log.error("a dialplan tells what is no event", words=step.words, action=turn.kind)
                return None

    async def _dialled(self, session: Session, action: Ring | Transfer) -> Event:
        """What became of a `Dial()`, by the variables that it leaves."""
        endpoints = [each.endpoint for each in action.endpoints] if isinstance(action, Ring) else [action.to]
        plan = dial.plan(endpoints, self._house.dial_strings)
        status, number = await questions.values(session, "${DIALSTATUS}", "${DIALEDPEERNUMBER}")
        ended = await questions.ends(session, plan, status) if status != "ANSWER" else {}
        if isinstance(action, Transfer):
            return {"type": "transferred" if status == "ANSWER" else "failed", "ended": ended_of(ended)}
        winner = plan.endpoint_of(number) if status == "ANSWER" else None
        if winner is not None:
            return {"type": "answered", "endpoint": winner, "ended": []}
        return dial.outcome(plan, status, ended)

    async def _last_words(self, turn: Turn) -> Event:
        if isinstance(turn.action, Record):
            seconds = await self._house.recordings.take(turn.action.recording)
            if seconds is not None:
                return {"type": "caller_hung_up", "seconds": seconds}
        return {"type": "caller_hung_up"}


def decision(turn: Turn, house: House) -> dict[str, str]:
    """A turn as the variables of a dialplan, without `KOMMUTATOR_`."""
    action = turn.action
    told = {"ACTION": turn.kind}
    path: Callable[[str], str] = lambda prompt: house.sounds.media(prompt, turn.state).removeprefix("sound:")  # noqa: E731
    for name in ("prompt", "notice", "announce"):
        prompt = getattr(action, name, None)
        if prompt is not None:
            told[name.upper()] = path(prompt)
    seconds = getattr(action, "seconds", None)
    if seconds is not None:
        told["SECONDS"] = str(max(1, math.ceil(seconds)))
    match action:
        case Menu(digits=digits):
            told["DIGITS"] = ",".join(digits)
        case Ring(endpoints=endpoints, music=music):
            told["DIAL"] = dial.plan([each.endpoint for each in endpoints], house.dial_strings).all
            told["MUSIC"] = music or ""
        case Transfer(to=endpoint):
            told["DIAL"] = dial.plan([endpoint], house.dial_strings).all
        case Wait(music=music):
            told["MUSIC"] = music or "default"
        case Record(recording=recording):
            told["RECORDING"] = house.recordings.at_pbx(recording)
        case HangUp(cause=cause):
            told["CAUSE"] = str(CAUSES.get(cause, CAUSES["normal"]))
        case End(disposition=disposition):
            told["DISPOSITION"] = disposition
        case Play() | Talk() | FindOwner() | FindHistory() | _:
            pass
    return told

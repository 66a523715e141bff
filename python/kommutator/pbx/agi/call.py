"""One live call by FastAGI: each action of the engine translated into commands, and back into one event.

A phone that answers is told to us by a connection of its own, from the dialplan's subroutine through which `Dial()` sends
it (option `U`): so an answer is known at once, while `Dial()` goes on to the conversation's end. Until then the caller's
own connection takes nothing: what must be written to his channel is written by way of the phone's.

When this router dies, Asterisk ends what plays, and lets rings, conversations and recordings go on to their end; then the
dialplan asks again, and the call is taken up by what its channel has kept.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar

import structlog
import trio

from kommutator.errors import CallGone, PbxError, PbxRefused, PbxTimeout, PbxUnreachable
from kommutator.pbx.agi import dial, questions
from kommutator.pbx.agi.line import ALL_KEYS, OVER, CallerLine, House
from kommutator.pbx.agi.questions import Found
from kommutator.pbx.agi.session import QUICK_S, Pending, Session
from kommutator.pbx.asterisk import CAUSES, STARTED, STATE
from kommutator.routing.answers import ended_of, is_complete
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
    Transfer,
    Turn,
    Wait,
)

_T = TypeVar("_T")
_LOOK_EVERY_S = 1.0
"""While a caller waits, the lines are looked at so often."""
_BACK_S = 3.0
"""A call whose connection broke while its caller was there asks again within this time, or is over."""
_CONNECT_S = 10.0
"""So long a phone that has answered waits to be connected; then Asterisk connects it by itself."""
_CLOSE_S = 5.0


class _Answered:
    """A phone that has answered, and waits to be connected."""

    def __init__(self, session: Session, endpoint: str, reaches_caller: bool) -> None:
        self.session = session
        self.endpoint = endpoint
        self.reaches_caller = reaches_caller
        """Whether `MASTER_CHANNEL()` of its channel is the caller's: it is the oldest of those that belong together."""
        self.released = trio.Event()


class AgiCall:
    """The `Call` port over FastAGI."""

    takes_orders = False

    def __init__(
        self, session: Session, call_id: str, did: str, caller: str | None, house: House, found: Found | None
    ) -> None:
        self.call_id = call_id
        self.did = did
        self.caller = caller
        self.saved_state = found.state if found is not None and found.state else None
        self.over = trio.Event()
        """The call is closed."""
        self._house = house
        self._line = CallerLine(session, house.sounds, call_id)
        self._found = found if self.saved_state else None
        self._sequence = -1
        self._deadline = math.inf
        self._dialling: Pending | None = None
        self._expected: dial.Plan | None = None
        """Whose phones may answer now."""
        self._rung: tuple[str, ...] = ()
        """Whose phones the `Dial()` that goes on rings, or one of which talks."""
        self._answered: _Answered | None = None
        self._changed = trio.Event()
        self._interrupted = False
        self._gone = False
        self._log = structlog.get_logger().bind(call=call_id)

    # --- told by the adapter

    def has_gone(self) -> None:
        """The caller has hung up, as his channel's last words say."""
        self._gone = True
        self._tell_change()

    def asks_again(self, session: Session, found: Found) -> None:
        """The dialplan asks anew: the connection had broken."""
        self._line.taken_over(session)
        self._found = found
        self._tell_change()

    async def phone_answers(self, session: Session, number: str, linked: str) -> None:
        """A phone has answered, whose connection this is; returns when it is to be connected or hung up."""
        endpoint = self._expected.endpoint_of(number) if self._expected is not None else None
        if endpoint is None or self._answered is not None or self._gone:
            await _refuse(session)
            return
        answered = self._answered = _Answered(session, endpoint, linked == self.call_id)
        self._tell_change()
        with trio.move_on_after(_CONNECT_S):
            await answered.released.wait()

    # --- the port

    async def save(self, turn: Turn) -> None:
        """Keep the state in a channel variable; while `Dial()` goes on, by way of the phone that has answered."""
        if self._gone:
            return
        if not self._is_dialling:
            await self._steadily(lambda: self._line.set(STATE, turn.state))
        elif self._answered is not None and self._answered.reaches_caller:
            with suppress(PbxError):  # without it the call is resumed at the ring, and finds there that it was answered
                await self._answered.session.command("SET VARIABLE", f"MASTER_CHANNEL({STATE})", turn.state)

    async def perform(self, turn: Turn) -> Event:
        """Perform the turn's action; the event that answers it."""
        if turn.sequence != self._sequence:
            self._sequence = turn.sequence
            seconds = getattr(turn.action, "seconds", None)
            self._deadline = math.inf if seconds is None else trio.current_time() + seconds
        try:
            event = await self._steadily(lambda: self._perform(turn))
            await self._look_at_lines()
        except CallGone:
            return await self._last_words(turn)
        except (PbxRefused, PbxTimeout) as error:
            self._log.error("the pbx failed an action", code=error.code, reason=str(error))
            return {"type": "fault", "whose": "pbx"}
        self._found = None
        return event

    def pick_up(self, endpoint: str) -> None:
        """A phone that `Dial()` rings cannot be told anything; orders are refused before they come here."""

    async def arrangement(self) -> None:
        """Conversations do not change."""

    async def keep(self, arrangement: Arrangement) -> None:
        """Conversations do not change."""

    async def converse(self, arrangement: Arrangement, seen: Standing, seconds: float | None) -> Standing:
        """Let client and operator talk: `Dial()` does, to the end of it."""
        self._release()
        with trio.move_on_after(math.inf if seconds is None else seconds):
            while self._is_dialling and seen.operator == "up" and not self._interrupted:
                await self._change_or_end_of_dial()
        self._interrupted = False
        if self._gone:
            raise CallGone("the caller has hung up")
        if self._is_dialling:
            return Standing("up")
        await self._steadily(self._end_of_dial)
        return Standing("gone")

    async def stop_ringing(self, keep: Sequence[str]) -> None:
        """A `Dial()` cannot be ended from outside: whoever answers it now is hung up again."""
        self._expected = None

    def interrupt(self) -> None:
        """Let `converse` return."""
        self._interrupted = True
        self._tell_change()

    async def close(self, turn: Turn | None) -> None:
        """Hang up what is left, or leave the caller with whom he was transferred to."""
        with trio.move_on_after(_CLOSE_S, shield=True):
            try:
                await self._close(transferred=_is_transferred(turn))
            except PbxError as error:
                self._log.warning("not everything of the call could be ended", reason=str(error))
            self._release()
            await self._line.session.close()
        self._forget_rung()
        self.over.set()

    async def _close(self, *, transferred: bool) -> None:
        session = self._line.session
        if self._is_dialling:
            if self._answered is not None and transferred and self._answered.reaches_caller:
                await self._answered.session.command("SET VARIABLE", f"MASTER_CHANNEL({OVER})", "1")
            elif not transferred:
                self._log.warning("a call is left to Dial(), which cannot be ended from outside")
                await self._drop_answered()
            return
        if not session.closed:
            await session.command("SET VARIABLE", OVER, "1", even_gone=True)
            if not session.hung_up:
                await session.command("EXEC", "Hangup", str(CAUSES["normal"]), even_gone=True)

    # --- actions

    async def _perform(self, turn: Turn) -> Event:
        action = turn.action
        await self._drop_answered()
        if self._dialling is not None:  # its ring was given up
            await self._dialling.over()
            await self._end_of_dial()
        if self._gone:
            raise CallGone("the caller has hung up")
        match action:
            case Play():
                await self._line.play(action.prompt, turn.state)
                return {"type": "played"}
            case Menu():
                return await self._menu(turn, action)
            case Ring():
                return await self._ring(turn, action)
            case Wait():
                return await self._wait(turn, action)
            case Record():
                return await self._record(turn, action)
            case Transfer():
                return await self._transfer(turn, action)
            case HangUp():
                return await self._hang_up(turn, action)
            case FindOwner() | FindHistory():
                await self._line.listen(math.inf)
                raise PbxUnreachable("the connection has ended")
            case _:
                raise PbxRefused(f"the action {type(action).__name__} is none of the PBX")

    async def _menu(self, turn: Turn, action: Menu) -> Event:
        entered = ""
        for prompt in (action.notice, action.prompt):
            if prompt is not None and not entered:
                entered = await self._line.play(prompt, turn.state, ALL_KEYS)
        until = trio.current_time() + action.seconds
        while not (entered and is_complete(entered, action.digits)):
            left = until - trio.current_time()
            pressed = await self._line.key(left) if left > 0 else ""
            if not pressed:
                break
            entered += pressed
        return {"type": "digits", "digits": entered} if entered else {"type": "no_input"}

    async def _ring(self, turn: Turn, action: Ring) -> Event:
        plan, winner, status = await self._dial(turn, [each.endpoint for each in action.endpoints], action.music)
        if winner is not None:
            return {"type": "answered", "endpoint": winner, "ended": []}
        return dial.outcome(plan, status, await questions.ends(self._line.session, plan, status))

    async def _transfer(self, turn: Turn, action: Transfer) -> Event:
        plan, winner, status = await self._dial(turn, [action.to], None)
        if winner is not None:
            return {"type": "transferred"}
        return {"type": "failed", "ended": ended_of(await questions.ends(self._line.session, plan, status))}

    async def _dial(self, turn: Turn, endpoints: Sequence[str], music: str | None) -> tuple[dial.Plan, str | None, str]:
        """Ring these phones until one answers, or `Dial()` is over: who answered, else its status."""
        plan = dial.plan(endpoints, self._house.dial_strings)
        if plan.left_out:
            self._log.error("phones cannot be dialled together with the others", endpoints=plan.left_out)
        if self._was_begun(turn):
            assert self._found is not None
            return plan, self._who_answered(plan, self._found), self._found.status
        if not plan.endpoints:
            return plan, None, "CHANUNAVAIL"
        await self._line.hear_nothing()
        if music is not None:
            await self._line.answer()
        await self._begin(turn)
        await self._line.tell("EXEC", "HangupCauseClear")
        seconds = self._deadline - trio.current_time()
        given = dial.arguments(plan, seconds, self._house.leg_context, self.call_id, music)
        self._expected, self._rung = plan, plan.endpoints
        self._house.dials(plan.endpoints, True)
        try:
            self._dialling = await self._line.session.begin("EXEC", "Dial", given)
            with trio.move_on_after(max(0.0, seconds) + QUICK_S) as ringing:
                while self._is_dialling and self._answered is None:
                    await self._change_or_end_of_dial()
            if ringing.cancelled_caught:
                raise PbxTimeout("Dial() rings on beyond its time")
        finally:
            self._expected = None
        if self._answered is not None:
            return plan, self._answered.endpoint, "ANSWER"
        await self._end_of_dial()
        found = await questions.found(self._line.session)
        return plan, self._who_answered(plan, found), found.status

    def _who_answered(self, plan: dial.Plan, found: Found) -> str | None:
        return plan.endpoint_of(found.number) if found.status == "ANSWER" else None

    async def _wait(self, turn: Turn, action: Wait) -> Event:
        if action.announce is not None:
            await self._line.play(action.announce, turn.state)
        while True:
            await self._line.hear_music(action.music)
            now = trio.current_time()
            if now >= self._deadline:
                return {"type": "waited"}
            await self._line.listen(min(self._deadline - now, _LOOK_EVERY_S))
            await self._look_at_lines()

    async def _record(self, turn: Turn, action: Record) -> Event:
        recordings = self._house.recordings
        told_s: float | None = None
        if not (self._was_begun(turn) and recordings.is_there(action.recording)):
            if action.prompt is not None:
                await self._line.play(action.prompt, turn.state)
            await self._line.hear_nothing()
            await self._line.answer()
            await self._begin(turn)
            longest_s = max(1, math.ceil(action.seconds))
            path, silence = recordings.at_pbx(action.recording), f"s={self._house.silence_s}"
            options = ("wav", "#", str(longest_s * 1000), "BEEP", silence)
            reply = await self._line.tell("RECORD FILE", path, *options, seconds=longest_s + 60)
            if reply.number < 0:
                await self._line.must_be_there()
                raise PbxRefused(f"nothing can be recorded at {path}: {reply.text}")
            told_s = (reply.endpos or 0) / 8000
        seconds = await recordings.take(action.recording, told_s)
        return {"type": "recorded", "seconds": seconds or 0.0}

    async def _hang_up(self, turn: Turn, action: HangUp) -> Event:
        if action.prompt is not None:
            await self._line.play(action.prompt, turn.state)
        await self._line.set(OVER, "1")
        await self._line.tell("EXEC", "Hangup", str(CAUSES.get(action.cause, CAUSES["normal"])))
        return {"type": "hung_up"}

    # --- what goes on in the PBX

    @property
    def _is_dialling(self) -> bool:
        return self._dialling is not None and not self._dialling.is_over

    async def _change_or_end_of_dial(self) -> None:
        pending = self._dialling
        assert pending is not None
        async with trio.open_nursery() as nursery:

            async def first(wait: Callable[[], Awaitable[object]]) -> None:
                await wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(first, pending.over)
            nursery.start_soon(first, self._changed.wait)

    async def _end_of_dial(self) -> None:
        """`Dial()` is over. Raises `CallGone` when the caller has ended it, `PbxUnreachable`."""
        pending, self._dialling = self._dialling, None
        self._answered = None
        self._forget_rung()
        if pending is None:
            return
        reply = await self._line.session.reply_of(pending)
        if reply.number < 0:
            await self._line.must_be_there()

    def _forget_rung(self) -> None:
        rung, self._rung = self._rung, ()
        self._house.dials(rung, False)

    def _was_begun(self, turn: Turn) -> bool:
        """Whether an earlier connection began this turn's action. It is over: the dialplan would not ask otherwise."""
        return self._found is not None and self._found.started == str(turn.sequence)

    async def _begin(self, turn: Turn) -> None:
        self._found = None
        await self._line.set(STARTED, str(turn.sequence))

    def _release(self) -> None:
        """Let a phone that has answered be connected."""
        if self._answered is not None:
            self._answered.released.set()

    async def _drop_answered(self) -> None:
        """Hang up a phone that has answered when its answer counts no more."""
        answered, self._answered = self._answered, None
        if answered is not None and not answered.released.is_set():
            with suppress(PbxError):
                await _refuse(answered.session)
            answered.released.set()

    async def _look_at_lines(self) -> None:
        if not self._is_dialling and not self._line.session.hung_up:
            with suppress(PbxError):  # what has happened to the connection is seen by the next action
                await self._house.look(self._line.session)

    async def _steadily(self, part: Callable[[], Awaitable[_T]]) -> _T:
        """Do a part of the call, and again when the connection broke and the dialplan has asked anew."""
        while True:
            session = self._line.session
            try:
                return await part()
            except PbxUnreachable:
                with trio.move_on_after(_BACK_S):
                    while self._line.session is session and not self._gone:
                        await self._changed.wait()
                if self._line.session is session:
                    raise CallGone("the connection has ended, and no other came") from None

    def _tell_change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def _last_words(self, turn: Turn) -> Event:
        """The caller has hung up; a message that he was leaving keeps its length."""
        await self._drop_answered()
        if isinstance(turn.action, Record):
            seconds = await self._house.recordings.take(turn.action.recording)
            if seconds is not None:
                return {"type": "caller_hung_up", "seconds": seconds}
        return {"type": "caller_hung_up"}


def _is_transferred(turn: Turn | None) -> bool:
    return turn is not None and isinstance(turn.action, End) and turn.action.disposition == "transferred"


async def _refuse(session: Session) -> None:
    """Hang a phone up that has answered; `Dial()` goes on as if nobody had."""
    await session.command("SET VARIABLE", "GOSUB_RESULT", "CONTINUE")

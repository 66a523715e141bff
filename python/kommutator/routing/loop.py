"""The routing loop: one task a call, which asks the engine, keeps the answer, has the PBX perform it, and asks again.

Order of each turn: journal → save with the channel → perform → engine. A router that dies anywhere in it leaves enough
for the next: the state with the channel, or the newer one in its own spool, and an action that may be performed again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import structlog
import trio

from kommutator.errors import BadNumber, BadState, CallGone, EngineError, PbxError, UnexpectedEvent, UnknownEmployee
from kommutator.routing.call_backs import CallBacks
from kommutator.routing.ports import Call, Clock, Engine, Journal, Lookups, Pbx
from kommutator.routing.talks import RINGS_S, Talks
from kommutator.routing.turn import (
    CallWebhook,
    End,
    Event,
    FindHistory,
    FindOwner,
    Ring,
    Talk,
    Transfer,
    Turn,
    Wait,
)

_UNEXPECTED_IN_A_ROW = 5
"""An adapter that keeps answering an action with events that do not fit it ends the call."""
_LOOK_EVERY_S = 1.0
"""While calls wait, the engine looks so often for somebody who came free unannounced: by a claim that lapsed."""
_HUNG_UP: Event = {"type": "caller_hung_up"}
_PBX_FAILED: Event = {"type": "fault", "whose": "pbx"}


class Router:
    """Routes the calls of one PBX. It is the `FloorSink` of its adapter.

    `rings_s` is how long a phone rings that an operator has called.
    """

    def __init__(
        self,
        engine: Engine,
        pbx: Pbx,
        journal: Journal,
        lookups: Lookups,
        clock: Clock,
        on_step: Callable[[float], None] = lambda _: None,
        rings_s: float = RINGS_S,
    ) -> None:
        """`on_step` is told how many seconds each step took: from an event until its action can be begun."""
        self._engine = engine
        self._pbx = pbx
        self._journal = journal
        self._lookups = lookups
        self._clock = clock
        self._on_step = on_step
        self._lost = dict(journal.unfinished())
        self._taken_over = {call_id: (0, place) for place, call_id in enumerate(self._lost)}
        self._waiting: dict[str, _Waiter] = {}
        self._in_line: dict[str, _Waiter] = {}
        self._waiting_since: dict[str, tuple[int, int]] = {}
        self._somebody_free = trio.Event()
        self._log = structlog.get_logger()
        self.lines: dict[str, str] = {}
        """Each employee's line as last told."""
        self.talks = Talks(engine, journal, clock, self.look_for_free, rings_s)
        self.call_backs = CallBacks(pbx, engine, journal, clock, self.look_for_free)

    async def run(self) -> None:
        """Route until cancelled. Calls that go on then stay in the PBX, with their state."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._close_lost)
            nursery.start_soon(self._offer_the_free)
            nursery.start_soon(self._look_now_and_then)
            nursery.start_soon(self.call_backs.run)
            await self._pbx.run(self._serve, self)
            nursery.cancel_scope.cancel()

    # --- the floor

    def line(self, employee: str, line: str) -> None:
        """A live fact from the PBX."""
        self._log.info("line", employee=employee, line=line)
        self.lines[employee] = line
        self._tell_engine(lambda: self._engine.line(employee, line), employee)
        # Who cannot be reached any more may have been the last whom a queue waits for.
        if line in ("idle", "unreachable"):
            self._somebody_free.set()

    def presence(self, employee: str, presence: str) -> None:
        """A live fact from the PBX or the desk."""
        self._tell_engine(lambda: self._engine.presence(employee, presence), employee)
        if presence == "present" or self._in_line:
            self._somebody_free.set()

    def look_for_free(self) -> None:
        """Somebody may have come free of whom no fact tells: another router has let him go."""
        self._somebody_free.set()

    def _tell_engine(self, tell: Callable[[], object], employee: str) -> None:
        try:
            tell()
        except EngineError as error:
            self._log.warning("the engine refused a fact", employee=employee, code=error.code)

    # --- one call

    async def _serve(self, call: Call) -> None:
        """The supervisor of one call: a failure of ours ends this call alone, and leaves its effects."""
        log = self._log.bind(call=call.call_id)
        last: list[Turn] = []
        since_ms = self._clock.now_ms()
        try:
            await self._route(call, last, log)
        except Exception:
            log.exception("the call failed in our code")
            await self._fail(call, last[-1] if last else None)
        else:
            self._remember_caller(call, since_ms)
        finally:
            self._waiting_since.pop(call.call_id, None)
            self.talks.forget(call.call_id)

    async def _route(self, call: Call, last: list[Turn], log: structlog.stdlib.BoundLogger) -> None:
        since = trio.current_time()
        turn = self._first_turn(call, log)
        unexpected = 0
        while not isinstance(turn.action, End):
            last[:] = [turn]
            log.info("turn", sequence=turn.sequence, action=turn.kind, trace=_brief(turn))
            event: Event
            try:
                await call.save(turn)
                self._on_step(trio.current_time() - since)
                answer = await self._perform(call, turn)
            except CallGone:
                answer = _HUNG_UP
            except PbxError as error:
                log.error("the pbx failed the call", code=error.code, reason=str(error))
                answer = _PBX_FAILED
            since = trio.current_time()
            if isinstance(answer, Turn):
                event, following = {"type": "employee_free"}, answer
            else:
                event = answer
                try:
                    following = self._handle(turn, event)
                except UnexpectedEvent:
                    unexpected += 1
                    log.warning("unexpected event", sequence=turn.sequence, event_type=event.get("type"))
                    if unexpected >= _UNEXPECTED_IN_A_ROW:
                        raise
                    continue
            unexpected = 0
            log.info("event", sequence=turn.sequence, **{f"event_{key}": value for key, value in event.items()})
            self._journal.turned(call.call_id, self._clock.now_ms(), event, following)
            if isinstance(turn.action, Ring | Talk | Transfer) or call.call_id in self._in_line:
                self._somebody_free.set()
            turn = following
        last[:] = [turn]
        self._somebody_free.set()
        await call.close(turn)
        self._end(call.call_id, turn.action, log)

    def _handle(self, turn: Turn, event: Event) -> Turn:
        try:
            return Turn.of(self._engine.handle(turn.state, event, self._clock.now_ms()))
        except UnknownEmployee:
            if event["type"] != "passed":
                raise
            # The call began on a company version in which her guest was not there yet; he has the client all the same.
            anybody = {**event, "employee": None}
            return Turn.of(self._engine.handle(turn.state, anybody, self._clock.now_ms()))

    def _first_turn(self, call: Call, log: structlog.stdlib.BoundLogger) -> Turn:
        now_ms = self._clock.now_ms()
        known = self._lost.pop(call.call_id, None)
        if call.saved_state is not None or known is not None:
            turn = self._resumed(call, known, log)
            if turn is not None:
                self._journal.began(call.call_id, call.did, call.caller, now_ms)
                self._journal.turned(call.call_id, now_ms, None, turn)
                return turn
        self._journal.began(call.call_id, call.did, call.caller, now_ms)
        log.info("call began", did=call.did, caller=call.caller)
        turn = Turn.of(self._engine.arrive(call.call_id, call.did, call.caller, now_ms))
        self._journal.turned(call.call_id, now_ms, None, turn)
        return turn

    def _resumed(self, call: Call, known: Turn | None, log: structlog.stdlib.BoundLogger) -> Turn | None:
        """The pending turn of a call that this router takes over; None when no state of it can be used.

        The spool's turn is newer than the channel's when the router died between the two.
        """
        if known is not None and isinstance(known.action, End):
            return known
        now_ms = self._clock.now_ms()
        turn: Turn | None = None
        for state in (call.saved_state, known.state if known is not None else None):
            if state is not None:
                try:
                    candidate = Turn.of(self._engine.resume(state, now_ms))
                except BadState as error:
                    log.error("a state cannot be resumed", code=error.code, reason=str(error))
                    continue
                if turn is None or candidate.sequence > turn.sequence:
                    turn = candidate
        if turn is not None:
            log.info("call resumed", sequence=turn.sequence, action=turn.kind)
        return turn

    async def _perform(self, call: Call, turn: Turn) -> Event | Turn:
        """Have the action performed; a `Turn` when the engine has moved on meanwhile because somebody came free."""
        match turn.action:
            case Wait():
                return await self._wait(call, turn)
            case FindOwner(caller=caller, timeout_ms=timeout_ms):
                return await self._look_up(call, turn, timeout_ms, partial(self._lookups.owner, caller))
            case FindHistory(caller=caller, timeout_ms=timeout_ms, days=days):
                return await self._look_up(call, turn, timeout_ms, partial(self._lookups.history, caller, days))
            case CallWebhook():
                return {"type": "failed"}
            case Ring():
                with self.talks.ringing(call, turn.action):
                    return await call.perform(turn)
            case Talk():
                return await self.talks.converse(call, turn)
            case _:
                return await call.perform(turn)

    async def _look_up(self, call: Call, turn: Turn, timeout_ms: int, ask: Callable[[], Awaitable[Event]]) -> Event:
        """Ask the desk, with the deadline around it, unless the caller hangs up meanwhile."""
        event: Event = {"type": "failed"}
        async with trio.open_nursery() as nursery:

            async def watch_the_caller() -> None:
                nonlocal event
                event = await call.perform(turn)
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch_the_caller)
            with trio.move_on_after(timeout_ms / 1000):
                event = await ask()
            nursery.cancel_scope.cancel()
        return event

    def _end(self, call_id: str, action: End, log: structlog.stdlib.BoundLogger) -> None:
        self._journal.ended(call_id, self._clock.now_ms(), action.disposition, action.fault)
        log.info("call ended", disposition=action.disposition, fault=action.fault)

    def _remember_caller(self, call: Call, since_ms: int) -> None:
        """A call has ended that came then: from now on its number has called before, whatever was answered earlier."""
        if call.caller is not None:
            with suppress(BadNumber):
                self._engine.called(call.caller, since_ms)

    async def _fail(self, call: Call, turn: Turn | None) -> None:
        log = self._log.bind(call=call.call_id)
        ended = self._fault_turn(call.call_id, turn)
        try:
            await call.close(None)
        except Exception:
            log.exception("the call could not be closed")
        self._somebody_free.set()
        self._end(call.call_id, ended, log)

    def _fault_turn(self, call_id: str, turn: Turn | None) -> End:
        """The engine's end of a call that failed in our code, with its effects; ours alone when the engine cannot."""
        if turn is not None and isinstance(turn.action, End):
            return turn.action
        if turn is not None:
            now_ms = self._clock.now_ms()
            event: Event = {"type": "fault", "whose": "ours"}
            try:
                ended = Turn.of(self._engine.handle(turn.state, event, now_ms))
            except (EngineError, ValueError) as error:
                self._log.error("the engine cannot end the call", call=call_id, reason=repr(error))
            else:
                self._journal.turned(call_id, now_ms, event, ended)
                if isinstance(ended.action, End):
                    return ended.action
        return End("failed", "ours")

    # --- calls that wait for somebody to come free

    async def _wait(self, call: Call, turn: Turn) -> Event | Turn:
        # Since when a call of an earlier router has waited is not known; they go first, in the order in which they came.
        since = self._waiting_since.setdefault(
            call.call_id, self._taken_over.get(call.call_id, (1, self._clock.now_ms()))
        )
        waiter = _Waiter(call.call_id, turn, since)
        if isinstance(turn.action, Wait) and turn.action.position is not None:
            waiting = self._in_line
            # Whoever came free while the call was on its way here has been offered to nobody.
            self._somebody_free.set()
        else:
            waiting = self._waiting
        waiting[call.call_id] = waiter
        try:
            with waiter.scope:
                event = await call.perform(turn)
                if waiter.freed is None:
                    return event
        finally:
            del waiting[call.call_id]
        assert waiter.freed is not None
        return waiter.freed

    async def _offer_the_free(self) -> None:
        """Whenever the floor or a claim may have freed somebody, let the engine look at the waiting calls, the oldest
        first; of those who stand in line at a queue at its head alone, and at the next once that has moved on.
        """
        while True:
            await self._somebody_free.wait()
            self._somebody_free = trio.Event()
            heads = self._heads()
            for waiter in sorted([*self._waiting.values(), *heads], key=lambda waiter: waiter.since):
                if waiter.freed is None:
                    self._offer(waiter)
            while any(head.freed is not None for head in heads):
                known = {head.call_id for head in heads if head.freed is None}
                heads = [head for head in self._heads() if head.call_id not in known]
                for head in heads:
                    self._offer(head)

    def _heads(self) -> list[_Waiter]:
        """The first in line of each queue who can be offered whoever is free."""
        if not self._in_line:
            return []
        heads = [self._in_line.get(call_id) for call_id in self._engine.queue_heads(self._clock.now_ms())]
        return [head for head in heads if head is not None and head.freed is None]

    async def _look_now_and_then(self) -> None:
        while True:
            await trio.sleep(_LOOK_EVERY_S)
            if self._waiting or self._in_line:
                self._somebody_free.set()

    def _offer(self, waiter: _Waiter) -> None:
        try:
            turn = Turn.of(self._engine.handle(waiter.turn.state, {"type": "employee_free"}, self._clock.now_ms()))
        except EngineError as error:
            log = self._log.bind(call=waiter.call_id)
            log.error("the engine refused to look for the free", code=error.code)
            return
        if not isinstance(turn.action, Wait):
            waiter.freed = turn
            waiter.scope.cancel()

    # --- calls that ended while no router watched

    async def _close_lost(self) -> None:
        """Close the calls of the spool that have no channel any more: one ledger line each.

        What holds: a PBX's application has one router, and a router keeps its folder. Where another router, on another
        folder, took the calls over meanwhile, they are alive at the PBX and not closed, or it has ended them: then this
        router's folder gets a line too, and the company's ledger keeps the end that it learnt first.
        """
        alive = await self._pbx.found_calls()
        for call_id, turn in list(self._lost.items()):
            if call_id in alive:
                continue
            del self._lost[call_id]
            try:
                await self._close_one(call_id, turn)
            except Exception:
                log = self._log.bind(call=call_id)
                log.exception("a lost call could not be closed properly")
                self._end(call_id, self._fault_turn(call_id, turn), log)

    async def _close_one(self, call_id: str, turn: Turn | None) -> None:
        log = self._log.bind(call=call_id)
        if turn is None:
            self._end(call_id, End("failed", "ours"), log)
            return
        if not isinstance(turn.action, End):
            event = await self._pbx.epitaph(call_id, turn)
            now_ms = self._clock.now_ms()
            turn = Turn.of(self._engine.handle(turn.state, event, now_ms))
            self._journal.turned(call_id, now_ms, event, turn)
        action = turn.action
        self._end(call_id, action if isinstance(action, End) else End("abandoned", "caller"), log)


class _Waiter:
    """A call that waits."""

    __slots__ = ("call_id", "freed", "scope", "since", "turn")

    def __init__(self, call_id: str, turn: Turn, since: tuple[int, int]) -> None:
        self.call_id = call_id
        self.turn = turn
        self.since = since
        self.scope = trio.CancelScope()
        self.freed: Turn | None = None


def _brief(turn: Turn) -> str:
    return " ".join(f"{step.get('node')}:{step.get('exit')}" for step in turn.trace)

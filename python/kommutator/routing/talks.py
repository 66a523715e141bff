"""The conversations of a router's calls: orders and facts in, arrangements for the PBX and entries for the journal out.

One conversation is one `talk` action of the engine. Its task alone touches the PBX; orders wait in a queue for it, and
an order that is given up in time is taken back from there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec
import structlog
import trio

from kommutator.errors import CallGone, EngineError
from kommutator.routing.conversation import (
    AGREED,
    RINGING,
    TRANSITIONS,
    WITH_GUEST,
    Arrangement,
    Happening,
    Party,
    Stage,
    Standing,
    end_word,
    happenings,
    has_ended,
)
from kommutator.routing.doings import Consulted, GuestState, Held, PassedOn
from kommutator.routing.ports import Call, Clock, Engine, Journal
from kommutator.routing.turn import Event, Ring, Talk, Turn

RINGS_S = 30.0
"""So long a guest's phone rings, and then an operator's to whom the client returns."""
_RESERVE_EVERY_S = 20.0
"""A promise of the engine holds for a minute; while a guest rings or talks it is renewed."""


class Outcome(msgspec.Struct, frozen=True):
    """How an order went; `reason` says why not."""

    done: bool
    reason: str | None = None


class Talks:
    """The calls of a router that ring or talk."""

    def __init__(
        self, engine: Engine, journal: Journal, clock: Clock, freed: Callable[[], None], rings_s: float = RINGS_S
    ) -> None:
        self._rings_s = rings_s
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._freed = freed
        self._talking: dict[str, Conversation] = {}
        self._ringing: dict[str, tuple[Call, Ring]] = {}
        self._who: dict[str, dict[str, str]] = {}
        """Of each call, whose phone each endpoint is that rang for it."""
        self._changed = trio.Event()

    async def converse(self, call: Call, turn: Turn) -> Event:
        """Perform a `talk`: `passed`, `conversation_ended`. Raises `CallGone`, `PbxError`."""
        assert isinstance(turn.action, Talk)
        endpoint = turn.action.endpoint
        operator = Party(endpoint, self._who_is(call.call_id, endpoint))
        conversation = Conversation(
            call, turn.sequence, operator, self._engine, self._journal, self._clock, self._freed, self._rings_s
        )
        self._talking[call.call_id] = conversation
        self._has_changed()
        try:
            event = await conversation.run()
            if event["type"] == "passed" and event.get("employee"):
                self._who.setdefault(call.call_id, {})[str(event["endpoint"])] = str(event["employee"])
            return event
        finally:
            del self._talking[call.call_id]
            self._has_changed()

    @contextmanager
    def ringing(self, call: Call, action: Ring) -> Iterator[None]:
        """While in it, these phones ring for the call, and may be picked up by an order."""
        who = self._who.setdefault(call.call_id, {})
        who.update({each.endpoint: each.employee for each in action.endpoints if each.employee is not None})
        self._ringing[call.call_id] = (call, action)
        try:
            yield
        finally:
            del self._ringing[call.call_id]
            self._has_changed()

    def forget(self, call_id: str) -> None:
        """The call is over."""
        self._who.pop(call_id, None)

    def of(self, call_id: str) -> Conversation | None:
        """The conversation of a call."""
        return self._talking.get(call_id)

    def knows(self, call_id: str) -> bool:
        """Whether the call is one of this router's that has rung or talked."""
        return call_id in self._who

    async def pick_up(self, call_id: str, employee: str) -> Outcome:
        """Have an employee's ringing phone answer by itself; returns when he talks, or somebody else does."""
        if call_id not in self._ringing:
            return Outcome(False, "wrong_state" if call_id in self._talking else "unknown_call")
        call, action = self._ringing[call_id]
        endpoints = [each.endpoint for each in action.endpoints if each.employee == employee]
        if not endpoints:
            return Outcome(False, "not_yours")
        if not call.takes_orders:
            return Outcome(False, "not_supported")
        call.pick_up(endpoints[0])
        while True:
            conversation = self._talking.get(call_id)
            if conversation is not None:
                return Outcome(True) if conversation.arrangement.operator.endpoint in endpoints else _TAKEN
            now = self._ringing.get(call_id)
            if now is not None and not any(each.endpoint in endpoints for each in now[1].endpoints):
                return _TAKEN
            if call_id not in self._who:
                return Outcome(False, "gone")
            await self._changed.wait()

    def _who_is(self, call_id: str, endpoint: str) -> str | None:
        """Whose phone it is; after a restart the engine alone knows who talks."""
        known = self._who.setdefault(call_id, {}).get(endpoint)
        if known is not None:
            return known
        claims = self._engine.claims(self._clock.now_ms())
        return next((who for who, call, kind in claims if call == call_id and kind == "talking"), None)

    def _has_changed(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


_TAKEN = Outcome(False, "taken")


class _Wanted:
    """An order that waits to be carried out."""

    __slots__ = ("by", "guest", "happening", "outcome", "settled")

    def __init__(self, happening: Happening, by: str, guest: Party | None) -> None:
        self.happening = happening
        self.by = by
        self.guest = guest
        self.outcome: Outcome | None = None
        self.settled = trio.Event()

    def settle(self, outcome: Outcome) -> None:
        if self.outcome is None:
            self.outcome = outcome
            self.settled.set()


class Conversation:
    """One conversation, from the answer to its end."""

    def __init__(
        self,
        call: Call,
        sequence: int,
        operator: Party,
        engine: Engine,
        journal: Journal,
        clock: Clock,
        freed: Callable[[], None],
        rings_s: float,
    ) -> None:
        self._rings_s = rings_s
        self.arrangement = Arrangement(sequence, Stage.TALKING, operator)
        self.standing = Standing()
        self._call = call
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._freed = freed
        self._kept = self.arrangement
        self._orders: deque[_Wanted] = deque()
        self._under_way: list[_Wanted] = []
        self._by: str | None = None
        self._reserved_at = 0
        self._log = structlog.get_logger().bind(call=call.call_id)

    # --- what a desk asks

    def may(self, happening: Happening, by: str) -> str | None:
        """Why an order is refused now; None when it is not."""
        operator = self.arrangement.operator.employee
        if operator is not None and operator != by:
            return "not_yours"
        if not self._call.takes_orders:
            return "not_supported"
        if happening == "unhold" and self.standing.held_by_phone:
            return "held_by_phone"
        return None if (self.arrangement.stage, happening) in TRANSITIONS else "wrong_state"

    async def order(self, happening: Happening, by: str, guest: Party | None = None) -> Outcome:
        """Carry an order out; returns when the PBX has done it. Cancelled before it was begun, it is not done."""
        wanted = _Wanted(happening, by, guest)
        self._orders.append(wanted)
        self._call.interrupt()
        try:
            await wanted.settled.wait()
        finally:
            if wanted in self._orders:
                self._orders.remove(wanted)
        assert wanted.outcome is not None
        return wanted.outcome

    # --- its task

    async def run(self) -> Event:
        """Converse to the end: `passed` or `conversation_ended`. Raises `CallGone`, `PbxError`."""
        outcome = Outcome(False, "failed")
        try:
            await self._take_up()
            while self.arrangement.stage not in (Stage.PASSED, Stage.OVER):
                await self._one_round()
            outcome = Outcome(True)
        except CallGone:
            outcome = Outcome(False, "gone")
            self._client_gone()
            raise
        finally:
            for wanted in [*self._under_way, *self._orders]:
                wanted.settle(outcome if wanted in self._under_way else Outcome(False, outcome.reason or "wrong_state"))
        guest = self.arrangement.guest
        if self.arrangement.stage is Stage.PASSED and guest is not None:
            return {"type": "passed", "endpoint": guest.endpoint, "employee": guest.employee}
        return {"type": "conversation_ended"}

    async def _take_up(self) -> None:
        """Go on where an earlier router was, with what it kept at the channel."""
        kept = await self._call.arrangement()
        if kept is None or kept.sequence != self.arrangement.sequence:
            return
        self._log.info("conversation resumed", stage=kept.stage)
        self.arrangement = self._kept = kept
        if kept.stage is Stage.RETURNING:
            # Her phone may have been meant to ring and never have been called: the client has nobody else.
            operator = msgspec.structs.replace(kept.operator, calling=kept.callings + 1)
            self.arrangement = msgspec.structs.replace(kept, operator=operator, callings=kept.callings + 1)
        self._renew(taken_up=True)

    async def _one_round(self) -> None:
        if self.arrangement != self._kept:
            await self._call.keep(self.arrangement)
            self._kept = self.arrangement
        standing = await self._call.converse(self.arrangement, self.standing, self._seconds_left())
        before, self.standing = self.standing, standing
        for happening in happenings(self.arrangement.stage, before, standing):
            self._happen(happening)
        if standing.leaves_to is not None and standing.leaves_to != before.leaves_to:
            self._leave_to(standing.leaves_to)
        self._tell_phone(before, standing)
        until = self.arrangement.until
        if until is not None and self._clock.now_ms() >= until:
            self._happen("time_up")
        for wanted in self._under_way:
            failed = wanted.guest is not None and has_ended(standing.guest)
            wanted.settle(Outcome(False, end_word(standing.guest, agreed=False)) if failed else Outcome(True))
        self._under_way = []
        if self._orders and self.arrangement == self._kept:
            self._carry_out(self._orders.popleft())
        self._renew()

    def _leave_to(self, guest: Party) -> None:
        """The transfer key of the operator's phone."""
        arrangement = self.arrangement
        if arrangement.guest is not None and arrangement.guest.endpoint == guest.endpoint:
            self._happen("leave" if arrangement.stage is Stage.CALLING else "complete")
        elif guest.endpoint != arrangement.operator.endpoint and self._can_have(guest):
            self._happen("transfer", guest)

    def _can_have(self, guest: Party) -> bool:
        try:
            now_ms = self._clock.now_ms()
            return guest.employee is None or self._engine.reserve(guest.employee, self._call.call_id, now_ms)
        except EngineError as error:
            self._log.warning("a guest cannot be reserved", employee=guest.employee, code=error.code)
            return False

    def _carry_out(self, wanted: _Wanted) -> None:
        """Take one order. The PBX makes it true in the next round, and then it is answered."""
        refused = self.may(wanted.happening, wanted.by)
        if refused is not None:
            wanted.settle(Outcome(False, refused))
            return
        self._under_way.append(wanted)
        self._by = wanted.by
        self._happen(wanted.happening, wanted.guest)

    def _happen(self, happening: Happening, guest: Party | None = None) -> None:
        """Follow the table; a fact that is not in it changes nothing."""
        before = self.arrangement
        following = TRANSITIONS.get((before.stage, happening))
        if following is None:
            return
        now_ms = self._clock.now_ms()
        callings, operator, called = before.callings, before.operator, before.guest
        if guest is not None:
            callings += 1
            called = msgspec.structs.replace(guest, calling=callings)
        if following is Stage.RETURNING:
            callings += 1
            operator = msgspec.structs.replace(operator, calling=callings)
            self.standing = msgspec.structs.replace(self.standing, operator="calling")
        until = None
        if following in RINGING:
            until = before.until if happening in ("leave", "hang_up", "operator_gone") else None
            until = until or now_ms + round(self._rings_s * 1000)
        self.arrangement = Arrangement(
            before.sequence,
            following,
            operator,
            called if following in WITH_GUEST else None,
            callings,
            until,
            _why_not(happening, self.standing) if following is Stage.RETURNING else None,
        )
        self._log.info("conversation", happening=happening, stage=following)
        self._tell(before, happening, now_ms)
        if before.guest is not None and self.arrangement.guest is None:
            self._release(before.guest)

    def _seconds_left(self) -> float | None:
        """How long the PBX may be watched at most."""
        arrangement = self.arrangement
        left = [] if arrangement.until is None else [max(0.0, (arrangement.until - self._clock.now_ms()) / 1000)]
        if arrangement.guest is not None and arrangement.guest.employee is not None:
            left.append(_RESERVE_EVERY_S)
        return min(left, default=None) if not self._orders else 0.0

    # --- the guest's promise

    def _renew(self, *, taken_up: bool = False) -> None:
        guest = self.arrangement.guest
        now_ms = self._clock.now_ms()
        if guest is None or guest.employee is None or self.arrangement.stage is Stage.PASSED:
            return
        if taken_up or now_ms - self._reserved_at >= _RESERVE_EVERY_S * 1000:
            self._reserved_at = now_ms
            try:
                self._engine.reserve(guest.employee, self._call.call_id, now_ms)
            except EngineError as error:
                self._log.warning("a guest cannot be reserved", employee=guest.employee, code=error.code)

    def _release(self, guest: Party) -> None:
        if guest.employee is not None:
            try:
                self._engine.release(guest.employee, self._call.call_id)
            except EngineError as error:
                self._log.warning("a guest cannot be released", employee=guest.employee, code=error.code)
            self._freed()

    # --- what the journal is told

    def _tell(self, before: Arrangement, happening: Happening, now_ms: int) -> None:
        now, guest = self.arrangement, self.arrangement.guest or before.guest
        match before.stage, now.stage:
            case (Stage.TALKING, Stage.HELD) | (Stage.HELD, Stage.TALKING):
                self._journal.did(Held(self._call.call_id, now_ms, self._operator, now.stage is Stage.HELD))
            case (_, Stage.PASSING):
                self._passed("blind", "ringing", guest, now_ms)
            case (Stage.PASSING, Stage.RETURNING):
                self._passed("blind", "returning", guest, now_ms, now.reason)
            case (Stage.RETURNING, Stage.TALKING):
                self._passed("blind", "returned", before.operator, now_ms, before.reason)
            case (Stage.RETURNING, Stage.OVER):
                self._passed("blind", "lost", before.operator, now_ms, before.reason)
            case (_, Stage.PASSED):
                self._passed("blind" if before.stage is Stage.PASSING else "consulted", "passed", guest, now_ms)
            case (_, Stage.CALLING):
                self._consulted("calling", guest, now_ms)
            case (_, Stage.PRIVATE):
                self._consulted("agreed", guest, now_ms, "manager")
            case (_, Stage.WAITING):
                self._consulted("agreed", guest, now_ms, "client")
            case (Stage.CALLING | Stage.PRIVATE | Stage.WAITING, Stage.TALKING):
                if happening == "cancel_consult":
                    self._consulted("cancelled", guest, now_ms)
                else:
                    self._consulted(end_word(self.standing.guest, before.stage in AGREED), guest, now_ms)

    def _tell_phone(self, before: Standing, now: Standing) -> None:
        now_ms = self._clock.now_ms()
        if now.guest == "ringing" != before.guest and self.arrangement.stage is Stage.CALLING:
            self._consulted("ringing", self.arrangement.guest, now_ms)
        if now.held_by_phone != before.held_by_phone:
            self._journal.did(Held(self._call.call_id, now_ms, self._operator, now.held_by_phone, by_phone=True))

    def _client_gone(self) -> None:
        """Whom the operator was asking learns nothing more; the call's own end tells the rest."""
        guest = self.arrangement.guest
        if guest is not None:
            self._consulted("cancelled", guest, self._clock.now_ms())
            self._release(guest)

    def _consulted(
        self,
        state: GuestState,
        guest: Party | None,
        now_ms: int,
        talks_with: Literal["client", "manager"] | None = None,
    ) -> None:
        if guest is not None:
            self._journal.did(
                Consulted(self._call.call_id, now_ms, self._operator, guest.employee, guest.endpoint, state, talks_with)
            )

    def _passed(
        self,
        how: Literal["consulted", "blind"],
        state: Literal["ringing", "passed", "returning", "returned", "lost"],
        to: Party | None,
        now_ms: int,
        reason: str | None = None,
    ) -> None:
        if to is not None:
            self._journal.did(
                PassedOn(self._call.call_id, now_ms, self._operator, to.employee, to.endpoint, how, state, reason)
            )

    @property
    def _operator(self) -> str | None:
        return self.arrangement.operator.employee or self._by

    # --- for the desk to show

    def view(self) -> dict[str, object]:
        """What the conversation is like now."""
        arrangement, guest = self.arrangement, self.arrangement.guest
        talks_with = {Stage.PRIVATE: "manager", Stage.WAITING: "client"}.get(arrangement.stage)
        state = "agreed" if arrangement.stage in AGREED else self.standing.guest
        return {
            "stage": str(arrangement.stage),
            "held": arrangement.stage is Stage.HELD or self.standing.held_by_phone,
            "operator": arrangement.operator.employee,
            "endpoint": arrangement.operator.endpoint,
            "consultation": None
            if guest is None
            else {"employee": guest.employee, "endpoint": guest.endpoint, "state": state, "with": talks_with},
        }


def _why_not(happening: Happening, standing: Standing) -> str:
    if happening == "cancel_consult":
        return "cancelled"
    return "no_answer" if happening == "time_up" else end_word(standing.guest, agreed=False)

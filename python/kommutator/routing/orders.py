"""What desks order, carried out at the router that holds the call.

Reasons of a refusal: `unknown_call`, `not_yours` (another operator has the call), `wrong_state`, `held_by_phone`,
`not_supported` (the PBX's adapter cannot),
`busy` (the person asked for is on the phone, or another call has a claim on him), `unreachable`, `declined`,
`no_answer`, `unknown_employee`, `bad_target`, `bad_number`, `taken` (somebody else has picked the call up), `gone` (the
client has hung up), `too_many`, `failed`. An order that is cancelled at its deadline may have been done; the call's
entries tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from kommutator.errors import EngineError
from kommutator.routing.conversation import Happening, Party, Stage
from kommutator.routing.doings import CALL_BACK
from kommutator.routing.loop import Router
from kommutator.routing.order import Order, OrderDone
from kommutator.routing.ports import Clock, Engine
from kommutator.routing.talks import Conversation, Outcome

_NUMBER = re.compile(r"\+[0-9]{3,15}")
_ENDPOINT = re.compile(r"\+[0-9]{3,15}|[A-Za-z0-9]+/[A-Za-z0-9_.+-]+")
"""What may be called: an E.164 number, or an endpoint of the PBX without anything that a dial string could carry."""


class Neighbours(Protocol):
    """Claims on employees of other PBXs."""

    async def add(self, call_id: str, employee: str) -> bool: ...
    def drop(self, call_id: str, employee: str) -> None: ...


class OrderDesk:
    """Takes the orders of desks for one router.

    `claims` are those on employees of other PBXs, None where there is no other. `phone_of` is the endpoint of an
    employee in the active version.
    """

    def __init__(
        self,
        router: Router,
        engine: Engine,
        claims: Neighbours | None,
        clock: Clock,
        phone_of: Callable[[str], str | None],
    ) -> None:
        self._router = router
        self._engine = engine
        self._claims = claims
        self._clock = clock
        self._phone_of = phone_of

    async def carry_out(self, order: Order) -> OrderDone:
        """Carry an order out; how it went, and what the call is like now. Cancel it at its deadline."""
        outcome = await self._carry_out(order)
        conversation = self._router.talks.of(order.call) if order.call is not None else None
        state = {} if conversation is None else conversation.view()
        return OrderDone(order.order, outcome.done, outcome.reason, state)

    async def _carry_out(self, order: Order) -> Outcome:
        if order.kind == "call_back":
            return await self._call_back(order)
        if order.call is None:
            return Outcome(False, "unknown_call")
        if order.kind == "answer":
            return await self._router.talks.pick_up(order.call, order.by)
        if order.kind == "hang_up" and order.call.startswith(CALL_BACK):
            return await self._router.call_backs.hang_up(order.call, order.by)
        conversation = self._router.talks.of(order.call)
        if conversation is None:
            return Outcome(False, "wrong_state" if self._router.talks.knows(order.call) else "unknown_call")
        happening: Happening = order.kind
        if order.kind == "transfer" and conversation.arrangement.stage is Stage.CALLING:
            return await self._leave(conversation, order)
        refused = conversation.may(happening, order.by)
        if refused is not None:
            return Outcome(False, refused)
        if order.kind in ("consult", "transfer"):
            return await self._invite(conversation, happening, order)
        return await conversation.order(happening, order.by)

    async def _leave(self, conversation: Conversation, order: Order) -> Outcome:
        """Leave the client to the guest who rings already: to him, or to whom it may be."""
        guest = conversation.arrangement.guest
        asked = self._endpoint(order)
        if guest is None or (asked is not None and asked != guest.endpoint):
            return Outcome(False, "wrong_state")
        return await conversation.order("leave", order.by)

    async def _invite(self, conversation: Conversation, happening: Happening, order: Order) -> Outcome:
        """Claim the person and call the phone."""
        endpoint, employee, call_id = self._endpoint(order), order.employee, order.call
        assert call_id is not None
        operator = conversation.arrangement.operator
        if endpoint is None:
            return Outcome(False, "unknown_employee" if employee is not None else "bad_target")
        if not _ENDPOINT.fullmatch(endpoint) or endpoint == operator.endpoint:
            return Outcome(False, "bad_target")
        if employee is not None:
            if employee == operator.employee:
                return Outcome(False, "bad_target")
            refused = await self._claim(call_id, employee)
            if refused is not None:
                return Outcome(False, refused)
        outcome = Outcome(False, "too_late")
        try:
            outcome = await conversation.order(happening, order.by, Party(endpoint, employee))
        finally:
            guest = conversation.arrangement.guest
            if not outcome.done and employee is not None and (guest is None or guest.employee != employee):
                self._let_go(call_id, employee)
        return outcome

    async def _claim(self, call_id: str, employee: str) -> str | None:
        """Claim a person for the call; why he cannot be had."""
        line = self._router.lines.get(employee)
        if line in ("busy", "ringing"):
            return "busy"
        if line == "unreachable":
            return "unreachable"
        try:
            if not self._engine.reserve(employee, call_id, self._clock.now_ms()):
                return "busy"
        except EngineError as error:
            return error.code
        if self._claims is not None:
            had = False
            try:
                had = await self._claims.add(call_id, employee)
            finally:
                if not had:
                    self._engine.release(employee, call_id)
            if not had:
                return "busy"
        return None

    def _let_go(self, call_id: str, employee: str) -> None:
        self._engine.release(employee, call_id)
        if self._claims is not None:
            self._claims.drop(call_id, employee)
        self._router.look_for_free()

    def _endpoint(self, order: Order) -> str | None:
        if order.endpoint is not None:
            return order.endpoint
        return None if order.employee is None else self._phone_of(order.employee)

    async def _call_back(self, order: Order) -> Outcome:
        endpoint = self._phone_of(order.by)
        if endpoint is None:
            return Outcome(False, "unknown_employee")
        if order.number is None or not _NUMBER.fullmatch(order.number):
            return Outcome(False, "bad_number")
        line = self._router.lines.get(order.by)
        if line in ("busy", "ringing", "unreachable"):
            return Outcome(False, "unreachable" if line == "unreachable" else "busy")
        return await self._router.call_backs.make(order.order, order.by, endpoint, order.number)

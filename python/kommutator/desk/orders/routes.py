"""What is to be done with a call: ordered of the router that holds it."""

from __future__ import annotations

import re
from typing import Final

from kommutator.crm import audit, calls_live
from kommutator.desk import own
from kommutator.desk.auth.rights import ENDS_ALL
from kommutator.desk.events.routes import live
from kommutator.desk.live import calls
from kommutator.desk.live.calls import Call
from kommutator.desk.operations import Asked, Feature
from kommutator.desk.orders.forms import CallBackForm, CallBackOrdered, Ordered, OrderForm
from kommutator.exchange.messages import Order
from kommutator.exchange.nats import orders

feature = Feature("orders", "What is to be done with a call: answered within 5 s, done once however often it is sent")

DEADLINE_S: Final = 5.0
_SHOWN_S: Final = 0.25
"""So long the answer waits for what the router tells of the call, so that its card shows what was done."""
_NUMBER: Final = re.compile(r"\+[0-9]{3,15}")


@feature.post("/api/calls/<word:call_id>/orders", body=OrderForm, returns=Ordered, also=(503,))
async def give_order(asked: Asked, call_id: str, body: OrderForm) -> Ordered:
    """Has something done with a call, as the phone's own keys would.

    Only whoever has the call, or whose phone it rings, orders; a supervisor may hang up any. What cannot be done is answered
    with `done: false` and its reason, not with an error.
    """
    hub = live(asked)
    before = hub.board.call(call_id)
    call = before or await _kept(asked, call_id)
    if call is None:
        return Ordered(done=False, reason="unknown_call", card=None)
    by = _orderer(asked, call, body.kind)
    if by is None:
        return Ordered(done=False, reason="not_yours", card=None)
    if by != asked.who.employee:
        async with asked.transaction() as tx:
            await audit.record(tx, "call.hang_up", "call", call_id, {"operator": by})
    order = Order(body.order, body.kind, by, 0, call_id, body.employee, body.endpoint)
    if body.kind == "hang_up" and await hub.board.give_up(call):
        # Nobody is there to order it of. If both talk, they go on until one puts his phone down.
        return Ordered(done=True, reason=None, card=hub.board.card(call_id, by))
    router = call.router or hub.floor.router_of(by)
    if router is None:
        return Ordered(done=False, reason="no_router", card=hub.board.card(call_id, by))
    done = await orders.give(asked.services.exchange, router, orders.within(order, _ms(asked), DEADLINE_S), DEADLINE_S)
    if done.done and hub.board.call(call_id) is before:
        await hub.board.changes(call_id, _SHOWN_S)
    return Ordered(done=done.done, reason=done.reason, card=hub.board.card(call_id, by))


@feature.post("/api/call-backs", body=CallBackForm, returns=CallBackOrdered, also=(409, 503))
async def call_back(asked: Asked, body: CallBackForm) -> CallBackOrdered:
    """Calls a client back: one's own phone rings, and when one answers, the client's."""
    hub = live(asked)
    employee = own.employee(asked.who)
    number = hub.e164(body.number)
    if number is None or not _NUMBER.fullmatch(number):
        return CallBackOrdered(done=False, reason="bad_number")
    router = hub.floor.router_of(employee)
    if router is None:
        return CallBackOrdered(done=False, reason="unreachable")
    why = {"missed": body.missed_id, "client": body.client_id}
    async with asked.transaction() as tx:
        about = {key: value for key, value in why.items() if value is not None}
        await audit.record(tx, "call.back", "number", number, {"order": body.order, **about})
    order = orders.within(Order(body.order, "call_back", employee, 0, number=number), _ms(asked), DEADLINE_S)
    done = await orders.give(asked.services.exchange, router, order, DEADLINE_S)
    return CallBackOrdered(done=done.done, reason=done.reason)


async def _kept(asked: Asked, call_id: str) -> Call | None:
    """A call of which this desk has heard nothing yet."""
    async with asked.transaction() as tx:
        known = await calls_live.one(tx, call_id)
    return None if known is None else calls.folded(known.entries, call_id, known.router)


def _orderer(asked: Asked, call: Call, kind: str) -> str | None:
    """In whose name it is ordered. Who has the call at this moment is for its router to say; here only, who never had it."""
    employee = asked.who.employee
    if employee is not None and (employee in call.who.values() or employee == call.holder):
        return employee
    if kind == "hang_up" and asked.who.at_least(ENDS_ALL):
        return call.holder
    return None


def _ms(asked: Asked) -> int:
    return round(asked.now.timestamp() * 1000)

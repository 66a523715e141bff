"""Orders of desks to the router that holds a call. Each is answered within its deadline, and done once however often it
comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
import trio

from kommutator.exchange.bridge import Bridge
from kommutator.exchange.messages import Order, OrderDone, decode, encode, orders_subject
from kommutator.routing.ports import Clock

OrderHandler = Callable[[Order], Awaitable[OrderDone]]
"""Carries an order out and tells how it went; `OrderDone.reason` says why not. It is cancelled at the order's deadline."""

_REMEMBERED = 4096
_LONGEST_S = 30.0


class _Given:
    __slots__ = ("answered", "done")

    def __init__(self) -> None:
        self.answered = trio.Event()
        self.done: OrderDone | None = None


class Orders:
    """Takes this router's orders, for `carry_out`."""

    def __init__(self, bridge: Bridge, carry_out: OrderHandler, clock: Clock) -> None:
        self._carry_out = carry_out
        self._clock = clock
        self._given: dict[str, _Given] = {}
        """The last orders, the oldest first."""
        self._log = structlog.get_logger()
        bridge.serve(orders_subject(bridge.name), self._take)

    async def _take(self, payload: bytes) -> bytes:
        order = decode(payload, Order)
        known = self._given.get(order.order)
        if known is None:
            known = self._given[order.order] = _Given()
            while len(self._given) > _REMEMBERED:
                del self._given[next(iter(self._given))]
            known.done = await self._one(order)
            known.answered.set()
        await known.answered.wait()
        assert known.done is not None
        return encode(known.done)

    async def _one(self, order: Order) -> OrderDone:
        """The supervisor of one order."""
        log = self._log.bind(call=order.call, order=order.kind, by=order.by)
        left_s = min((order.until - self._clock.now_ms()) / 1000, _LONGEST_S)
        if left_s <= 0:
            return OrderDone(order.order, False, "too_late")
        done = OrderDone(order.order, False, "too_late")
        try:
            with trio.move_on_after(left_s):
                done = await self._carry_out(order)
        except Exception:
            log.exception("an order failed in our code")
            done = OrderDone(order.order, False, "failed")
        log.info("order", done=done.done, reason=done.reason)
        return done

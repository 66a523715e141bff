"""The desk's orders to routers."""

from __future__ import annotations

import msgspec

from kommutator.errors import ExchangeError, ExchangeTimeout, NobodyThere
from kommutator.exchange.messages import Order, OrderDone, decode, encode, orders_subject
from kommutator.exchange.nats.client import Exchange


async def give(exchange: Exchange, router: str, order: Order, deadline_s: float) -> OrderDone:
    """Give an order to the router that holds the call; how it went, with `unreachable` or `no_answer` as the reason
    when nobody says. An order without an answer may be given again under the same identity: it is done once.

    `order.until` is set to the deadline by whoever makes the order; here only the waiting is bounded.
    """
    try:
        answer = await exchange.connection.request(orders_subject(router), encode(order), deadline_s)
        return decode(answer, OrderDone)
    except ExchangeTimeout:
        return OrderDone(order.order, False, "no_answer")
    except NobodyThere:
        return OrderDone(order.order, False, "no_router")
    except ExchangeError:
        return OrderDone(order.order, False, "unreachable")


def within(order: Order, now_ms: int, deadline_s: float) -> Order:
    """The order with its deadline."""
    return msgspec.structs.replace(order, until=now_ms + int(deadline_s * 1000))

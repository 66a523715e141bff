"""Lookups answered by a desk and voided when clients change; orders done once."""

import time

import pytest
import trio

from kommutator.exchange.bridge import Bridge
from kommutator.exchange.lookups import ExchangeLookups
from kommutator.exchange.messages import Order, OrderDone
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.lookups import DeskLookups
from kommutator.exchange.nats.orders import give, within
from kommutator.exchange.orders import Orders

from .conftest import Desk, Nats, TestClock, until
from .test_bridge import running

pytestmark = pytest.mark.trio


class Clients:
    """Who owns what, as a desk's memory."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {"+79161230099": "anna"}
        self.called = {"+79161230099"}

    async def owner_of(self, number: str) -> str | None:
        if number == "+70000000000":
            raise RuntimeError("the database is gone")
        return self.owners.get(number)

    async def called_before(self, number: str, days: int | None) -> bool:
        return number in self.called and (days is None or days > 7)


async def test_a_desk_answers_in_the_words_of_the_engine(nats: Nats, desk: Desk) -> None:
    DeskLookups(desk.exchange, Clients())
    desk.start()
    bridge = Bridge(nats.settings, "r1")
    lookups = ExchangeLookups(bridge, lambda number: None)
    async with running(bridge):
        assert await lookups.owner("+79161230099") == {"type": "owner", "employee": "anna"}
        assert await lookups.owner("+79161230000") == {"type": "no_owner"}
        assert await lookups.owner("+70000000000") == {"type": "failed"}
        assert await lookups.history("+79161230099", None) == {"type": "called_before"}
        assert await lookups.history("+79161230099", 7) == {"type": "never_called"}


async def test_without_a_desk_or_without_an_exchange_the_answer_is_failed_and_comes_at_once(nats: Nats) -> None:
    bridge = Bridge(nats.settings, "r1")
    lookups = ExchangeLookups(bridge, lambda number: None)
    async with running(bridge):
        began = time.monotonic()
        assert await lookups.owner("+79161230099") == {"type": "failed"}
        await trio.to_thread.run_sync(nats.kill)
        await until(lambda: not bridge.connected)
        assert await lookups.history("+79161230099", None) == {"type": "failed"}
        assert time.monotonic() - began < 5


def order(name: str, deadline_s: float = 1.0) -> Order:
    return within(Order(name, "hang_up", "anna", 0, call="call-1"), TestClock().now_ms(), deadline_s)


async def test_an_order_is_done_once_however_often_it_comes(nats: Nats, desk: Desk) -> None:
    desk.start()
    done: list[str] = []

    async def carry_out(given: Order) -> OrderDone:
        await trio.sleep(0.1)
        done.append(given.order)
        return OrderDone(given.order, True, state={"times": len(done)})

    bridge = Bridge(nats.settings, "r1")
    Orders(bridge, carry_out, TestClock())
    async with running(bridge):
        answers: list[OrderDone] = []

        async def give_it() -> None:
            answers.append(
                await trio.to_thread.run_sync(desk.do, lambda exchange: give(exchange, "r1", order("one"), 1.0))
            )

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(give_it)
        await give_it()
        assert done == ["one"]
        assert [answer.state for answer in answers] == [{"times": 1}] * 4


async def test_an_order_is_answered_with_a_reason_within_its_deadline(nats: Nats, desk: Desk) -> None:
    desk.start()

    async def carry_out(given: Order) -> OrderDone:
        if given.order == "fails":
            raise RuntimeError("a defect")
        await trio.sleep_forever()
        raise AssertionError

    bridge = Bridge(nats.settings, "r1")
    Orders(bridge, carry_out, TestClock())

    def ask(given: Order, router: str) -> OrderDone:
        answer: OrderDone = desk.do(lambda exchange: give(exchange, router, given, 2.0))
        return answer

    async with running(bridge):
        assert (await trio.to_thread.run_sync(ask, order("slow", 0.2), "r1")).reason == "too_late"
        assert (await trio.to_thread.run_sync(ask, order("old", -1), "r1")).reason == "too_late"
        assert (await trio.to_thread.run_sync(ask, order("fails"), "r1")).reason == "failed"
        assert (await trio.to_thread.run_sync(ask, order("lost"), "r2")).reason == "no_router"


async def test_an_order_into_the_void_says_that_nobody_can_be_reached(nats: Nats, desk: Desk) -> None:
    desk.start()
    await trio.to_thread.run_sync(nats.kill)
    await until(lambda: not desk.exchange.connected)

    async def into_the_void(exchange: Exchange) -> OrderDone:
        return await give(exchange, "r1", order("one"), 1.0)

    assert (await trio.to_thread.run_sync(desk.do, into_the_void)).reason == "unreachable"

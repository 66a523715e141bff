"""What trio awaits of the exchange: answers, deadlines, cancellation, and no waiting for better times."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from kommutator.errors import ExchangeMoved, ExchangeTimeout, ExchangeUnreachable, NobodyThere
from kommutator.exchange.bridge import Bridge

from .conftest import Nats, until

pytestmark = pytest.mark.trio


@asynccontextmanager
async def running(bridge: Bridge) -> AsyncIterator[Bridge]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bridge.run)
        await until(lambda: bridge.connected)
        yield bridge
        nursery.cancel_scope.cancel()


async def test_a_request_is_answered_by_trio_on_the_other_side(nats: Nats) -> None:
    async def twice(payload: bytes) -> bytes | None:
        await trio.sleep(0.01)
        return payload * 2

    served = Bridge(nats.settings, "served")
    served.serve("kt.test", twice)
    async with running(served), running(Bridge(nats.settings, "asking")) as asking:
        assert await asking.request("kt.test", b"ab", 1.0) == b"abab"
        with pytest.raises(NobodyThere):
            await asking.request("kt.nobody", b"", 1.0)


async def test_nobody_waits_beyond_the_deadline_for_somebody_who_is_silent(nats: Nats) -> None:
    async def silent(payload: bytes) -> bytes | None:
        await trio.sleep_forever()
        return payload

    served = Bridge(nats.settings, "served")
    served.serve("kt.test", silent)
    async with running(served), running(Bridge(nats.settings, "asking")) as asking:
        began = trio.current_time()
        with pytest.raises(ExchangeTimeout):
            await asking.request("kt.test", b"", 0.2)
        assert trio.current_time() - began < 1.0


async def test_a_handler_that_fails_gives_no_answer_and_fails_alone(nats: Nats) -> None:
    async def fails(payload: bytes) -> bytes | None:
        if payload == b"bad":
            raise RuntimeError("a defect")
        return payload

    served = Bridge(nats.settings, "served")
    served.serve("kt.test", fails)
    async with running(served), running(Bridge(nats.settings, "asking")) as asking:
        with pytest.raises(ExchangeTimeout):
            await asking.request("kt.test", b"bad", 0.2)
        assert await asking.request("kt.test", b"good", 1.0) == b"good"


async def test_cancellation_does_not_wait(nats: Nats) -> None:
    async def silent(payload: bytes) -> bytes | None:
        await trio.sleep_forever()
        return payload

    served = Bridge(nats.settings, "served")
    served.serve("kt.test", silent)
    async with running(served), running(Bridge(nats.settings, "asking")) as asking:
        with trio.fail_after(1.0), trio.move_on_after(0.1) as scope:
            await asking.request("kt.test", b"", 30.0)
        assert scope.cancelled_caught


async def test_while_there_is_no_exchange_everything_fails_at_once(nats: Nats) -> None:
    async with running(Bridge(nats.settings, "asking")) as asking:
        await trio.to_thread.run_sync(nats.kill)
        await until(lambda: not asking.connected)
        began = trio.current_time()
        for _ in range(100):
            with pytest.raises(ExchangeUnreachable):
                await asking.request("kt.test", b"", 5.0)
        assert trio.current_time() - began < 1.0
        await trio.to_thread.run_sync(nats.start)
        await until(lambda: asking.connected)
        await asking.publish("kt.test", b"")


async def test_whoever_waits_when_the_exchange_is_lost_is_told_at_once(nats: Nats) -> None:
    async def silent(payload: bytes) -> bytes | None:
        await trio.sleep_forever()
        return payload

    served = Bridge(nats.settings, "served")
    served.serve("kt.test", silent)
    async with running(served), running(Bridge(nats.settings, "asking")) as asking, trio.open_nursery() as nursery:

        async def kill_soon() -> None:
            await trio.sleep(0.2)
            await trio.to_thread.run_sync(nats.kill)

        nursery.start_soon(kill_soon)
        with trio.fail_after(5.0), pytest.raises(ExchangeUnreachable):
            await asking.request("kt.test", b"", 30.0)


async def test_a_server_that_stands_still_holds_nobody_up(nats: Nats) -> None:
    async with running(Bridge(nats.settings, "asking")) as asking:
        os.kill(nats.pid, signal.SIGSTOP)
        try:
            began = trio.current_time()
            with pytest.raises(ExchangeTimeout):
                await asking.call(lambda connection: connection.append("kt.calls.r", b"", deadline_s=0.2), 0.2)
            assert trio.current_time() - began < 1.5
        finally:
            os.kill(nats.pid, signal.SIGCONT)


async def test_what_was_appended_by_a_try_in_doubt_is_not_appended_again(nats: Nats) -> None:
    async with running(Bridge(nats.settings, "asking")) as asking:
        first = await asking.call(lambda connection: connection.append("kt.calls.r", b"1", 0), 1.0)
        with pytest.raises(ExchangeMoved):
            await asking.call(lambda connection: connection.append("kt.calls.r", b"1", 0), 1.0)
        assert await asking.call(lambda connection: connection.append("kt.calls.r", b"2", first), 1.0) == first + 1


async def test_requests_beyond_the_bound_get_no_answer_and_the_others_do(nats: Nats) -> None:
    go = trio.Event()

    async def slow(payload: bytes) -> bytes | None:
        await go.wait()
        return payload

    served = Bridge(nats.settings, "served")
    served.serve("kt.test", slow, at_once=4)
    answered: list[bytes] = []
    async with running(served), running(Bridge(nats.settings, "asking")) as asking, trio.open_nursery() as nursery:

        async def ask(number: int) -> None:
            try:
                answered.append(await asking.request("kt.test", b"%d" % number, 1.0))
            except ExchangeTimeout:
                return

        for number in range(20):
            nursery.start_soon(ask, number)
        await trio.sleep(0.3)
        go.set()
    assert 4 <= len(answered) <= 8

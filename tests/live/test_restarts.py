"""What outlives a desk, a page and a session."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.behaviour import PhoneAct
from tests.live.conftest import Page, Stack

pytestmark = [pytest.mark.anyio, pytest.mark.services]


async def again(stack: Stack, page: Page) -> dict[str, Any]:
    """The desk has another address now: the page goes there, with its cookies."""
    page.client.base_url = await stack.desk.serving()
    return await page.listen()


async def test_a_desk_that_is_killed_shows_the_calls_that_went_on_without_it(stack: Stack) -> None:
    anna, olga = await stack.listening("anna"), await stack.listening("olga")
    talking = await stack.calls("+79161234567")
    await stack.picks_up("anna")
    await anna.card("talking", talking)
    stack.desk.end(signal.SIGKILL)
    ringing = await stack.calls("+79161234568")
    await stack.declines("olga")
    third = await stack.calls("+79161234569")
    await stack.picks_up("olga")
    stack.desk.start()
    await stack.desk.ready()

    async def snapshot(page: Page) -> dict[str, str]:
        told = await again(stack, page)
        return {card["call_id"]: card["state"] for card in told["calls"]}

    async with asyncio.timeout(30):
        while (await snapshot(anna)) != {talking: "talking"}:
            await asyncio.sleep(0.1)
        while (await snapshot(olga)).get(third) != "talking":
            await asyncio.sleep(0.1)
    assert ringing not in await snapshot(anna)
    assert (await anna.order(talking, "hang_up"))["done"]
    assert (await anna.card("over", talking))["over_by"] == "us"


async def test_a_desk_that_is_told_to_stop_ends_its_streams_and_stops(stack: Stack) -> None:
    anna = await stack.listening("anna")
    assert await asyncio.to_thread(stack.desk.end, signal.SIGTERM) == 0
    async with asyncio.timeout(10):
        await anna.ended.wait()
    assert "stream" not in stack.desk.said()


async def test_a_session_that_ends_elsewhere_ends_its_streams(stack: Stack) -> None:
    page, same_session = await stack.listening("anna"), await stack.page("olga")
    other = await stack.page("anna")
    await other.ask("POST", "/api/sign-out-everywhere", status=204)
    async with asyncio.timeout(5):
        await page.ended.wait()
    await same_session.listen()


async def test_the_same_page_twice_is_the_newer_one(stack: Stack) -> None:
    page = await stack.listening("anna")
    newer = Page(page.client, page.tab)
    stack.pages.append(newer)
    await newer.listen()
    async with asyncio.timeout(5):
        await page.ended.wait()
    await stack.calls()
    await newer.card("offered")


async def test_a_router_that_is_killed_leaves_the_card_and_its_orders_to_the_next(stack: Stack) -> None:
    anna = await stack.listening("anna")
    call_id = await stack.calls()
    await stack.picks_up("anna")
    await anna.card("talking", call_id)
    stack.kill("route")
    assert (await anna.order(call_id, "hold"))["reason"] == "no_router"
    stack.run("route", "main")
    await stack.routes()
    async with asyncio.timeout(30):
        while not (await anna.order(call_id, "hold"))["done"]:
            await asyncio.sleep(0.1)
    await anna.card("talking", call_id, held=True)
    await stack.pbx(codec.HangUp(call_id))
    assert (await anna.card("over", call_id))["over_by"] == "client"


async def test_the_card_of_a_call_back_is_closed_though_its_router_never_comes_back(stack: Stack) -> None:
    number, boris = "+79161234567", await stack.listening("boris")
    await stack.pbx(codec.Behave(number, (PhoneAct("answer", 0.1),)))
    assert (await boris.ask("POST", "/api/call-backs", {"order": "of-boris", "number": number}))["done"]
    await stack.picks_up("boris")
    call_id = (await boris.card("talking"))["call_id"]
    stack.kill("route")
    assert (await boris.order(call_id, "hang_up"))["reason"] == "no_router", "it may begin again at once"
    async with asyncio.timeout(30):
        while not (await boris.order(call_id, "hang_up"))["done"]:
            await asyncio.sleep(0.5)
    assert (await boris.card("over", call_id))["back"] == {"state": "over", "reason": None}
    stack.run("route", "main")
    await stack.routes()
    assert [card["state"] for card in (await boris.listen())["calls"]] == ["over"]

"""Routers and PBXs that are killed in the middle of calls."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.behaviour import CallerAct, PhoneAct

from .conftest import BY_HAND, Pbx, Router, Watched, played, routed, until

pytestmark = pytest.mark.services


def restarted(watched: Watched, router: Router) -> Callable[[], Awaitable[None]]:
    """Kills the router, looks that the PBX goes on without it, and starts it again."""

    async def kill_and_start() -> None:
        before = {there.call_id for there in await watched.control.callers()}
        router.end(signal.SIGKILL)

        async def gone() -> bool:
            return not (await watched.control.about()).router

        await until(gone)
        assert {there.call_id for there in await watched.control.callers()} == before
        router.start()
        await routed(watched.control)

    return kill_and_start


async def in_play(watched: Watched, again: Callable[[], Awaitable[None]]) -> str:
    call_id = await watched.control.place(codec.Place("+74951110001", phones=BY_HAND))
    await watched.happened(call_id, "hears")
    await again()
    await watched.decided(call_id, "ring")
    assert watched.count(call_id, "hears") == 1
    await watched.happened(call_id, "rings")
    await watched.control.hang_up(call_id)
    return call_id


async def in_menu(watched: Watched, again: Callable[[], Awaitable[None]]) -> str:
    call_id = await watched.control.place(codec.Place("+74951110002", phones=BY_HAND))
    await watched.decided(call_id, "menu")
    await again()
    await watched.control.press(call_id, "1")
    await watched.decided(call_id, "ring")
    assert watched.count(call_id, "hears") == 1
    await watched.control.hang_up(call_id)
    return call_id


async def in_ring(watched: Watched, again: Callable[[], Awaitable[None]]) -> str:
    call_id = await watched.control.place(codec.Place("+74951110003", phones=BY_HAND))
    await watched.decided(call_id, "ring")
    await again()
    await watched.control.pick_up("PJSIP/101")
    await watched.decided(call_id, "talk")
    assert watched.count(call_id, "rings") == 2
    assert watched.count(call_id, "cancelled") == 1
    await watched.control.put_down("PJSIP/101")
    return call_id


async def in_wait(watched: Watched, again: Callable[[], Awaitable[None]]) -> str:
    acts = (CallerAct("menu", press="1"),)
    first = await watched.control.place(codec.Place("+74951110002", acts=acts, phones=BY_HAND))
    await watched.decided(first, "ring")
    call_id = await watched.control.place(codec.Place("+74951110002", acts=acts, phones=BY_HAND))
    await watched.decided(call_id, "wait")
    await again()
    await watched.control.hang_up(first)
    await watched.decided(call_id, "ring")
    await watched.happened(call_id, "rings")
    await watched.control.pick_up("PJSIP/102")
    await watched.decided(call_id, "talk")
    await watched.control.put_down("PJSIP/102")
    return call_id


async def in_record(watched: Watched, again: Callable[[], Awaitable[None]]) -> str:
    call_id = await watched.control.place(codec.Place("+74951110004"))
    await watched.happened(call_id, "beep")
    await again()
    await watched.control.speak(call_id, 1.2)  # a message is one of at least a second
    await watched.happened(call_id, "recorded")
    assert watched.count(call_id, "beep") == 1
    return call_id


async def in_talk(watched: Watched, again: Callable[[], Awaitable[None]]) -> str:
    phones = {**BY_HAND, "PJSIP/101": (PhoneAct("answer", 0.1),)}
    call_id = await watched.control.place(codec.Place("+74951110001", phones=phones))
    await watched.decided(call_id, "talk")
    await again()
    assert watched.count(call_id, "phone_hung_up") == 0
    await watched.control.put_down("PJSIP/101")
    return call_id


@pytest.mark.parametrize(
    ("play", "ends"),
    [
        (in_play, "abandoned"),
        (in_menu, "abandoned"),
        (in_ring, "answered"),
        (in_wait, "answered"),
        (in_record, "voicemail"),
        (in_talk, "answered"),
    ],
)
def test_a_call_goes_on_when_its_router_is_killed(
    play: Callable[[Watched, Callable[[], Awaitable[None]]], Awaitable[str]], ends: str, pbx: Pbx, router: Router
) -> None:
    async def main(watched: Watched) -> None:
        await routed(watched.control)
        call_id = await play(watched, restarted(watched, router))
        over = await watched.over(call_id)
        assert over.disposition == ends
        await router.lines(2 if play is in_wait else 1)

    played(main, pbx)
    ledger = router.ledger()
    assert ledger[-1]["disposition"] == ends
    assert len({line["call_id"] for line in ledger}) == len(ledger) == (2 if play is in_wait else 1)


def test_a_call_that_ended_meanwhile_is_closed_from_the_pbx_own_knowledge(pbx: Pbx, router: Router) -> None:
    async def main(watched: Watched) -> None:
        control = watched.control
        await routed(control)
        call_id = await control.place(codec.Place("+74951110004"))
        await watched.happened(call_id, "beep")
        router.end(signal.SIGKILL)
        await control.speak(call_id, 2.0)
        await trio.sleep(2.1)  # the caller's speech, in the PBX's own time
        await control.hang_up(call_id)
        router.start()
        await router.lines()

        async def fetched() -> bool:
            return len(list((router.folder / "recordings").glob("kt-*.wav"))) == 1

        await until(fetched)

    played(main, pbx)
    assert [line["disposition"] for line in router.ledger()] == ["voicemail"]


def test_a_pbx_that_is_killed_takes_its_calls_with_it_and_the_router_comes_back(pbx: Pbx, router: Router) -> None:
    """Whoever talked has been answered; every other call is closed as the PBX's failure."""

    async def before(watched: Watched) -> None:
        control = watched.control
        await routed(control)
        phones = {"PJSIP/101": (PhoneAct("answer", 0.1),), "PJSIP/102": (PhoneAct(),)}
        talking = await control.place(codec.Place("+74951110001", phones=phones, call_id="talking"))
        await watched.decided(talking, "talk")
        for call_id, did, action in (
            ("playing", 1, "play"), ("choosing", 2, "menu"), ("ringing", 3, "ring"), ("recording", 4, "record"),
        ):  # fmt: skip
            await control.place(codec.Place(f"+7495111000{did}", phones=phones, call_id=call_id))
            await watched.decided(call_id, action)
        pbx.end(signal.SIGKILL)

    played(before, pbx)

    trio.run(router.lines, 5)
    ended = {line["call_id"]: (line["disposition"], line["fault"]) for line in router.ledger()}
    assert ended.pop("talking")[0] == "answered"
    assert set(ended.values()) == {("failed", "pbx")}
    assert set(ended) == {"playing", "choosing", "ringing", "recording"}

    pbx.socket.unlink()
    pbx.start()

    async def call(watched: Watched) -> None:
        await routed(watched.control)
        phones = {"PJSIP/101": (PhoneAct("answer", 0.1, 0.2),)}
        call_id = await watched.control.place(codec.Place("+74951110001", phones=phones))
        assert (await watched.over(call_id)).disposition == "answered"

    played(call, pbx)


def test_both_are_killed_and_the_calls_are_closed_once(pbx: Pbx, router: Router) -> None:
    async def before(watched: Watched) -> None:
        await routed(watched.control)
        await watched.control.place(codec.Place("+74951110003", phones=BY_HAND, call_id="ringing"))
        await watched.decided("ringing", "ring")
        router.end(signal.SIGKILL)
        pbx.end(signal.SIGKILL)

    played(before, pbx)
    pbx.socket.unlink()
    pbx.start()
    router.start()

    trio.run(router.lines)
    assert [(line["disposition"], line["fault"]) for line in router.ledger()] == [("failed", "pbx")]


def test_a_newer_router_takes_the_place_of_an_older_one(pbx: Pbx, router: Router, tmp_path: Path) -> None:
    newer = Router(pbx, tmp_path / "newer")

    async def main(watched: Watched) -> None:
        await routed(watched.control)
        call_id = await watched.control.place(codec.Place("+74951110003", phones=BY_HAND))
        await watched.decided(call_id, "ring")
        newer.start()

        async def replaced() -> bool:
            return "another router has taken the pbx" in router.log.read_text()

        await until(replaced)
        await routed(watched.control)
        await watched.control.pick_up("PJSIP/102")
        await watched.control.put_down("PJSIP/102")
        assert (await watched.over(call_id)).disposition == "answered"
        assert [line["disposition"] for line in await newer.lines()] == ["answered"]
        assert newer.running
        assert router.running

    try:
        played(main, pbx)
    finally:
        newer.end()

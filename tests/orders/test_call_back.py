"""A call back: the employee's phone, then the client's; and what is told when one of them does not answer."""

from __future__ import annotations

import pytest
import trio

from .house import House, play

ANNA, CLIENT = "PJSIP/101", "+79161230099"


def test_both_talk_until_one_hangs_up() -> None:
    async def story(house: House) -> None:
        await house.does("call_back", None, number=CLIENT)
        assert house.reserved() == {"anna"}
        await house.until(lambda: ("talking", None) in house.called_back())
        assert house.world.put_down(CLIENT)
        await house.until(lambda: ("over", None) in house.called_back())
        assert house.world.quiet
        assert house.called_back() == [("ringing", None), ("calling", None), ("talking", None), ("over", None)]

    play(story, {CLIENT: {"does": "answer", "after": 2}})


@pytest.mark.parametrize("who", ["employee", "client"])
@pytest.mark.parametrize(
    ("does", "told"),
    [("busy", "busy"), ("decline", "declined"), ("silent", "no_answer"), ("unreachable", "unreachable")],
)
def test_who_does_not_answer_is_told(who: str, does: str, told: str) -> None:
    async def story(house: House) -> None:
        house.router.lines.clear()
        done = await house.order("call_back", None, number=CLIENT)
        await house.until(lambda: ("over", f"{who}_{told}") in house.called_back(), 90)
        rang = who == "client" or does in ("decline", "silent")
        assert (done.done, done.reason) == ((True, None) if rang else (False, told))
        assert house.world.quiet
        assert house.reserved() == set()

    phones: dict[str, object] = {CLIENT: {"does": "answer"}}
    phones[ANNA if who == "employee" else CLIENT] = {"does": does, "after": 1 if does == "decline" else 0}
    play(story, phones)


def test_the_employee_who_hangs_up_while_the_client_rings_ends_it() -> None:
    async def story(house: House) -> None:
        await house.does("call_back", None, number=CLIENT)
        await house.until(lambda: ("calling", None) in house.called_back())
        assert house.world.put_down(ANNA)
        await house.until(lambda: ("over", "employee_gone") in house.called_back())
        assert house.world.quiet

    play(story)


def test_only_numbers_are_dialled_and_only_from_a_free_phone() -> None:
    async def story(house: House) -> None:
        for number in ("112", "+7916@evil", "Local/1@x", "", "+7916123009912345678"):
            assert (await house.order("call_back", None, number=number)).reason == "bad_number"
        assert (await house.order("call_back", None, by="nobody", number=CLIENT)).reason == "unknown_employee"
        client = await house.client_talks()
        assert (await house.order("call_back", None, number=CLIENT)).reason == "busy"
        await house.does("hang_up", client)
        assert house.called_back() == []

    play(story)


@pytest.mark.parametrize("talking", [False, True])
def test_a_router_that_dies_leaves_those_who_talk(talking: bool) -> None:
    async def story(house: House) -> None:
        await house.does("call_back", None, number=CLIENT)
        if talking:
            await house.until(lambda: ("talking", None) in house.called_back())
            await house.another_router(0.1)
            await trio.sleep(5)
            assert not house.world.quiet
            assert house.world.put_down(ANNA)
        else:
            await house.another_router(0.1)
        await house.until(lambda: house.world.quiet)

    play(story, {CLIENT: {"does": "answer", "after": 2}})

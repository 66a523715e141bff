"""A call back: the employee's phone, then the client's; and what is told when one of them does not answer."""

from __future__ import annotations

import pytest
import trio

from kommutator.errors import PbxRefused
from kommutator.pbx.simulated.adapter import SimulatedPbx
from kommutator.routing.doings import CalledBack

from .house import House, play

ANNA, CLIENT = "PJSIP/101", "+79161230099"


def called(house: House) -> str:
    """The id of the call back that goes on."""
    return next(doing.call for doing in house.journal.doings if isinstance(doing, CalledBack))


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


@pytest.mark.parametrize("rings", ["ringing", "calling"])
def test_it_is_ended_from_the_desk_while_a_phone_rings(rings: str) -> None:
    async def story(house: House) -> None:
        await house.does("call_back", None, number=CLIENT)
        await house.until(lambda: (rings, None) in house.called_back())
        call_id = called(house)
        assert (await house.order("hang_up", call_id, by="boris")).reason == "not_yours"
        await house.does("hang_up", call_id)
        await house.until(lambda: ("over", "cancelled") in house.called_back())
        assert house.world.quiet
        assert house.reserved() == set()
        assert (await house.order("hang_up", call_id)).reason == "unknown_call"

    phones: dict[str, object] = {ANNA: {"does": "answer", "after": 5 if rings == "ringing" else 0}}
    play(story, phones | {CLIENT: {"does": "silent"}})


@pytest.mark.parametrize("router", ["the same", "another"])
def test_who_talks_ends_it_by_the_phone_or_from_the_desk(router: str) -> None:
    async def story(house: House) -> None:
        for by_phone in (True, False):
            await house.does("call_back", None, number=CLIENT)
            await house.until(lambda: house.called_back()[-1] == ("talking", None))
            if router == "another":
                await house.another_router(0.1)
            call_id = house.journal.doings[-1].call
            assert (await house.order("hang_up", call_id, by="boris")).reason == "not_yours"
            if by_phone:
                assert house.world.put_down(ANNA)
            else:
                await house.does("hang_up", call_id)
            await house.until(lambda: house.called_back()[-1] == ("over", None))
            assert house.world.quiet
            assert (await house.order("hang_up", call_id)).reason == "unknown_call"

    play(story, {CLIENT: {"does": "answer", "after": 2}})


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
        told = ("over", None if talking else "failed")
        await house.until(lambda: house.called_back()[-1] == told)

    play(story, {CLIENT: {"does": "answer", "after": 2}})


def test_a_pbx_that_fails_over_a_call_back_costs_no_other_call(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> bool:
        raise PbxRefused("the simulated PBX has failed")

    async def story(house: House) -> None:
        await house.does("call_back", None, number=CLIENT)
        await house.until(lambda: ("talking", None) in house.called_back())
        monkeypatch.setattr(SimulatedPbx, "call_back_over", fails)
        await house.another_router(0.1)
        await house.until(lambda: house.called_back()[-1] == ("over", None))
        house.put_down_all()
        await house.until(lambda: house.router.lines["anna"] == "idle")
        await house.client_talks()
        house.put_down_all()

    play(story, {ANNA: {"does": "answer"}, CLIENT: {"does": "answer", "after": 2}})

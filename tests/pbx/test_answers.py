"""What the adapter makes of digits, of the ends of legs, and of a flood of events."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from kommutator.errors import CallGone
from kommutator.pbx.ari.codec import Channel, ChannelDestroyed, ChannelDtmfReceived, StasisEnd
from kommutator.pbx.ari.inbox import Inbox, Resync
from kommutator.pbx.ari.legs import end_of
from kommutator.pbx.asterisk import DialStrings
from kommutator.routing.answers import is_complete, outcome_of

C = Channel("c")


@pytest.mark.parametrize(
    ("entered", "complete"),
    [("1", False), ("10", False), ("101", True), ("102", True), ("11", True), ("2", True), ("9", True), ("#", True)],
)
def test_digits_are_complete_when_nothing_more_can_be_awaited(entered: str, complete: bool) -> None:
    assert is_complete(entered, ("1", "2", "101", "102")) is complete


@pytest.mark.parametrize(
    ("ended", "rung", "outcome"),
    [
        ({}, 2, "no_answer"),
        ({"a": "busy"}, 2, "no_answer"),
        ({"a": "busy", "b": "no_answer"}, 2, "no_answer"),
        ({"a": "busy", "b": "declined"}, 2, "busy"),
        ({"a": "declined", "b": "unavailable"}, 2, "unavailable"),
        ({"a": "declined"}, 1, "unavailable"),
    ],
)
def test_a_round_ends_as_its_phones_did(ended: dict[str, str], rung: int, outcome: str) -> None:
    assert outcome_of(ended, rung) == outcome


@pytest.mark.parametrize(
    ("cause", "sip", "end"),
    [
        (17, 486, "busy"), (17, None, "busy"), (17, 600, "busy"), (21, 603, "declined"), (21, None, "declined"),
        (19, 480, "no_answer"), (16, None, "no_answer"), (20, None, "unavailable"), (1, 404, "unavailable"),
        (3, None, "unavailable"), (0, None, "unavailable"), (38, 503, "unavailable"),
    ],
)  # fmt: skip
def test_the_end_of_a_leg_has_a_word(cause: int, sip: int | None, end: str) -> None:
    assert end_of(ChannelDestroyed(C, cause, sip)) == end


def test_a_number_is_dialled_through_the_trunk() -> None:
    strings = DialStrings("PJSIP/{number}@trunk")
    assert strings.of("PJSIP/101") == "PJSIP/101"
    assert strings.of("+79161230001") == "PJSIP/+79161230001@trunk"


def test_the_inbox_waits_and_gives_up_in_time() -> None:
    async def main() -> None:
        inbox = Inbox()
        assert await inbox.get(trio.current_time() + 5) is None
        assert trio.current_time() == 5
        inbox.post(StasisEnd(C))
        assert await inbox.get() == StasisEnd(C)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_caller_who_is_gone_comes_before_everything() -> None:
    async def main() -> None:
        inbox = Inbox()
        inbox.post(StasisEnd(C))
        inbox.caller_gone()
        for _ in range(2):
            with pytest.raises(CallGone):
                await inbox.get()
        assert await inbox.get(even_gone=True) == StasisEnd(C)

    trio.run(main)


def test_a_flood_makes_the_reader_look_again_and_loses_no_digit() -> None:
    async def main() -> None:
        inbox = Inbox()
        inbox.post(ChannelDtmfReceived(C, "1"))
        for _ in range(1000):
            inbox.post(StasisEnd(C))
        with pytest.raises(Resync):
            await inbox.get()
        inbox.resynced()
        assert await inbox.get() == ChannelDtmfReceived(C, "1")

    trio.run(main)

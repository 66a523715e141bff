"""The table of a conversation, and what is held back of device states."""

from __future__ import annotations

from kommutator.pbx.ari.devices import Devices
from kommutator.routing.conversation import (
    AGREED,
    AUDIO,
    RINGING,
    TRANSITIONS,
    WITH_GUEST,
    Arrangement,
    Party,
    Stage,
    Standing,
    happenings,
)

ENDS = {Stage.PASSED, Stage.OVER}


def test_every_stage_is_reached_and_can_be_left() -> None:
    assert set(TRANSITIONS.values()) == set(Stage)
    assert {stage for stage, _ in TRANSITIONS} == set(Stage) - ENDS
    assert set(AUDIO) == set(Stage) - ENDS


def test_a_phone_that_rings_is_waited_for_no_longer_than_so_long() -> None:
    assert {stage for stage, happening in TRANSITIONS if happening == "time_up"} == set(RINGING)


def test_the_operator_can_leave_in_every_stage_in_which_she_is_there_and_no_client_is_left_on_hold() -> None:
    for stage in set(Stage) - ENDS - {Stage.PASSING}:
        after = TRANSITIONS[stage, "operator_gone"]
        assert after in ENDS or AUDIO[after].client != "music"
        if stage is not Stage.RETURNING:
            assert TRANSITIONS[stage, "hang_up"] is after


def test_whoever_has_agreed_is_passed_the_client_and_nobody_else() -> None:
    passing = {stage for (stage, _), after in TRANSITIONS.items() if after is Stage.PASSED}
    assert passing == AGREED | {Stage.PASSING}
    assert TRANSITIONS.get((Stage.CALLING, "complete")) is None


def test_a_guest_is_part_of_it_exactly_where_he_is_named() -> None:
    anna, boris = Party("PJSIP/101"), Party("PJSIP/102", calling=1)
    for stage in set(Stage) - ENDS:
        arrangement = Arrangement(1, stage, anna, boris if stage in WITH_GUEST else None)
        assert (boris in arrangement.parties) == (stage in WITH_GUEST)
        assert (anna in arrangement.parties) == (stage is not Stage.PASSING)


def test_two_who_went_while_nobody_watched() -> None:
    both_there, both_gone = Standing("up", "up"), Standing("gone", "gone")
    assert happenings(Stage.PRIVATE, both_there, both_gone) == ["guest_ended", "operator_gone"]
    rang = Standing("up", "ringing")
    assert happenings(Stage.CALLING, rang, both_gone) == ["operator_gone", "guest_ended"]
    assert happenings(Stage.CALLING, rang, Standing("gone", "up")) == ["guest_up", "operator_gone"]


def test_a_line_is_not_busy_by_a_leg_that_does_not_count() -> None:
    devices = Devices()
    devices.withhold("leg-1", "PJSIP/102")
    assert devices.line("PJSIP/102", "RINGING") == "ringing"
    assert devices.line("PJSIP/102", "INUSE") is None
    assert devices.line("PJSIP/101", "INUSE") == "busy"
    assert devices.settled("leg-1") == "PJSIP/102"
    assert devices.line("PJSIP/102", "INUSE") == "busy"


def test_a_line_is_told_again_only_when_something_was_held_back() -> None:
    devices = Devices()
    devices.withhold("leg-1", "PJSIP/102")
    assert devices.line("PJSIP/102", "NOT_INUSE") == "idle"
    assert devices.settled("leg-1") is None
    devices.withhold("leg-2", "PJSIP/102")
    devices.withhold("leg-3", "PJSIP/102")
    assert devices.line("PJSIP/102", "INUSE") is None
    assert devices.settled("leg-2") is None
    assert devices.settled("leg-3") == "PJSIP/102"

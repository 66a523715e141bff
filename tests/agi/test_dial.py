"""What `Dial()` is given, and what is made of its end."""

from __future__ import annotations

from kommutator.pbx.agi import dial
from kommutator.pbx.asterisk import DialStrings

STRINGS = DialStrings("PJSIP/{number}@trunk")


def test_phones_and_mobiles_are_rung_together() -> None:
    plan = dial.plan(["PJSIP/101", "+79161230001"], STRINGS)
    assert dial.arguments(plan, 20.5, "leg", "test-1.7", "jazz") == (
        "PJSIP/101&PJSIP/+79161230001@trunk,20.500,gU(leg^test-1.7)m(jazz)"
    )
    assert plan.endpoint_of("101") == "PJSIP/101"
    assert plan.endpoint_of("+79161230001@trunk") == "+79161230001"
    assert plan.endpoint_of("102") is None


def test_nothing_gets_into_a_dial_that_would_change_it() -> None:
    hostile = ["PJSIP/101,1,U(evil)", "PJSIP/1&Local/2", "PJSIP/1^2", "Local/s@x/n", "PJSIP/1)", "", "101"]
    plan = dial.plan(["PJSIP/101", *hostile], STRINGS)
    assert (plan.all, plan.left_out) == ("PJSIP/101", tuple(hostile))
    assert dial.arguments(plan, 1, "leg", "1.7", "a)U(b").endswith("gU(leg^1.7)m")


def test_who_does_not_fit_into_a_command_is_left_out() -> None:
    plan = dial.plan([f"PJSIP/{number:05}" for number in range(1000)], STRINGS)
    assert 600 < len(plan.endpoints) < 1000
    assert len(plan.endpoints) + len(plan.left_out) == 1000


def test_each_phone_ended_as_its_channel_says() -> None:
    plan = dial.plan(["PJSIP/101", "+7001", "+7002", "PJSIP/102"], STRINGS)
    causes = {
        "PJSIP/trunk-0000000b": "SIP 486 Busy Here",
        "PJSIP/trunk-0000000c": "SIP 603 Decline",
        "PJSIP/101-0000000a": "SIP 480 Temporarily Unavailable",
    }
    ended = dial.ended(plan, "BUSY", causes)
    assert ended == {"PJSIP/101": "no_answer", "+7001": "busy", "+7002": "declined", "PJSIP/102": "unavailable"}
    assert dial.outcome(plan, "BUSY", ended)["type"] == "no_answer"
    assert dial.ended(plan, "NOANSWER", {"PJSIP/trunk-0000000b": "SIP 486 Busy Here"}) == {}


def test_without_causes_the_status_decides() -> None:
    plan = dial.plan(["PJSIP/101", "PJSIP/102"], STRINGS)
    for status, kind in {
        "BUSY": "busy",
        "CHANUNAVAIL": "unavailable",
        "CONGESTION": "unavailable",
        "": "no_answer",
    }.items():
        assert dial.outcome(plan, status, {})["type"] == kind
    assert dial.outcome(plan, "NOANSWER", {"PJSIP/101": "busy", "PJSIP/102": "busy"})["type"] == "no_answer"

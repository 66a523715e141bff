"""The harness itself, against a plain dialplan: what callers and phones do is what Asterisk and the other side see."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from . import messages, sound
from .asterisk import Asterisk
from .conftest import StartAsterisk
from .dialogs import Behaviour
from .evidence import Evidence, Proof
from .script import People, Script
from .sipp import Caller, Mobiles, Phone

DIALPLAN = """
[kommutator](+)
exten => 1000,1,Answer(0,i)
 same => n,Read(KEYS,,2,,1,5)
 same => n,Set(CDR(userfield)=${KEYS})
 same => n,Hangup()
exten => 1001,1,Dial(PJSIP/101&PJSIP/102,20)
 same => n,Hangup(17)
exten => 1002,1,Dial(PJSIP/+79161230001@trunk,20)
 same => n,Hangup()
exten => 1003,1,Answer(0,i)
 same => n,Playback(beep)
 same => n,Record(${ASTSPOOLDIR}/recording/message.wav,1,10,k)
 same => n,Hangup()
exten => 1004,1,Answer(0,i)
 same => n,MusicOnHold()
exten => 1005,1,Dial(PJSIP/101,1)
 same => n,Dial(PJSIP/101,20)
 same => n,Hangup()
"""


@pytest.fixture(scope="module")
def asterisk(start_asterisk: StartAsterisk) -> Asterisk:
    """An Asterisk with the extensions above."""
    return start_asterisk(dialplan=DIALPLAN, fallback="PJSIP/103", fallback_seconds=1)


def test_asterisk_boots_in_time(asterisk: Asterisk) -> None:
    assert asterisk.boot_seconds < 10
    assert "Asterisk" in asterisk.cli("core show version")
    assert asterisk.channels() == []


def test_a_second_asterisk_runs_beside_the_first(asterisk: Asterisk) -> None:
    with Asterisk() as second:
        assert second.ports.sip != asterisk.ports.sip
        assert "Asterisk" in second.cli("core show version")


@pytest.mark.parametrize("by", ["rtp", "info"])
def test_keys_reach_asterisk(asterisk: Asterisk, by: str) -> None:
    number = {"rtp": "89160000001", "info": "89160000002"}[by]
    with Caller(asterisk, "1000", number) as caller:
        caller.call()
        caller.press("5#" if by == "info" else "4*", by=by)
        caller.wait_end()
    assert _cdr(asterisk, number)["userfield"] == {"rtp": "4*", "info": "5"}[by]


def test_the_first_to_answer_gets_the_call_and_the_other_is_cancelled(asterisk: Asterisk) -> None:
    answering, silent = Behaviour("answer", after=0.5, talks=0.5), Behaviour("silent")
    with Phone(asterisk, "101", answering) as first, Phone(asterisk, "102", silent) as second:
        with Caller(asterisk, "1001", "89160000003") as caller:
            caller.call()
            caller.wait_end()
            assert messages.summary(caller.events) == "→INVITE ←180 ←200 →ACK ←BYE"
        assert messages.summary(first.events) == "←INVITE →180 →200 ←ACK →BYE"
        assert messages.summary(second.events) == "←INVITE →180 ←CANCEL →487 ←ACK"
        answer = first.wait_for("200", of="INVITE")
        assert second.wait_for("CANCEL").at >= answer.at
        assert 0.5 <= answer.at - first.wait_for("INVITE").at < 1.0


def test_busy_and_decline(asterisk: Asterisk) -> None:
    with Phone(asterisk, "101", Behaviour("busy")) as busy, Phone(asterisk, "102", Behaviour("decline")) as declining:
        with Caller(asterisk, "1001", "89160000004") as caller:
            caller.call()
            caller.wait_end()
            assert messages.summary(caller.events) == "→INVITE ←486 →ACK"
        assert messages.summary(busy.events) == "←INVITE →486 ←ACK"
        assert messages.summary(declining.events) == "←INVITE →603 ←ACK"


def test_a_phone_behaves_differently_each_time_it_is_rung(asterisk: Asterisk) -> None:
    plan = [Behaviour("silent"), Behaviour("answer", after=0.2, talks=0.2)]
    with Phone(asterisk, "101", plan) as phone, Caller(asterisk, "1005", "89160000005") as caller:
        caller.call()
        caller.wait_end()
        assert messages.summary(phone.events) == "←INVITE →180 ←CANCEL →487 ←ACK | ←INVITE →180 →200 ←ACK →BYE"


def test_a_caller_who_gives_up_before_the_answer_cancels(asterisk: Asterisk) -> None:
    with Phone(asterisk, "101", Behaviour("silent")) as phone, Caller(asterisk, "1001", None) as caller:
        caller.call()
        caller.wait_for("180")
        caller.hang_up()
        caller.wait_end()
        assert messages.summary(caller.events) == "→INVITE ←180 →CANCEL ←487 →ACK"
        phone.wait_for("487")
        assert phone.wait_for("INVITE").header("From") is not None


def test_a_caller_who_hangs_up_in_a_conversation_says_bye(asterisk: Asterisk) -> None:
    with Phone(asterisk, "101", Behaviour("answer")) as phone, Caller(asterisk, "1001", "89160000006") as caller:
        caller.call()
        caller.wait_for("200", of="INVITE")
        caller.hang_up()
        caller.wait_end()
        assert messages.summary(caller.events) == "→INVITE ←180 ←200 →ACK →BYE"
        assert phone.wait_for("BYE").received


def test_a_phone_that_hangs_up_when_told(asterisk: Asterisk) -> None:
    with Phone(asterisk, "101", Behaviour("answer")) as phone, Caller(asterisk, "1001", "89160000007") as caller:
        caller.call()
        caller.wait_for("200", of="INVITE")
        phone.wait_for("ACK")
        phone.hang_up()
        caller.wait_end()
        assert caller.wait_for("BYE").received


def test_speech_passes_both_ways(asterisk: Asterisk) -> None:
    with Phone(asterisk, "101", Behaviour("answer")) as phone, Caller(asterisk, "1001", "89160000008") as caller:
        caller.call()
        caller.wait_for("200", of="INVITE")
        caller.speak(sound.murmur(0.5))
        phone.line.wait_sound()
        began = time.time()
        phone.line.speak(sound.murmur(0.5))
        caller.line.wait_sound(since=began)


def test_mobiles_are_told_apart_by_the_number_dialled(asterisk: Asterisk) -> None:
    plans = {"+79161230009": [Behaviour("busy")], "+79161230001": [Behaviour("answer", after=0.1, talks=0.1)]}
    with Mobiles(asterisk, plans) as mobiles, Caller(asterisk, "1002", "+74997654321") as caller:
        caller.call()
        caller.wait_end()
        assert messages.summary(mobiles.events) == "←INVITE →180 →200 ←ACK →BYE"
        assert [event.number for event in mobiles.rung()] == ["+79161230001"]
        assert mobiles.rung("+79161230009") == []


def test_a_recorded_message_has_sound(asterisk: Asterisk) -> None:
    with Caller(asterisk, "1003", "89160000010") as caller:
        caller.call()
        began = time.time()
        caller.line.wait_quiet(since=began, seconds=0.3, limit=10)
        caller.speak(sound.murmur(2))
        caller.wait_end()
    message = asterisk.recordings / "message.wav"
    assert sound.loudness(message) > 1000
    assert 1.5 < sound.seconds(message) < 3.5


def test_a_caller_hears_hold_music(asterisk: Asterisk) -> None:
    with Caller(asterisk, "1004", "89160000011") as caller:
        caller.call()
        caller.line.wait_sound()
        caller.hang_up()
        caller.wait_end()


def test_a_withheld_number_is_anonymous_to_asterisk(asterisk: Asterisk) -> None:
    with Caller(asterisk, "1000", None) as caller:
        caller.call()
        caller.press("12")
        caller.wait_end()
    assert _cdr(asterisk, "anonymous")["userfield"] == "12"


def test_a_phone_that_is_switched_off_is_unavailable_at_once(asterisk: Asterisk) -> None:
    with Phone(asterisk, "104", Behaviour("silent")):
        assert "Not in use" in asterisk.cli("pjsip show endpoint 104")
    assert "Unavailable" in asterisk.cli("pjsip show endpoint 104")


def test_without_a_router_the_fallback_rings_and_takes_a_message(asterisk: Asterisk) -> None:
    before = set(asterisk.recordings.glob("fallback-*.wav"))
    with Phone(asterisk, "103", Behaviour("silent")) as phone, Caller(asterisk, "74951112233", "89160000012") as caller:
        caller.call()
        phone.wait_for("CANCEL")
        began = time.time()
        caller.line.wait_quiet(since=began, seconds=0.3, limit=20)
        caller.speak(sound.murmur(1))
        caller.hang_up()
        caller.wait_end()
    (message,) = set(asterisk.recordings.glob("fallback-*.wav")) - before
    assert sound.loudness(message) > 1000
    assert _cdr(asterisk, "89160000012")["userfield"] == "fallback"


def test_a_script_plays_the_callers_deeds(asterisk: Asterisk) -> None:
    deeds = [{"during": "menu", "press": "7"}, {"during": "menu", "press": "#"}]
    with Caller(asterisk, "1000", "89160000013") as caller:
        script = Script(caller, deeds)
        caller.call()
        script.performed("play")
        script.performed("menu")
        script.settle()
        script.performed("menu")
        script.finish()
        caller.wait_end()
    assert _cdr(asterisk, "89160000013")["userfield"] == "7"


def test_a_deed_that_never_came_is_an_error(asterisk: Asterisk) -> None:
    with Caller(asterisk, "1004", "89160000014") as caller:
        script = Script(caller, [{"during": "record", "hang_up_after": 1}])
        caller.call()
        script.performed("play")
        with pytest.raises(AssertionError, match="never came"):
            script.finish()


def test_evidence_agrees_with_the_disposition_or_says_why_not(asterisk: Asterisk) -> None:
    plans = {"PJSIP/101": {"does": "answer", "after": 1, "talks": 1}}
    with People(asterisk, ["PJSIP/101", "PJSIP/102"], plans, speed=5) as people:
        with Caller(asterisk, "1001", "89160000015") as caller:
            caller.call()
            caller.wait_end()
        people.wait_over()
        phones = people.events
        proof = Proof("self-test", "answered", "", "answered", caller.events, phones)
        Evidence().add(proof)
        with pytest.raises(AssertionError, match="a phone answered"):
            Evidence().add(Proof("self-test", "voicemail", "", "voicemail", caller.events, phones))
    assert proof.summary() == (
        "caller →INVITE ←180 ←200 →ACK ←BYE · 101 ←INVITE →180 →200 ←ACK →BYE · 102 ←INVITE →180 ←CANCEL →487 ←ACK"
    )
    assert asterisk.channels() == []


def test_many_callers_at_once_leave_no_phone_ringing(asterisk: Asterisk) -> None:
    """Several phones answer within the same millisecond: CANCELs cross with answers, and every phone must cope."""
    endpoints = ["PJSIP/101", "PJSIP/102"]
    plans = {endpoint: {"does": "answer", "after": 0.5, "talks": 0.3} for endpoint in endpoints}
    with People(asterisk, endpoints, plans) as people, ExitStack() as stack, ThreadPoolExecutor(20) as threads:
        callers = [stack.enter_context(Caller(asterisk, "1001", f"7916{n:07}")) for n in range(20)]
        list(threads.map(Caller.call, callers))
        list(threads.map(Caller.wait_end, callers))
        assert {messages.summary(caller.events) for caller in callers} == {"→INVITE ←180 ←200 →ACK ←BYE"}
        people.wait_over()
        assert [len(phone.rung()) for phone in people.phones.values()] == [20, 20]


def _cdr(asterisk: Asterisk, source: str) -> dict[str, str]:
    """The newest record of a caller; it is written when the channel is gone."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        found = [record for record in asterisk.cdr() if record["src"] == source]
        if found:
            return found[-1]
        time.sleep(0.02)
    raise AssertionError(f"no call detail record of {source}")

"""The router is killed in the middle of a call, and another takes the call over where it is."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tests.pbx.router_process import RouterProcess
from tests.telephony.asterisk import Asterisk
from tests.telephony.dialogs import Behaviour
from tests.telephony.sipp import Caller, Party, Phone
from tests.telephony.sound import murmur

MENU, LADDER, MAILBOX, TEAM = "+74950000001", "+74950000002", "+74950000003", "+74950000004"
NUMBER = "89161230099"


def gone_quietly(parties: list[Party], killed: float, back: float) -> None:
    """Nobody's call was ended by Asterisk while no router was there."""
    for party in parties:
        ends = [e.name for e in party.events if e.received and killed <= e.at < back and e.name in ("BYE", "CANCEL")]
        assert not ends, f"{party.name} heard {ends}"


def no_channel_is_left(asterisk: Asterisk) -> None:
    until = time.monotonic() + 5
    while asterisk.channels() and time.monotonic() < until:
        time.sleep(0.05)
    assert asterisk.channels() == []


@pytest.mark.parametrize("gap_s", [0.2, 2.5], ids=["still playing", "played meanwhile"])
def test_a_prompt_is_played_once(asterisk: Asterisk, router: RouterProcess, tmp_path: Path, gap_s: float) -> None:
    with Caller(asterisk, MENU, NUMBER) as caller:
        caller.call()
        router.wait_action("play")
        caller.wait_for("200", of="INVITE")
        killed = router.kill()
        time.sleep(gap_s)
        back = router.start()
        router.wait_action("menu")
        gone_quietly([caller], killed, back)
        caller.press("2", by="info")
        router.wait_action("record")
        caller.hang_up()
        (line,) = router.wait_ledger()
    assert [[step["node"], step["exit"]] for step in line["trace"]] == [["hello", "done"], ["menu", "message"]]
    greeting, *others = re.findall(rf"Playing '({re.escape(str(tmp_path))}[^']*)'", asterisk.log.read_text())
    assert others, "the menu was played"
    assert greeting not in others, "the greeting was played again"
    no_channel_is_left(asterisk)


def test_a_menu_goes_on(asterisk: Asterisk, router: RouterProcess) -> None:
    with Phone(asterisk, "101", Behaviour("answer", after=0.2)) as phone, Caller(asterisk, MENU, NUMBER) as caller:
        router.wait_idle("anna")
        caller.call()
        router.wait_action("menu")
        killed = router.kill()
        back = router.start()
        gone_quietly([caller], killed, back)
        pressed = time.time()
        caller.press("1", by="info")
        assert phone.wait_for("INVITE").at - pressed < 1.0, "the digit waited for the end of the prompt"
        router.wait_action("talk")
        caller.hang_up()
        (line,) = router.wait_ledger()
    assert (line["disposition"], line["fault"]) == ("answered", "none")
    no_channel_is_left(asterisk)


def test_the_phones_of_the_second_round_go_on_ringing(asterisk: Asterisk, router: RouterProcess) -> None:
    with (
        Phone(asterisk, "101", Behaviour("silent")) as first,
        Phone(asterisk, "102", Behaviour("answer", after=4, talks=0.5)) as second,
        Phone(asterisk, "103", Behaviour("silent")) as third,
        Caller(asterisk, LADDER, NUMBER) as caller,
    ):
        router.wait_idle("anna", "boris", "vera")
        caller.call()
        second.wait_for("180")
        killed = router.kill()
        time.sleep(0.5)
        back = router.start()
        gone_quietly([caller, first, second], killed, back)
        caller.wait_end()
        (line,) = router.wait_ledger()
        assert (line["disposition"], line["fault"]) == ("answered", "none")
        assert [len(phone.rung()) for phone in (first, second, third)] == [1, 1, 0]
        assert second.wait_for("200", of="INVITE").at > back
        assert "Call completed elsewhere" in (first.wait_for("CANCEL").header("Reason") or "")
    no_channel_is_left(asterisk)


def test_who_answers_in_the_gap_is_connected(asterisk: Asterisk, router: RouterProcess) -> None:
    with (
        Phone(asterisk, "101", Behaviour("silent")) as first,
        Phone(asterisk, "102", Behaviour("answer", after=1)) as second,
        Caller(asterisk, LADDER, NUMBER) as caller,
    ):
        router.wait_idle("anna", "boris")
        caller.call()
        second.wait_for("180")
        killed = router.kill()
        second.wait_for("ACK")
        time.sleep(0.5)
        back = router.start()
        router.wait_action("talk")
        gone_quietly([caller, first, second], killed, back)
        first.wait_for("CANCEL")
        caller.wait_for("200", of="INVITE")
        caller.hang_up()
        second.wait_for("BYE")
        (line,) = router.wait_ledger()
    assert (line["disposition"], line["fault"]) == ("answered", "none")
    no_channel_is_left(asterisk)


def test_a_caller_who_leaves_in_the_gap_leaves_no_phone_ringing(asterisk: Asterisk, router: RouterProcess) -> None:
    with (
        Phone(asterisk, "101", Behaviour("silent")) as first,
        Phone(asterisk, "102", Behaviour("silent")) as second,
        Caller(asterisk, LADDER, NUMBER) as caller,
    ):
        router.wait_idle("anna", "boris")
        caller.call()
        second.wait_for("180")
        router.kill()
        caller.hang_up()
        caller.wait_for("487")
        router.start()
        first.wait_for("CANCEL")
        second.wait_for("CANCEL")
        (line,) = router.wait_ledger()
    assert (line["disposition"], line["fault"]) == ("abandoned", "caller")
    assert "missed_call" in [effect["type"] for effect in line["effects"]]
    no_channel_is_left(asterisk)


@pytest.mark.parametrize("ends", ["after", "by # meanwhile", "by hanging up meanwhile"])
def test_a_message_is_kept(asterisk: Asterisk, router: RouterProcess, ends: str) -> None:
    with Caller(asterisk, MAILBOX, NUMBER) as caller:
        caller.call()
        router.wait_action("record")
        caller.wait_for("200", of="INVITE")
        time.sleep(2)  # the prompt and the beep
        caller.speak(murmur(1.5))
        killed = router.kill()
        if ends == "by # meanwhile":
            caller.press("#", by="info")
        elif ends == "by hanging up meanwhile":
            caller.hang_up()
        back = router.start()
        if ends == "after":
            gone_quietly([caller], killed, back)
            caller.press("#", by="info")
        (line,) = router.wait_ledger()
    assert (line["disposition"], line["fault"]) == ("voicemail", "none")
    (voicemail,) = [effect for effect in line["effects"] if effect["type"] == "voicemail"]
    assert 1.4 <= voicemail["seconds"] <= 6.0
    no_channel_is_left(asterisk)


@pytest.mark.parametrize("leaves", ["nobody", "the caller", "the callee"])
def test_a_conversation_goes_on(asterisk: Asterisk, router: RouterProcess, leaves: str) -> None:
    talks = {"nobody": 6.0, "the caller": None, "the callee": 1.0}[leaves]
    with (
        Phone(asterisk, "101", Behaviour("answer", talks=talks)) as phone,
        Caller(asterisk, TEAM, NUMBER) as caller,
    ):
        router.wait_idle("anna")
        caller.call()
        router.wait_action("talk")
        caller.wait_for("200", of="INVITE")
        killed = router.kill()
        if leaves == "the caller":
            caller.hang_up()
        time.sleep(1.5 if leaves == "the callee" else 0.3)
        back = router.start()
        if leaves == "nobody":
            gone_quietly([caller, phone], killed, back)
            heard = time.time()
            caller.speak(murmur(0.5))
            phone.line.wait_sound(since=heard)
        (line,) = router.wait_ledger()
    assert (line["disposition"], line["fault"]) == ("answered", "none")
    no_channel_is_left(asterisk)


def test_a_router_told_to_stop_leaves_its_calls(asterisk: Asterisk, router: RouterProcess) -> None:
    with Phone(asterisk, "101", Behaviour("silent")) as phone, Caller(asterisk, TEAM, NUMBER) as caller:
        router.wait_idle("anna")
        caller.call()
        phone.wait_for("180")
        stopped = time.time()
        assert router.stop() == 0
        back = router.start()
        gone_quietly([caller, phone], stopped, back)
        caller.hang_up()
        phone.wait_for("CANCEL")
        (line,) = router.wait_ledger()
    assert line["disposition"] == "abandoned"
    no_channel_is_left(asterisk)

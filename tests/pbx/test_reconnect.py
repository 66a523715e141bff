"""The connection to Asterisk breaks while calls are under way, and is restored."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.telephony.asterisk import Asterisk
from tests.telephony.cable import Cable
from tests.telephony.dialogs import Behaviour
from tests.telephony.router import RouterProcess
from tests.telephony.sipp import Caller, Phone
from tests.telephony.sound import murmur

MENU, MAILBOX, TEAM = "+74950000001", "+74950000003", "+74950000004"
NUMBER = "89161230077"


@pytest.fixture
def cable(asterisk: Asterisk) -> Iterator[Cable]:
    with Cable(asterisk.ports.http) as whole:
        yield whole


@pytest.fixture
def router(asterisk: Asterisk, cable: Cable, company: Path, tmp_path: Path) -> Iterator[RouterProcess]:
    url = f"http://127.0.0.1:{cable.port}"
    with RouterProcess.of_command(asterisk, company, tmp_path / "data", ari=url) as process:
        yield process


def cut(router: RouterProcess, cable: Cable) -> float:
    seen = len(router.log())
    cable.cut()
    router.wait("pbx connection lost", skip=seen)
    return time.time()


def mend(router: RouterProcess, cable: Cable) -> float:
    seen = len(router.log())
    cable.mend()
    router.wait("pbx connected", skip=seen, seconds=30)
    return time.time()


def test_a_phone_goes_on_ringing_and_is_connected(asterisk: Asterisk, cable: Cable, router: RouterProcess) -> None:
    with (
        Phone(asterisk, "101", Behaviour("silent")) as silent,
        Phone(asterisk, "102", Behaviour("answer", after=3)) as answering,
        Caller(asterisk, TEAM, NUMBER) as caller,
    ):
        router.wait_idle("anna", "boris")
        caller.call()
        answering.wait_for("180")
        silent.wait_for("180")
        lost = cut(router, cable)
        mended = mend(router, cable)
        for party in (silent, answering, caller):
            assert not [e for e in party.events if e.name in ("BYE", "CANCEL") and lost <= e.at < mended]
        router.wait("turn", action="talk")
        assert [len(phone.rung()) for phone in (silent, answering)] == [1, 1]
        silent.wait_for("CANCEL")
        heard = time.time()
        caller.speak(murmur(0.5))
        answering.line.wait_sound(since=heard)
        caller.hang_up()
        answering.wait_for("BYE")
        (line,) = router.wait_ledger()
    assert line["disposition"] == "answered"


def test_who_answered_meanwhile_is_connected(asterisk: Asterisk, cable: Cable, router: RouterProcess) -> None:
    with (
        Phone(asterisk, "101", Behaviour("silent")) as silent,
        Phone(asterisk, "102", Behaviour("answer", after=1)) as answering,
        Caller(asterisk, TEAM, NUMBER) as caller,
    ):
        router.wait_idle("anna", "boris")
        caller.call()
        answering.wait_for("180")
        silent.wait_for("180")
        cut(router, cable)
        answering.wait_for("ACK")
        mend(router, cable)
        silent.wait_for("CANCEL")
        caller.wait_for("200", of="INVITE")
        caller.hang_up()
        answering.wait_for("BYE")
        (line,) = router.wait_ledger()
    assert line["disposition"] == "answered"


def test_a_caller_who_left_meanwhile_is_noticed(asterisk: Asterisk, cable: Cable, router: RouterProcess) -> None:
    with (
        Phone(asterisk, "101", Behaviour("silent")) as phone,
        Caller(asterisk, TEAM, NUMBER) as caller,
        Caller(asterisk, MENU, "89161230078") as other,
    ):
        router.wait_idle("anna")
        caller.call()
        other.call()
        phone.wait_for("180")
        router.wait("turn", action="play")
        cut(router, cable)
        caller.hang_up()
        other.hang_up()
        mend(router, cable)
        phone.wait_for("CANCEL")
        lines = router.wait_ledger(2)
    assert [line["disposition"] for line in lines] == ["abandoned", "abandoned"]
    assert len({line["call_id"] for line in lines}) == 2


def test_what_was_recorded_meanwhile_is_kept(asterisk: Asterisk, cable: Cable, router: RouterProcess) -> None:
    with Caller(asterisk, MAILBOX, NUMBER) as caller:
        caller.call()
        router.wait("turn", action="record")
        caller.wait_for("200", of="INVITE")
        time.sleep(2)  # the prompt and the beep
        caller.speak(murmur(1.5))
        cut(router, cable)
        caller.press("#", by="info")
        mend(router, cable)
        (line,) = router.wait_ledger()
    assert line["disposition"] == "voicemail"
    assert 1.4 <= line["effects"][0]["seconds"] <= 4.0


def test_a_call_that_comes_meanwhile_goes_the_fallback_and_the_next_to_the_router(
    asterisk: Asterisk, cable: Cable, router: RouterProcess
) -> None:
    with Phone(asterisk, "101", Behaviour("answer", after=0.2, talks=0.5)) as phone:
        cut(router, cable)
        with Caller(asterisk, MENU, NUMBER) as caller:
            router.wait_idle("anna")
            caller.call()
            phone.wait_for("ACK")
            caller.wait_end()
        mend(router, cable)
        with Caller(asterisk, MENU, NUMBER) as caller:
            caller.call()
            router.wait("turn", action="play")
            caller.hang_up()
            (line,) = router.wait_ledger()
    assert line["disposition"] == "abandoned"

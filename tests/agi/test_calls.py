"""Calls by FastAGI in which something goes away: the router, the caller, the phone. And those that only ask steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.telephony import messages, sound
from tests.telephony.dialogs import Behaviour
from tests.telephony.sipp import Caller, Phone

from .house import AgiAsterisk, AgiRouter

pytestmark = pytest.mark.telephony

_PATIENCE_S = 60.0
_RING, _BOX, _STEPS, _STEPS_WAIT = "+74957770001", "+74957770002", "+74967770001", "+74967770002"
_CALLER = "+79160000001"


def test_a_call_outlives_its_router(asterisk: AgiAsterisk, company: Path, tmp_path: Path) -> None:
    """Killed while a phone rings, and back while they talk: one line, answered, and nobody noticed anything."""
    router = AgiRouter.of_document(asterisk, company, tmp_path)
    with router, Phone(asterisk, "101", Behaviour("answer", after=1.5, talks=2.0)) as phone:
        with Caller(asterisk, _RING, _CALLER) as caller:
            caller.call()
            phone.wait_for("180", seconds=_PATIENCE_S)
            router.kill()
            phone.wait_for("ACK", seconds=_PATIENCE_S)
            router.start()
            caller.wait_end(seconds=_PATIENCE_S)
            (line,) = router.wait_ledger(1, seconds=_PATIENCE_S)
        assert messages.summary(phone.events).count("INVITE") == 1
    assert (line["disposition"], line["caller"]) == ("answered", _CALLER)
    assert asterisk.wait_idle(_PATIENCE_S) == []


def test_who_hangs_up_while_the_router_is_away_is_known_when_it_is_back(
    asterisk: AgiAsterisk, company: Path, tmp_path: Path
) -> None:
    """Asterisk is made to say who is still there, without any other call; who is not has left a message all the same."""
    router = AgiRouter.of_document(asterisk, company, tmp_path)
    with router:
        with Caller(asterisk, _BOX, _CALLER) as caller:
            caller.call()
            router.wait("turn", action="record", seconds=_PATIENCE_S)
            _wait_until(lambda: any(asterisk.recordings.glob("kt-*.wav")))
            caller.speak(sound.murmur(1.5))
            router.kill()
            caller.hang_up()
            caller.wait_end(seconds=_PATIENCE_S)
        assert asterisk.wait_idle(_PATIENCE_S) == []
        router.start()
        (line,) = router.wait_ledger(1, seconds=_PATIENCE_S)
    assert (line["disposition"], line["caller"]) == ("voicemail", _CALLER)
    (effect,) = line["effects"]
    (message,) = (tmp_path / "recordings").glob(f"kt-{effect['recording']}*")
    assert sound.seconds(message) == pytest.approx(effect["seconds"], abs=0.1)
    assert sound.loudness(message) > 500


def test_without_a_router_a_call_takes_the_fallback(asterisk: AgiAsterisk) -> None:
    with (
        Phone(asterisk, "101", Behaviour("answer", after=0.2, talks=0.3)) as phone,
        Caller(asterisk, _RING, _CALLER) as caller,
    ):
        caller.call()
        phone.wait_for("ACK", seconds=_PATIENCE_S)
        caller.wait_end(seconds=_PATIENCE_S)
    assert asterisk.wait_idle(_PATIENCE_S) == []
    _wait_until(lambda: any(record["userfield"] == "fallback" for record in asterisk.cdr()))


def test_a_call_that_waits_for_its_router_is_not_dialled_twice(
    asterisk: AgiAsterisk, company: Path, tmp_path: Path
) -> None:
    """A router that is killed while nobody answers: the ring goes on to its end, and what comes after it is the router's."""
    router = AgiRouter.of_document(asterisk, company, tmp_path)
    with router, Phone(asterisk, "101", Behaviour("busy", after=1.0)) as phone:
        with Caller(asterisk, _RING, _CALLER) as caller:
            caller.call()
            phone.wait_for("INVITE", seconds=_PATIENCE_S)
            router.kill()
            phone.wait_for("486", seconds=_PATIENCE_S)
            router.start()
            router.wait("call resumed", seconds=_PATIENCE_S)
            router.wait("turn", action="record", seconds=_PATIENCE_S)
            caller.hang_up()
            caller.wait_end(seconds=_PATIENCE_S)
        (line,) = router.wait_ledger(1, seconds=_PATIENCE_S)
        assert messages.summary(phone.events).count("INVITE") == 1
    assert [(step["node"], step["exit"]) for step in line["trace"]][:1] == [("ring", "busy")]
    assert line["legs"][0]["outcome"] == "busy"


def test_steps_lead_a_dialplan_to_who_answers(asterisk: AgiAsterisk, company: Path, tmp_path: Path) -> None:
    router = AgiRouter.of_document(asterisk, company, tmp_path)
    with (
        router,
        Phone(asterisk, "101", Behaviour("busy")) as anna,
        Phone(asterisk, "102", Behaviour("answer", after=0.3, talks=0.3)) as boris,
        Caller(asterisk, _STEPS, _CALLER) as caller,
    ):
        caller.call()
        caller.line.wait_sound()
        caller.press("1")
        anna.wait_for("486", seconds=_PATIENCE_S)
        boris.wait_for("ACK", seconds=_PATIENCE_S)
        caller.wait_end(seconds=_PATIENCE_S)
        (line,) = router.wait_ledger(1, seconds=_PATIENCE_S)
    assert line["disposition"] == "answered"
    assert [(step["node"], step["exit"]) for step in line["trace"]] == [("menu", "anna"), ("ring", "busy")]
    assert [(leg["endpoint"], leg["outcome"]) for leg in line["legs"]] == [
        ("PJSIP/101", "busy"),
        ("PJSIP/102", "answered"),
    ]
    assert asterisk.wait_idle(_PATIENCE_S) == []


def test_steps_wait_for_who_rings_for_another_call(asterisk: AgiAsterisk, company: Path, tmp_path: Path) -> None:
    router = AgiRouter.of_document(asterisk, company, tmp_path)
    with (
        router,
        Phone(asterisk, "101", [Behaviour("silent"), Behaviour("answer", after=0.2, talks=0.3)]) as anna,
        Caller(asterisk, _RING, _CALLER) as first,
        Caller(asterisk, _STEPS_WAIT, "+79160000002") as second,
    ):
        first.call()
        anna.wait_for("180", seconds=_PATIENCE_S)
        second.call()
        router.wait("turn", action="wait", seconds=_PATIENCE_S)
        first.hang_up()
        anna.wait_for("INVITE", count=2, seconds=_PATIENCE_S)
        second.wait_end(seconds=_PATIENCE_S)
        lines = router.wait_ledger(2, seconds=_PATIENCE_S)
    assert [line["disposition"] for line in lines] == ["abandoned", "answered"]
    assert asterisk.wait_idle(_PATIENCE_S) == []


def test_steps_take_a_message_from_who_hangs_up_in_it(asterisk: AgiAsterisk, company: Path, tmp_path: Path) -> None:
    """And a router that comes back in between goes on where the channel says."""
    router = AgiRouter.of_document(asterisk, company, tmp_path)
    with router, Caller(asterisk, _STEPS, _CALLER) as caller:
        caller.call()
        caller.line.wait_sound()
        router.kill()
        router.start()
        caller.press("2")
        router.wait("call resumed", seconds=_PATIENCE_S)
        router.wait("turn", action="record", seconds=_PATIENCE_S)
        _wait_until(lambda: any(asterisk.recordings.glob("kt-*.wav")))
        caller.speak(sound.murmur(1.5))
        caller.hang_up()
        caller.wait_end(seconds=_PATIENCE_S)
        (line,) = router.wait_ledger(1, seconds=_PATIENCE_S)
    assert line["disposition"] == "voicemail"
    (effect,) = line["effects"]
    (message,) = (tmp_path / "recordings").glob("*.wav")
    assert sound.seconds(message) == pytest.approx(effect["seconds"], abs=0.1)
    assert asterisk.wait_idle(_PATIENCE_S) == []


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, f"it did not come to that within {_PATIENCE_S} s"
        time.sleep(0.05)

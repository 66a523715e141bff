"""A queue at Asterisk: callers who wait are served in the order of coming, a full line turns away, and a router that is killed
while they wait loses no places."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import sound
from .asterisk import Asterisk
from .conftest import StartAsterisk
from .dialogs import Behaviour
from .hearing import hears
from .messages import SipEvent
from .router import RouterProcess
from .sipp import Caller, Phone

pytestmark = pytest.mark.telephony

_DID = "+74951110000"
_NEXT_HZ, _HOLD_HZ = 700, 560
"""What is announced to the first in line, and to those behind him."""
_BY_HAND = Behaviour("answer", after=600.0)
_LONG_S = 60.0


@pytest.fixture(scope="module")
def asterisk(start_asterisk: StartAsterisk) -> Asterisk:
    """One telephone, and music for who waits."""
    return start_asterisk(phones=["101"])


@pytest.fixture
def router(asterisk: Asterisk, tmp_path: Path) -> Iterator[RouterProcess]:
    """A router whose only scheme is a queue for three."""
    with RouterProcess.of_command(asterisk, _company(tmp_path), tmp_path / "data") as router:
        yield router


@pytest.mark.parametrize("killed", [False, True], ids=["", "router-killed"])
def test_callers_are_served_in_the_order_of_coming(asterisk: Asterisk, router: RouterProcess, killed: bool) -> None:
    with (
        Phone(asterisk, "101", _BY_HAND) as phone,
        Caller(asterisk, _DID, "89160000001") as talking,
        Caller(asterisk, _DID, "89160000002") as first,
        Caller(asterisk, _DID, "89160000003") as second,
        Caller(asterisk, _DID, "89160000004") as late,
    ):
        router.wait_idle("anna")
        talking.call()
        phone.wait_for("180", seconds=_LONG_S)
        phone.act()
        phone.wait_for("ACK", seconds=_LONG_S)
        for caller, announced in ((first, _NEXT_HZ), (second, _HOLD_HZ)):
            caller.call()
            _turn(router, caller, "wait")
            hears(caller.line, announced, 0.0)
        if killed:
            router.kill()
            router.start()
            for caller in (first, second):
                router.wait("call resumed", call=_call(router, caller), action="wait", seconds=_LONG_S)
        late.call()
        _turn(router, late, "wait")
        for served, caller in enumerate((first, second, late), start=2):
            phone.hang_up()
            phone.wait_for("180", count=served, seconds=_LONG_S)
            _turn(router, caller, "ring")
            phone.act()
            phone.wait_for("ACK", of="ACK", count=served, seconds=_LONG_S)
            _turn(router, caller, "talk")
        phone.hang_up()
        lines = router.wait_ledger(4, seconds=_LONG_S)
        assert [line["disposition"] for line in lines] == ["answered"] * 4
        assert [line["caller"] for line in lines] == [caller.number for caller in (talking, first, second, late)]
        for caller in (talking, first, second, late):
            caller.wait_end(seconds=_LONG_S)
        assert [event.number for event in _invites(phone)] == ["101"] * 4, "each rang once"
        assert asterisk.wait_idle() == []


def test_a_full_line_turns_away_and_who_leaves_makes_room(asterisk: Asterisk, router: RouterProcess) -> None:
    with Phone(asterisk, "101", Behaviour("silent")), _callers(asterisk, 4) as callers:
        router.wait_idle("anna")
        ringing, waiting, leaving, refused = callers
        for caller, action in ((ringing, "ring"), (waiting, "wait"), (leaving, "wait")):
            caller.call()
            _turn(router, caller, action)
        refused.call()
        turn = _turn(router, refused, "hang_up")
        assert turn["trace"] == "line:full later:done"
        refused.wait_end(seconds=_LONG_S)
        leaving.hang_up()
        (_, gone) = router.wait_ledger(2, seconds=_LONG_S)
        assert gone["disposition"] == "abandoned"
        with Caller(asterisk, _DID, "89160000009") as again:
            again.call()
            _turn(router, again, "wait")


class _callers:
    def __init__(self, asterisk: Asterisk, count: int) -> None:
        self._all = [Caller(asterisk, _DID, f"8916000010{number}") for number in range(count)]

    def __enter__(self) -> list[Caller]:
        return self._all

    def __exit__(self, *_: object) -> None:
        for caller in self._all:
            caller.close()


def _call(router: RouterProcess, caller: Caller) -> str:
    return str(router.wait("call began", caller=caller.number)["call"])


def _turn(router: RouterProcess, caller: Caller, action: str) -> dict[str, object]:
    """The first turn of a call with this action, once it is there."""
    return router.wait("turn", call=_call(router, caller), action=action, seconds=_LONG_S)


def _invites(phone: Phone) -> list[SipEvent]:
    return [event for event in phone.events if event.name == "INVITE"]


def _company(folder: Path) -> Path:
    sound.tone(folder / "next.wav", hertz=_NEXT_HZ, seconds=1.0)
    sound.tone(folder / "hold.wav", hertz=_HOLD_HZ, seconds=1.0)
    nodes = {
        "line": {
            "kind": "queue", "ring": [{"employee": "anna"}], "seconds": 600, "max_wait": 900, "max_length": 3,
            "announce": ["next", "hold"], "exits": {"timeout": "later"},
        },
        "later": {"kind": "task", "assign": "house", "title": "Call back {caller}", "exits": {"done": "bye"}},
        "bye": {"kind": "hangup", "cause": "busy"},
    }  # fmt: skip
    company = {
        "company": {"name": "Queue", "timezone": "Europe/Moscow", "country": "RU", "language": "en"},
        "departments": {"house": {"name": "House"}},
        "employees": {"anna": {"name": "Anna", "department": "house", "endpoint": "PJSIP/101"}},
        "prompts": {"next": {"file": "next.wav"}, "hold": {"file": "hold.wav"}},
        "numbers": {_DID: {"scheme": "main"}},
        "schemes": {"main": {"start": "line", "responsible": "house", "nodes": nodes}},
    }
    path = folder / "company.yaml"
    path.write_text(json.dumps(company), encoding="utf-8")
    return path

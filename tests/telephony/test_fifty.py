"""Fifty calls at once that end in all ways there are: one line each, nobody rung for two, nothing left behind."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from . import messages, sound
from .asterisk import Asterisk
from .conftest import StartAsterisk
from .dialogs import Behaviour
from .evidence import Proof
from .messages import SipEvent
from .router import RouterProcess
from .sipp import Caller, Mobiles, Phone

pytestmark = pytest.mark.telephony


@dataclass(frozen=True)
class Kind:
    """A way for a call to go: how many go it, what the phone that is its own does, and how it ends."""

    count: int
    disposition: str
    phone: Behaviour | None = None
    """None: the call is for the two desks that all such calls share, and ends `busy` when both are talking."""


_KINDS = {
    "answered": Kind(10, "answered", Behaviour("answer", after=0.5, talks=1.0)),
    "put down at once": Kind(2, "answered", Behaviour("answer", after=0.5, talks=0.001)),
    "left talking": Kind(4, "answered", Behaviour("answer", after=0.5)),
    "busy": Kind(7, "busy", Behaviour("busy")),
    "declined": Kind(5, "unavailable", Behaviour("decline")),
    "silent": Kind(6, "no_answer", Behaviour("silent")),
    "abandoned": Kind(6, "abandoned", Behaviour("silent")),
    "message": Kind(4, "voicemail", Behaviour("busy")),
    "shared": Kind(6, "answered"),
}
_CALLS = [kind for kind, how in _KINDS.items() for _ in range(how.count)]
_DESKS = {"101": 0.2, "102": 0.7}
"""After how many seconds of ringing each is picked up: never both in one instant, when both would be on the phone."""
_GREETING_S = 8.0
"""Long enough for all fifty to be there before the first goes on."""
_RING_S, _SHARED_S = 3.0, 40.0
_SPEECH_S = 1.5
_END_S = 60.0
_EVERYBODY = "+74950000099"
_PUT_DOWN_TOO_SOON = "the leg ended before it could be connected"


@dataclass(frozen=True)
class Fifty:
    """What came of them."""

    lines: list[dict[str, Any]]
    callers: dict[str, list[SipEvent]]
    """By their number."""
    mobiles: list[SipEvent]
    desks: dict[str, list[SipEvent]]
    cdr: list[dict[str, str]]
    unconnected: set[str]
    """Calls whose phone was put down again before its caller could be connected with it."""
    most_at_once: int
    left: str
    after: dict[str, Any]
    """The line of a call that rang everybody when the others were over."""

    def line(self, number: int) -> dict[str, Any]:
        """The one line of a call."""
        (line,) = [line for line in self.lines if line["caller"] == _caller(number)]
        return line

    def rung_by(self, number: int) -> dict[str, list[SipEvent]]:
        """What each phone said and heard because of a call, by the number that it displayed."""
        found: dict[str, list[SipEvent]] = {}
        for name, events in [("", self.mobiles), *self.desks.items()]:
            for dialog in messages.by_call(events):
                if f"sip:{_caller(number)}@" in (dialog[0].header("From") or ""):
                    found.setdefault(name or dialog[0].number, []).extend(dialog)
        return found


@pytest.fixture(scope="module")
def fifty(start_asterisk: StartAsterisk, tmp_path_factory: pytest.TempPathFactory) -> Fifty:
    """The calls, placed and over."""
    asterisk, folder = start_asterisk(), tmp_path_factory.mktemp("fifty")
    return place_fifty(asterisk, RouterProcess.of_command(asterisk, company(folder), folder / "data"))


def place_fifty(asterisk: Asterisk, router: RouterProcess) -> Fifty:
    """Place the calls, with a router of the `company`, and see them end."""
    plans = {_mobile(number): [how] for number, kind in enumerate(_CALLS) if (how := _KINDS[kind].phone) is not None}
    with ExitStack() as stack:
        mobiles = stack.enter_context(Mobiles(asterisk, plans))
        desks = {
            name: stack.enter_context(Phone(asterisk, name, Behaviour("answer", after=after, talks=0.3)))
            for name, after in _DESKS.items()
        }
        stack.enter_context(router)
        callers = [stack.enter_context(Caller(asterisk, _did(n), _caller(n))) for n in range(len(_CALLS))]
        with ThreadPoolExecutor(len(_CALLS)) as pool:
            for _ in pool.map(Caller.call, callers):
                pass
            for caller in callers:
                router.wait("call began", caller=caller.number)
            most_at_once = len(asterisk.channels())
            for _ in pool.map(
                lambda n: _act(_CALLS[n], callers[n], asterisk, router, mobiles, _mobile(n)), range(len(_CALLS))
            ):
                pass
        lines = router.wait_ledger(len(_CALLS), seconds=_END_S)
        for caller in callers:
            caller.wait_end()
        asterisk.wait_idle(10)
        left = asterisk.cli("core show channels")
        seen = {_caller(n): caller.events for n, caller in enumerate(callers)}
        rung, desk_events = mobiles.events, {name: desk.events for name, desk in desks.items()}
        cdr = asterisk.cdr()
        too_short = {line["call"] for line in router.log() if line["event"] == _PUT_DOWN_TOO_SOON}
        with Caller(asterisk, _EVERYBODY, "+79169999999") as last:
            last.call()
            router.wait("turn", action="ring", call=router.wait("call began", caller="+79169999999")["call"])
            last.hang_up()
            last.wait_end()
        after = router.wait_ledger(len(_CALLS) + 1)[-1]
        assert router.stop() == 0
        return Fifty(lines, seen, rung, desk_events, cdr, too_short, most_at_once, left, after)


def test_all_are_there_at_once_and_each_has_its_line(fifty: Fifty) -> None:
    assert fifty.most_at_once == len(_CALLS) == 50
    assert len(fifty.lines) == len({line["call_id"] for line in fifty.lines}) == 50
    assert Counter(line["caller"] for line in fifty.lines) == Counter(map(_caller, range(50)))


@pytest.mark.parametrize("kind", _KINDS)
def test_dispositions_agree_with_everybodys_sip(fifty: Fifty, kind: str) -> None:
    for number in (number for number, its in enumerate(_CALLS) if its == kind):
        line = fifty.line(number)
        assert line["disposition"] in {_KINDS[kind].disposition, "busy" if kind == "shared" else None}
        events, phones = fifty.callers[_caller(number)], fifty.rung_by(number)
        proof = Proof("fifty", kind, kind, line["disposition"], events, phones)
        assert proof.disagreement() is None, proof.summary()
        assert sorted(phones) == sorted({leg["endpoint"].removeprefix("PJSIP/") for leg in line["legs"]})


def test_dispositions_agree_with_the_pbxs_own_records(fifty: Fifty) -> None:
    for number in range(50):
        line = fifty.line(number)
        records = [record for record in fifty.cdr if record["uniqueid"] == line["call_id"]]
        assert records, f"Asterisk knows nothing of {line['call_id']}"
        talked = any(record["dstchannel"] for record in records)
        answered = line["disposition"] == "answered"
        # Of a phone that was picked up and put down again in the milliseconds in which both came into one bridge, Asterisk
        # says in the caller's record that he was answered, and by nobody: before that always, at that moment now and then.
        connected = answered and line["call_id"] not in fifty.unconnected
        assert talked == connected or (connected and _CALLS[number] == "put down at once"), records
        assert answered >= (line["call_id"] in fifty.unconnected)
    known = {line["call_id"] for line in fifty.lines}
    of_callers = [record for record in fifty.cdr if record["dcontext"] == "kommutator"]
    assert {record["uniqueid"] for record in of_callers} == known


def test_nobody_is_rung_for_two_calls_at_once(fifty: Fifty) -> None:
    for name, events in fifty.desks.items():
        spans = [(dialog[0].at, _ended(dialog)) for dialog in messages.by_call(events) if dialog[0].name == "INVITE"]
        assert spans, f"{name} was never rung"
        for (_, over), (begun, _) in pairwise(spans):
            assert over <= begun, f"{name} was rung while it rang for another: {messages.summary(events)}"


def test_desks_that_several_calls_share_answer_as_many_as_they_can(fifty: Fifty) -> None:
    answered = [n for n, kind in enumerate(_CALLS) if kind == "shared" and fifty.line(n)["disposition"] == "answered"]
    assert len(answered) >= len(_DESKS)


def test_no_channel_and_no_claim_is_left(fifty: Fifty) -> None:
    assert "0 active channels" in fifty.left
    (ringing,) = fifty.after["rounds"]
    assert ringing["left_out"] == []
    assert len(fifty.after["legs"]) == len(_DESKS) + sum(how.count for how in _KINDS.values() if how.phone)


def _act(kind: str, caller: Caller, asterisk: Asterisk, router: RouterProcess, mobiles: Mobiles, mobile: str) -> None:
    """What the caller does of himself."""
    if kind == "abandoned":
        _wait_rung(mobiles, mobile, "180")
        caller.hang_up()
    elif kind == "left talking":
        _wait_rung(mobiles, mobile, "ACK")
        call = router.wait("call began", caller=caller.number)["call"]
        _wait_until(lambda: _talks(call, asterisk))
        caller.hang_up()
    elif kind == "message":
        call = router.wait("call began", caller=caller.number)["call"]
        router.wait("turn", call=call, action="record", seconds=_END_S)
        caller.line.wait_quiet(since=time.time(), seconds=0.3, limit=20)
        caller.speak(sound.murmur(_SPEECH_S))
        caller.press("#")


def _talks(call: str, asterisk: Asterisk) -> bool:
    """Whether the caller is in one bridge with somebody: they come into it one after the other."""
    channels = asterisk.channels()
    bridge = next((channel.bridge for channel in channels if channel.uniqueid == call), "")
    return bool(bridge) and sum(channel.bridge == bridge for channel in channels) == 2


def _wait_rung(mobiles: Mobiles, number: str, name: str) -> None:
    def has_seen_it() -> bool:
        calls = [dialog for dialog in messages.by_call(mobiles.events) if dialog[0].number == number]
        return any(event.name == name for dialog in calls for event in dialog)

    _wait_until(has_seen_it)


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _END_S
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not come to that within {_END_S} s")
        time.sleep(0.1)


def _ended(dialog: Sequence[SipEvent]) -> float:
    """When a phone was done with a call."""
    return next((e.at for e in dialog if e.name in ("BYE", "CANCEL", "486", "603")), float("inf"))


def _caller(number: int) -> str:
    return f"+7916500{number:04}"


def _mobile(number: int) -> str:
    return f"+7926600{number:04}"


def _did(number: int) -> str:
    return f"+7495777{number:04}"


def company(folder: Path) -> Path:
    """Every call has a number and a manager's mobile of its own; the calls to the desks share two managers."""
    sound.tone(folder / "greeting.wav", hertz=300, seconds=_GREETING_S)
    sound.tone(folder / "leave.wav", hertz=400, seconds=1)
    employees: dict[str, Any] = {
        f"m{number}": {"name": f"M{number}", "department": "house", "mobile": _mobile(number)}
        for number, kind in enumerate(_CALLS)
        if kind != "shared"
    }
    employees |= {f"d{name}": {"name": name, "department": "house", "endpoint": f"PJSIP/{name}"} for name in _DESKS}
    end = {
        "task": {"kind": "task", "assign": "house", "title": "Call {caller}", "exits": {"done": "bye"}},
        "bye": {"kind": "hangup"},
    }
    hello = {"kind": "play", "prompt": "greeting", "exits": {"done": "ring"}}
    schemes: dict[str, Any] = {}
    for number, kind in enumerate(_CALLS):
        targets = [{"mobile": f"m{number}"}] if kind != "shared" else [{"employee": f"d{name}"} for name in _DESKS]
        ring = {
            "kind": "ring",
            "ring": targets,
            "seconds": _SHARED_S if kind == "shared" else _RING_S,
            "exits": {"no_answer": "box" if kind == "message" else "task"},
        }
        nodes = {"hello": hello, "ring": ring, **end}
        if kind == "message":
            nodes["box"] = {"kind": "voicemail", "prompt": "leave", "seconds": 20, "exits": {"done": "bye"}}
            del nodes["task"]
        schemes[f"s{number}"] = {"start": "hello", "responsible": "house", "nodes": nodes}
    everybody = [{"mobile": name} for name in employees if name.startswith("m")]
    everybody += [{"employee": f"d{name}"} for name in _DESKS]
    ring = {"kind": "ring", "ring": everybody, "seconds": 10, "exits": {"no_answer": "task"}}
    schemes["everybody"] = {"start": "ring", "responsible": "house", "nodes": {"ring": ring, **end}}
    written = {
        "company": {"name": "Fifty", "timezone": "Europe/Moscow", "country": "RU", "language": "en"},
        "departments": {"house": {"name": "House"}},
        "employees": employees,
        "prompts": {"greeting": {"file": "greeting.wav"}, "leave": {"file": "leave.wav"}},
        "numbers": {_did(n): {"scheme": f"s{n}"} for n in range(len(_CALLS))} | {_EVERYBODY: {"scheme": "everybody"}},
        "schemes": schemes,
    }
    document = folder / "company.yaml"
    document.write_text(json.dumps(written, indent=1), encoding="utf-8")
    return document

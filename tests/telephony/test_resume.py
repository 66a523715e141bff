"""A router that is killed with calls in every stage, and started again, goes on with each as if nothing had been.

One router has a call in each stage of `_STAGES`: one caller stays while the router is away, another hangs up, and a third's
message or conversation ends by itself. The same calls are played a second time with nobody killed, and must come to the
same.
"""

from __future__ import annotations

import array
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import pytest

from . import messages, sound
from .asterisk import Asterisk
from .conftest import StartAsterisk
from .dialogs import Behaviour
from .messages import SipEvent
from .router import RouterProcess
from .sipp import Caller, Phone

pytestmark = pytest.mark.telephony

_STAGES = {
    "prompt": "play",
    "menu": "menu",
    "hunt": "ring",
    "message": "record",
    "conversation": "talk",
    "keyed": "menu",
    "over": "play",
    "answered": "ring",
}
"""Where a call is when the router dies, and its action. `keyed`: a menu whose prompt lasts until a key is pressed; `over`:
the prompt ends while the router is away; `answered`: one of two phones is picked up meanwhile."""
_Fate = Literal["stays", "leaves", "ends"]
"""What becomes of a call while the router is away. `ends`: its caller presses # after his message, or the employee hangs
up."""
_Which = tuple[str, _Fate]
_CALLS: list[_Which] = [
    *((stage, "stays") for stage in _STAGES),
    *((stage, "leaves") for stage in ("prompt", "menu", "hunt", "message", "conversation")),
    *((stage, "ends") for stage in ("message", "conversation")),
]
_LATE: tuple[_Which, ...] = (("answered", "stays"), ("over", "stays"))
"""They call when the others are in their stages: what happens to them must not happen too early."""
_AFTER_TICK: dict[str, dict[str, Any]] = {"play": {"sequence": 1}}
"""Every call begins with a tick, so that to begin again would be heard."""
_TICK_S = 0.3
_PROMPT_S = 12.0
_LONGEST_PROMPT_S = 60.0
_SHORT_S = 3.0
_FIRST_ROUND_S = 1.5
_SPEECH_S, _LAST_WORDS_S = 12.0, 4.0
_FALLBACK = "fallback"
_BY_HAND = Behaviour("answer", after=300.0)
_QUIET_S = 0.6
"""So long a pause is the end of a prompt, or none begins."""
_END_S = 60.0


@dataclass
class Run:
    """What came of all calls, with or without a router that was killed."""

    callers: dict[_Which, list[SipEvent]] = field(default_factory=dict)
    phones: dict[str, list[SipEvent]] = field(default_factory=dict)
    """By the phone's name: `hunt-stays-1`."""
    lines: dict[_Which, list[dict[str, Any]]] = field(default_factory=dict)
    """Lines of the ledger."""
    all_lines: int = 0
    gap: tuple[float, float] = (0.0, 0.0)
    """When the router died, and when the next one was started."""
    back: float = 0.0
    """When the next router had found its calls."""
    keyed: float = 0.0
    """When the key was pressed during the menu's prompt."""
    menu_again_s: float = 0.0
    """How long something was heard by the caller in the menu, from the next router's start until he pressed a key."""
    over_again_s: float = 0.0
    """The same of him whose prompt had ended while the router was away, until the phone rang."""
    long_heard_s: float = 0.0
    """How long the long prompt was heard until the phone rang."""
    recordings: dict[_Which, Path] = field(default_factory=dict)
    left: list[Any] = field(default_factory=list)
    """Channels and bridges that are there at the end all the same."""

    def of_phones(self, stage: str, fate: _Fate) -> list[list[SipEvent]]:
        """The events of each phone of a call."""
        return [self.phones[name] for name in _phones(stage, fate)]


@pytest.fixture(scope="module")
def unbroken(start_asterisk: StartAsterisk, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The calls, with one router all the time."""
    return _run(_asterisk(start_asterisk), tmp_path_factory.mktemp("unbroken"), broken=False)


@pytest.fixture(scope="module")
def broken(start_asterisk: StartAsterisk, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The calls, with a router that is killed and started again."""
    return _run(_asterisk(start_asterisk), tmp_path_factory.mktemp("broken"), broken=True)


@pytest.mark.parametrize(("stage", "fate"), _CALLS, ids=lambda value: str(value))
def test_call_comes_to_the_same_as_if_nobody_had_been_killed(
    broken: Run, unbroken: Run, stage: str, fate: _Fate
) -> None:
    (line,), (expected,) = broken.lines[stage, fate], unbroken.lines[stage, fate]
    assert _essence(line) == _essence(expected)
    for events, others in zip(broken.of_phones(stage, fate), unbroken.of_phones(stage, fate), strict=True):
        assert messages.summary(events) == messages.summary(others)
    assert _heard(broken.callers[stage, fate]) == _heard(unbroken.callers[stage, fate])


def test_nobody_is_hung_up_or_cancelled_while_the_router_is_away(broken: Run) -> None:
    died, back = broken.gap
    stayed = [events for (_, fate), events in broken.callers.items() if fate != "leaves"]
    rung = [events for name, events in broken.phones.items() if name != _FALLBACK]
    for events in [*stayed, *rung]:
        told = [event for event in events if event.received and died <= event.at <= back]
        ended = [event for event in told if event.name in ("BYE", "CANCEL")]
        assert ended == [], messages.summary(events)


def test_every_call_has_one_line_in_the_ledger(broken: Run) -> None:
    assert broken.all_lines == len(_CALLS)


def test_phones_of_the_expanding_hunt_have_one_invite_each(broken: Run) -> None:
    phones = broken.of_phones("hunt", "stays")
    assert [[event.name for event in events].count("INVITE") for events in phones] == [1, 1, 0]
    cancel = messages.first(phones[0], "CANCEL")
    assert cancel is not None
    assert "Call completed elsewhere" in (cancel.header("Reason") or "")


def test_other_phone_is_cancelled_once_the_router_learns_who_answered(broken: Run) -> None:
    answering, silent = broken.of_phones("answered", "stays")
    answered, cancel = messages.first(answering, "ACK"), messages.first(silent, "CANCEL")
    assert answered is not None
    assert cancel is not None
    assert answered.at < broken.gap[1] < cancel.at


def test_key_ends_the_prompt_of_a_menu_that_was_taken_over(broken: Run) -> None:
    (phone,) = broken.of_phones("keyed", "stays")
    assert phone[0].at - broken.keyed < _LONGEST_PROMPT_S / 3


def test_nothing_is_said_to_a_caller_twice(broken: Run) -> None:
    assert broken.menu_again_s == 0
    assert broken.over_again_s < _SHORT_S / 2  # he hears that it rings before it does
    assert _PROMPT_S - 1 < broken.long_heard_s - _TICK_S < _PROMPT_S + 1


@pytest.mark.parametrize("fate", ["stays", "leaves", "ends"])
def test_message_keeps_what_was_said_while_the_router_was_away(broken: Run, fate: _Fate) -> None:
    file = broken.recordings["message", fate]
    assert sound.loudness(file) > 500
    assert sound.seconds(file) > _speech_s(fate) - 1
    (line,) = broken.lines["message", fate]
    (effect,) = [effect for effect in line["effects"] if effect["type"] == "voicemail"]
    assert abs(effect["seconds"] - sound.seconds(file)) < 0.1


def test_new_call_is_taken_by_the_fallback_while_the_router_is_away(broken: Run) -> None:
    died, back = broken.gap
    (invite,) = [event for event in broken.phones[_FALLBACK] if event.name == "INVITE"]
    assert died < invite.at < back


def test_nothing_is_left_in_asterisk(broken: Run) -> None:
    assert broken.left == []


# --- how the calls are played


def _run(asterisk: Asterisk, folder: Path, *, broken: bool) -> Run:
    run = Run()
    router = RouterProcess.of_command(asterisk, _company(folder), folder / "data")
    with ExitStack() as stack:
        phones = {
            name: stack.enter_context(Phone(asterisk, name, _behaviour(name)))
            for name in [*_all_phones(), *([_FALLBACK] if broken else [])]
        }
        stack.enter_context(router)
        callers = {
            call: stack.enter_context(Caller(asterisk, _did(*call), f"8916{7000000 + number}"))
            for number, call in enumerate(_CALLS)
        }
        pool = stack.enter_context(ThreadPoolExecutor(3))
        ids, speeches = _bring_to_their_stages(router, callers, phones, pool)
        if broken:
            router.kill()
            died = time.time()
        for fate in ("leaves", "ends"):
            speeches["message", fate].result()
        callers["message", "ends"].press("#")
        phones["conversation-ends-1"].hang_up()
        _leave(callers)
        if broken:
            _pass_the_gap(stack, asterisk, callers, phones)
            run.gap = (died, time.time())
            router.start()
            run.back = time.time()
        else:
            _pick_up(phones["answered-stays-1"])
        for name in ("hunt-stays-2", "answered-stays-1"):
            phones[name].act()
        menu = callers["menu", "stays"].line
        menu.wait_quiet(since=0.0, seconds=_QUIET_S, limit=_END_S)
        run.menu_again_s = _loud_s(menu.heard(since=run.gap[1]))
        callers["menu", "stays"].press("1")
        callers["keyed", "stays"].line.wait_sound(since=time.time())
        run.keyed = time.time()
        callers["keyed", "stays"].press("1")
        phones["conversation-stays-1"].hang_up()
        speeches["message", "stays"].result()
        callers["message", "stays"].press("#")
        lines = router.wait_ledger(len(_CALLS), seconds=_END_S)
        for caller in callers.values():
            caller.wait_end()
        run.left = [*asterisk.wait_idle(), *asterisk.wait_no_bridge()]
        assert router.stop() == 0
        run.all_lines = len(lines)
        for call, caller in callers.items():
            run.callers[call] = caller.events
            run.lines[call] = [line for line in lines if line["call_id"] == ids[call]]
            file = next((router.data / "recordings").glob(f"*{ids[call]}*.wav"), None)
            if file is not None:
                run.recordings[call] = file
        over, long = (phones[name].wait_for("INVITE").at for name in ("over-stays-1", "prompt-stays-1"))
        run.over_again_s = _loud_s(callers["over", "stays"].line.heard(since=run.gap[1], until=over))
        run.long_heard_s = _loud_s(callers["prompt", "stays"].line.heard(until=long))
        run.phones = {name: [e for e in phone.events if e.of != "OPTIONS"] for name, phone in phones.items()}
    return run


def _bring_to_their_stages(
    router: RouterProcess,
    callers: Mapping[_Which, Caller],
    phones: Mapping[str, Phone],
    pool: ThreadPoolExecutor,
) -> tuple[dict[_Which, str], dict[_Which, Future[None]]]:
    """Has everybody call; returns, when each is where the router shall die, the calls' ids and what is being said."""
    ids: dict[_Which, str] = {}
    speeches: dict[_Which, Future[None]] = {}

    def ring(call: _Which) -> None:
        callers[call].call()
        ids[call] = router.wait("call began", caller=callers[call].number)["call"]

    def in_its_stage(call: _Which) -> float:
        action = _STAGES[call[0]]
        turn = router.wait("turn", call=ids[call], action=action, **_AFTER_TICK.get(action, {}))
        return datetime.fromisoformat(turn["timestamp"]).timestamp()

    early = [call for call in _CALLS if call not in _LATE]
    for call in early:
        ring(call)
    there = {call: in_its_stage(call) for call in early}
    for stage, fate in early:
        if stage == "hunt":
            phones[_phones(stage, fate)[1]].wait_for("180")
        elif stage == "conversation":
            phones[_phones(stage, fate)[0]].wait_for("ACK")
        elif stage == "message":
            callers[stage, fate].line.wait_quiet(since=there[stage, fate], seconds=0.3, limit=30)
            speech = sound.murmur(_speech_s(fate))
            speeches[stage, fate] = pool.submit(callers[stage, fate].speak, speech)
        else:
            callers[stage, fate].line.wait_sound(since=there[stage, fate])
    for call in _LATE:
        ring(call)
    over = in_its_stage(("over", "stays"))
    phones["answered-stays-1"].wait_for("180")
    callers["over", "stays"].line.wait_sound(since=over)
    return ids, speeches


def _leave(callers: Mapping[_Which, Caller]) -> None:
    """Half of the callers hang up, each in his stage."""
    for (_, fate), caller in callers.items():
        if fate == "leaves":
            caller.hang_up()
    for (_, fate), caller in callers.items():
        if fate == "leaves":
            caller.wait_end()


def _pass_the_gap(
    stack: ExitStack, asterisk: Asterisk, callers: Mapping[_Which, Caller], phones: Mapping[str, Phone]
) -> None:
    """What happens while there is no router: a prompt ends, a phone is picked up, people talk, somebody new calls."""
    began = time.time()
    callers["over", "stays"].line.wait_quiet(since=0.0, seconds=0.3, limit=30)
    _pick_up(phones["answered-stays-1"])
    phone = phones["conversation-stays-1"]
    callers["conversation", "stays"].speak(sound.murmur(0.3))
    phone.line.wait_sound(since=began)
    newcomer = stack.enter_context(Caller(asterisk, _did("prompt", "stays"), "89169999999"))
    newcomer.call()
    phones[_FALLBACK].wait_for("180")
    newcomer.hang_up()
    newcomer.wait_end()


def _pick_up(phone: Phone) -> None:
    phone.act()
    phone.wait_for("ACK")


def _asterisk(start_asterisk: StartAsterisk) -> Asterisk:
    return start_asterisk(phones=[*_all_phones(), _FALLBACK], fallback=f"PJSIP/{_FALLBACK}")


def _behaviour(name: str) -> Behaviour:
    if name == "answered-stays-1":
        return _BY_HAND
    if name.startswith("conversation"):
        return Behaviour("answer", after=0.1)
    if name.startswith("hunt") or name == "answered-stays-2":
        return replace(_BY_HAND, talks=0.5) if name == "hunt-stays-2" else Behaviour("silent")
    return Behaviour("silent") if name == _FALLBACK else Behaviour("answer", after=0.3, talks=0.5)


def _phones(stage: str, fate: _Fate) -> list[str]:
    """The phones that a call may ring."""
    count = {"hunt": 3, "message": 0, "answered": 2}.get(stage, 1)
    return [f"{stage}-{fate}-{number}" for number in range(1, count + 1)]


def _speech_s(fate: _Fate) -> float:
    """How long the caller speaks who leaves a message."""
    return _SPEECH_S if fate == "stays" else _LAST_WORDS_S


def _all_phones() -> list[str]:
    return [name for call in _CALLS for name in _phones(*call)]


def _did(stage: str, fate: _Fate) -> str:
    return f"+7495111{_CALLS.index((stage, fate)):04}"


def _company(folder: Path) -> Path:
    """A company with a scheme for each call; nothing in it depends on the hour."""
    sound.tone(folder / "tick.wav", hertz=500, seconds=_TICK_S)
    sound.tone(folder / "long.wav", hertz=300, seconds=_PROMPT_S)
    sound.tone(folder / "longest.wav", hertz=350, seconds=_LONGEST_PROMPT_S)
    sound.tone(folder / "short.wav", hertz=400, seconds=_SHORT_S)
    schemes = {}
    for stage, fate in _CALLS:
        ring = [[{"employee": name}] for name in _phones(stage, fate)]
        nodes: dict[str, Any] = {
            "message": {"kind": "voicemail", "prompt": "speak", "seconds": 60, "exits": {"done": "bye"}},
            "bye": {"kind": "hangup"},
        }
        nodes["ring"] = {"kind": "ring", "seconds": 90, "exits": {"no_answer": "message"}}
        if stage == "hunt":
            seconds = (_FIRST_ROUND_S, 90, 5)
            steps = [{"ring": who, "seconds": limit} for who, limit in zip(ring, seconds, strict=True)]
            nodes["ring"] |= {"strategy": "expanding", "steps": steps}
            del nodes["ring"]["seconds"]
        elif ring:
            nodes["ring"] |= {"strategy": "all", "ring": [who for (who,) in ring]}
        else:
            del nodes["ring"]
        first = {"prompt": "hello", "over": "hello", "menu": "menu", "keyed": "menu", "message": "message"}.get(
            stage, "ring"
        )
        if first == "hello":
            prompt = "long" if stage == "prompt" else "short"
            nodes["hello"] = {"kind": "play", "prompt": prompt, "exits": {"done": "ring"}}
        if first == "menu":
            exits = {"one": "ring", "no_input": "message", "invalid": "message"}
            prompt = "short" if stage == "menu" else "longest"
            nodes["menu"] = {"kind": "menu", "prompt": prompt, "options": {"1": "one"}, "seconds": 30, "exits": exits}
        nodes["tick"] = {"kind": "play", "prompt": "tick", "exits": {"done": first}}
        schemes[f"{stage}-{fate}"] = {
            "start": "tick",
            "responsible": "house",
            "nodes": nodes,
        }
    company = {
        "company": {"name": "Resume", "timezone": "Europe/Moscow", "country": "RU", "language": "en"},
        "departments": {"house": {"name": "House"}},
        "employees": {
            name: {"name": name, "department": "house", "endpoint": f"PJSIP/{name}"} for name in _all_phones()
        },
        "prompts": {
            "long": {"file": "long.wav"},
            "longest": {"file": "longest.wav"},
            "tick": {"file": "tick.wav"},
            "short": {"file": "short.wav"},
            "speak": {"say": "Please speak.", "language": "en"},
        },
        "numbers": {_did(*call): {"scheme": scheme} for call, scheme in zip(_CALLS, schemes, strict=True)},
        "schemes": schemes,
    }
    document = folder / "company.yaml"
    document.write_text(json.dumps(company, indent=1), encoding="utf-8")
    return document


def _loud_s(heard: array.array[int]) -> float:
    """How much of it is loud, in seconds."""
    piece = sound.RATE // 50
    return sum(sound.rms(heard[start : start + piece]) > 1000 for start in range(0, len(heard), piece)) / 50


def _essence(line: Mapping[str, Any]) -> dict[str, Any]:
    """What of a ledger line does not depend on the clock and on ids."""
    return {
        "disposition": line["disposition"],
        "fault": line["fault"],
        "trace": [(step["scheme"], step["node"], step["exit"]) for step in line["trace"]],
        "effects": [effect["type"] for effect in line["effects"]],
        "legs": [(leg["endpoint"], leg["outcome"]) for leg in line["legs"]],
    }


def _heard(events: Sequence[SipEvent]) -> list[str]:
    """A caller's SIP, where it is all the same how often he is told that it rings."""
    return [word for word, _ in groupby(messages.summary(events).split())]

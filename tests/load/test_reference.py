"""What is a right answer: exactly the engine's, but for what other calls or the server's memory may have changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any

import pytest

from kommutator import Engine
from kommutator.company import load
from kommutator.load.people import Chances
from kommutator.load.reference import Reference
from kommutator.load.target import Ask, Told

from .serving import DID, ROOT

NOON_MS = 1_794_992_400_000
CALLER = "+79161230099"
SCHEMES = sorted(path.name for path in (ROOT / "tests/scenarios").iterdir() if (path / "company.yaml").exists())

FOLLOWED = [name for name in SCHEMES if name not in ("3-first-or-repeat", "9-queue")]
"""No trace of these tells of what our engine cannot follow: who called before, and who was turned away from a full line."""


def company(name: str) -> str:
    return str(ROOT / "tests/scenarios" / name / "company.yaml")


class Served:
    """A server's engine, whose floor is what calls make of it."""

    def __init__(self, name: str) -> None:
        self.engine = Engine.load(company(name))
        self.document: dict[str, Any] = load(company(name)).document

    def whole(self, ask: Ask, chances: Chances, stop_at: int = 1000) -> Told:
        """A call as a target would lead it; open where it is stopped."""
        *_, told = islice(self.led(ask, chances), stop_at + 1)
        return told

    def led(self, ask: Ask, chances: Chances) -> Iterator[Told]:
        """The same, told after each answer: others may be answered meanwhile."""
        turn = self.engine.arrive(ask.call_id, ask.did, ask.caller, ask.at_ms)
        actions, traces = [turn.action.to_dict()], [turn.trace]
        events: list[dict[str, Any]] = []
        yield Told(actions, events, traces)
        while (event := chances.event(actions[-1], ask.number, len(events))) is not None:
            turn = self.engine.handle(turn.state, event, ask.at_ms)
            actions.append(turn.action.to_dict())
            events.append(event)
            traces.append(turn.trace)
            yield Told(actions, events, traces)


def ask(number: int, did: str = DID, caller: str | None = CALLER) -> Ask:
    return Ask(number, f"c-{number}", did, caller, NOON_MS + 60_000 * number)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_whole_calls_of_every_scheme_are_right_whatever_others_hold(scheme: str) -> None:
    served, reference = Served(scheme), Reference(load(company(scheme)))
    dids = [did for did in reference.document["numbers"] if did != "default"]
    chances = Chances(hangs_up=0.0)
    for number in range(300):
        asked = ask(number, dids[number % len(dids)], f"+7916123{number % 40:04}")
        # Every third call stays open, and so holds whom it rings or talks with
        told = served.whole(asked, chances, stop_at=3 if number % 3 == 0 else 1000)
        assert reference.expect(asked).verdict(told) is None, (number, told)
    assert reference.engine.claims(NOON_MS) == [], "nobody is held by a call that was only looked at"


@pytest.mark.parametrize("at_once", [2, 7, 30])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_calls_that_are_led_at_once_are_right_in_whatever_order_they_are_answered(scheme: str, at_once: int) -> None:
    served, reference = Served(scheme), Reference(load(company(scheme)))
    dids = [did for did in reference.document["numbers"] if did != "default"]
    chances, order, numbers = Chances(), Random(at_once), iter(range(1_000))
    calls: list[tuple[Ask, Iterator[Told], Told]] = []
    while True:
        while len(calls) < at_once and (number := next(numbers, None)) is not None:
            asked = Ask(number, f"c-{number}", dids[number % len(dids)], f"+7916{number:07}", NOON_MS + 7 * number)
            leading = served.led(asked, chances)
            calls.append((asked, leading, next(leading)))
        if not calls:
            break
        asked, leading, before = calls.pop(order.randrange(len(calls)))
        told = next(leading, None)
        if told is not None:
            calls.append((asked, leading, told))
        else:
            assert reference.expect(asked).verdict(before) is None, (asked, before)
            if scheme in FOLLOWED:
                place = order.randrange(len(before.actions))
                for wrong in mistakes(before.actions[place]):
                    answers = [*before.actions[:place], wrong, *before.actions[place + 1 :]]
                    assert reference.expect(asked).verdict(Told(answers, before.events, before.traces)) is not None
    assert (reference.engine.claims(NOON_MS), reference.engine.queues(NOON_MS)) == ([], [])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_wrong_answer_anywhere_in_a_call_is_found(scheme: str) -> None:
    served, reference = Served(scheme), Reference(load(company(scheme)))
    dids = [did for did in reference.document["numbers"] if did != "default"]
    chances, calls = Chances(hangs_up=0.0, answers=0.5), count()

    def answered(number: int) -> tuple[Ask, Told]:
        """The same call by somebody else, whom neither engine knows."""
        each = next(calls)
        asked = Ask(number, f"c-{each}", dids[number % len(dids)], f"+7901{each:07}", NOON_MS)
        return asked, served.whole(asked, chances)

    for number in range(20):
        for place in range(len(answered(number)[1].actions)):
            for which in range(2):
                asked, told = answered(number)
                if place >= len(told.actions):
                    break  # who is idle longest is another one by now, and so was the course of the call
                wrong = mistakes(told.actions[place])
                answers = [*told.actions[:place], wrong[which % len(wrong)], *told.actions[place + 1 :]]
                said = reference.expect(asked).verdict(Told(answers, told.events, told.traces))
                assert said is not None, (place, answers[place])
                assert "expected" in said


def mistakes(action: Mapping[str, Any]) -> Sequence[dict[str, Any]]:
    """Actions that are wrong in place of this one."""
    stranger = [{"employee": "mallory", "endpoint": "PJSIP/666"}]
    match action["type"]:
        case "ring":
            return ({**action, "endpoints": stranger}, {"type": "play", "prompt": "nothing"})
        case "play":
            return ({**action, "prompt": "other"}, {"type": "hang_up", "prompt": None, "cause": "normal"})
        case "menu":
            return ({**action, "digits": ["0"]},)
        case "end":
            return ({**action, "disposition": "mistaken"},)
        case _:
            return ({"type": "play", "prompt": "nothing"},)


def test_who_called_before_is_for_the_server_to_know() -> None:
    served, reference = Served("3-first-or-repeat"), Reference(load(company("3-first-or-repeat")))
    served.engine.called(CALLER, NOON_MS - 60_000)
    told = served.whole(ask(1), Chances(hangs_up=0.0))
    assert {step["node"]: step["exit"] for trace in told.traces for step in trace}["who"] == "repeat"
    assert reference.expect(ask(1)).verdict(told) is None
    assert reference.expect(ask(1)).verdict(Told(told.actions, told.events)) is None, "traces are not needed for it"


def test_whose_client_it_is_is_for_the_server_to_know() -> None:
    served, reference = Served("7-owner-first"), Reference(load(company("7-owner-first")))
    for employee in served.document["employees"]:
        served.engine.owner_is(CALLER, employee)
        told = served.whole(ask(1), Chances(hangs_up=0.0))
        assert {step["node"]: step["exit"] for trace in told.traces for step in trace}["crm"] == "found"
        assert reference.expect(ask(1)).verdict(Told(told.actions, told.events)) is None, employee
    # The other way round: what this engine knows from before, the server asks
    reference.engine.owner_is(CALLER, None)
    served.engine.forget_owner(CALLER)
    told = served.whole(ask(1), Chances(hangs_up=0.0))
    assert told.actions[0]["type"] == "find_owner"
    assert reference.expect(ask(1)).verdict(told) is None


def test_a_line_that_is_full_turns_callers_away(tmp_path: Path) -> None:
    written = Path(company("9-queue")).read_text()
    short = tmp_path / "company.yaml"
    full = "full:    {kind: voicemail, prompt: leave-message, seconds: 30, assign: operators, exits: {done: bye}}"
    written = written.replace("max_length: 10", "max_length: 2").replace(
        "nobody: mailbox}", "nobody: mailbox, full: full}"
    )
    short.write_text(written.replace("      bye: ", f"      {full}\n      bye: "))
    served, reference = Served("9-queue"), Reference(load(str(short)))
    served.engine = Engine.load(str(short))
    asks = [Ask(number, f"c-{number}", DID, f"+7916123{number:04}", NOON_MS) for number in range(8)]
    told = [served.whole(each, Chances(), stop_at=0) for each in asks]
    assert told[0].actions[0]["type"] == "ring"
    assert told[-1].actions[0]["seconds"] == 30
    assert [reference.expect(each).verdict(answer) for each, answer in zip(asks, told, strict=True)] == [None] * 8


def test_the_answers_to_events_can_be_asked_for() -> None:
    reference = Reference(load(company("2-list-and-menu")))
    events = [{"type": "played"}, {"type": "digits", "digits": "1"}, {"type": "hung_up"}]
    expected = reference.expect(ask(1))
    assert expected.action == {"type": "play", "prompt": "greeting"}
    assert [each["type"] for each in expected.after(events)] == ["menu", "ring"], (
        "a ringing phone answers no such event"
    )
    assert reference.engine.claims(NOON_MS) == []

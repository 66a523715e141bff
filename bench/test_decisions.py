"""The measured calls through Python, and the decisions of schemes 2 and 4 beside zen-engine.

Every benchmark first shows that its answer is right; none fails for being slow. The calls are those of the Rust
benchmarks. A call always has the same id, so an arrival also releases whom the unfinished call before it had claimed.
"""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.zen_tables import table
from kommutator import Engine
from kommutator._engine import Decision, Event, Turn

ROOT: Final = Path(__file__).parents[1]
CALLS: Final[dict[str, dict[str, Any]]] = orjson.loads((ROOT / "bench/calls.json").read_bytes())
PLAYED: Final = Event({"type": "played"})
BATCH: Final = 1000
COLUMN: Final = 100_000
"""How many calls a column of pure decisions has."""

DIALLED: Final = {
    "8 (916) 123-00-50": "+79161230050",
    "84951234567": "+74951234567",
    "+7 916 123-00-51": "+79161230051",
    "8 812 333-44-55": "+78123334455",
    "89161230099": "+79161230099",
    "84991230000": "+74991230000",
    "+7 (499) 710-12-34": "+74997101234",
    "83432012345": "+73432012345",
    "88142765432": "+78142765432",
    "83832223344": "+73832223344",
    "8 10 49 30 1234567": "+49301234567",
    "+14155552671": "+14155552671",
}
"""Callers as a trunk may give them, and in E.164."""

DAYS: Final = [("2026-05-01", 12), ("2026-11-01", 15), ("2026-12-25", 7)]
"""Stretches of days, with holidays in them, on which both must decide alike in every quarter of an hour."""


@dataclass(frozen=True, slots=True)
class MeasuredCall:
    """A call of `bench/calls.json` on an engine that is ready for it."""

    engine: Engine
    did: str
    caller: str
    at_ms: int
    events: list[tuple[int, Event]]
    answer: list[str]

    def arrive(self) -> Turn:
        """The arrival."""
        return self.engine.arrive("bench", self.did, self.caller, self.at_ms)

    def walk(self) -> Turn:
        """The whole call; its last turn."""
        turn = self.arrive()
        now_ms = self.at_ms
        for after_ms, event in self.events:
            now_ms += after_ms
            turn = self.engine.handle(turn.state, event, now_ms)
        return turn

    def told(self) -> list[str]:
        """What the call says, turn by turn."""
        turn = self.arrive()
        told = [words(turn)]
        now_ms = self.at_ms
        for after_ms, event in self.events:
            now_ms += after_ms
            turn = self.engine.handle(turn.state, event, now_ms)
            told.append(words(turn))
        return told


def engine_of(scheme: str) -> Engine:
    return Engine((ROOT / "tests/scenarios" / scheme / "company.json").read_bytes())


def measured(scheme: str) -> MeasuredCall:
    """The call of a scheme, proven: it says what it must, twice."""
    data = CALLS[scheme]
    engine = engine_of(scheme)
    if "called" in data:
        engine.called(data["caller"], milliseconds(datetime.fromisoformat(data["called"])))
    if "owner" in data:
        engine.owner_is(data["caller"], data["owner"])
    events = [(after_s * 1000, Event(event)) for after_s, event in data["events"]]
    at_ms = milliseconds(datetime.fromisoformat(data["at"]))
    call = MeasuredCall(engine, data["did"], data["caller"], at_ms, events, data["answer"])
    assert call.told() == call.told() == call.answer
    return call


def words(turn: Turn) -> str:
    """A turn's action in short: its type, and what it is about."""
    action = turn.action
    match action.type:
        case "ring":
            assert action.endpoints is not None
            about = " ".join(str(endpoint["endpoint"]) for endpoint in action.endpoints)
        case "talk":
            about = str(action.endpoint)
        case "end":
            about = str(action.disposition)
        case _:
            about = str(action.prompt)
    return f"{action.type} {about}"


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


@pytest.mark.parametrize("scheme", CALLS)
def test_arrival(benchmark: BenchmarkFixture, scheme: str) -> None:
    call = measured(scheme)
    assert words(benchmark(call.arrive)) == call.answer[0]


@pytest.mark.parametrize("scheme", CALLS)
def test_first_action(benchmark: BenchmarkFixture, scheme: str) -> None:
    """The arrival, and what is to be done: the least that a router reads of a turn."""
    call = measured(scheme)

    def first_action() -> str:
        return call.arrive().action.type

    assert benchmark(first_action) == call.answer[0].split()[0]


@pytest.mark.parametrize("scheme", CALLS)
def test_answered_call(benchmark: BenchmarkFixture, scheme: str) -> None:
    call = measured(scheme)
    assert words(benchmark(call.walk)) == call.answer[-1]


@pytest.mark.parametrize("form", ["typed", "mapping", "mapping, text state, JSON form"])
def test_step(benchmark: BenchmarkFixture, form: str) -> None:
    """One `handle`, from the greeting through the hours to the ringing managers, in the forms that routers use."""
    call = measured("1-office-hours")
    greeting = call.arrive()
    mapping = {"type": "played"}

    def typed() -> Any:
        return call.engine.handle(greeting.state, PLAYED, call.at_ms).action.endpoints

    def mapped() -> Any:
        return call.engine.handle(greeting.state, mapping, call.at_ms).action.endpoints

    def whole() -> Any:
        return call.engine.handle(text, mapping, call.at_ms).to_dict()["action"]["endpoints"]

    text = greeting.state_text
    endpoints = benchmark({"typed": typed, "mapping": mapped}.get(form, whole))
    assert [rung["endpoint"] for rung in endpoints] == ["PJSIP/101", "PJSIP/102"]


def test_arrive_many(benchmark: BenchmarkFixture) -> None:
    """A batch of arrivals in one crossing of the boundary."""
    engine = engine_of("2-list-and-menu")
    at_ms = milliseconds(datetime.fromisoformat("2026-11-18T12:00:00+03:00"))
    arrivals = [(f"call-{number}", "+74951112233", "89161230099", at_ms) for number in range(BATCH)]
    turns = benchmark(engine.arrive_many, arrivals)
    assert [words(turn) for turn in turns] == ["play greeting"] * BATCH


def test_handle_many(benchmark: BenchmarkFixture) -> None:
    """A batch of steps in one crossing: the greeting of each call has been played, and the menu is next."""
    engine = engine_of("2-list-and-menu")
    at_ms = milliseconds(datetime.fromisoformat("2026-11-18T12:00:00+03:00"))
    greetings = engine.arrive_many(
        [(f"call-{number}", "+74951112233", "89161230099", at_ms) for number in range(BATCH)]
    )
    events = [(turn.state, PLAYED, at_ms) for turn in greetings]
    turns = benchmark(engine.handle_many, events)
    assert [words(turn) for turn in turns] == ["menu menu"] * BATCH


class ListAndMenu:
    """Scheme 2's decision: where a call goes at that hour, by its caller."""

    def __init__(self) -> None:
        self.engine = engine_of("2-list-and-menu")

    did: Final = "+74951112233"

    def decided(self, decision: Decision) -> str:
        return {"ring": "delivery", "menu": "menu"}.get(decision.action["type"], "closed")

    def destination(self, caller: str, at_ms: int) -> str:
        turn = self.engine.arrive("bench", self.did, caller, at_ms)
        if turn.action.type == "ring":
            return "delivery"
        turn = self.engine.handle(turn.state, PLAYED, at_ms)
        return "menu" if turn.action.type == "menu" else "closed"


class Regions:
    """Scheme 4's decision: whose phones ring for a caller from there, at that hour."""

    TEAMS: Final = {"PJSIP/101": "moscow", "PJSIP/103": "urals", "PJSIP/104": "north-west", "PJSIP/105": "germany"}

    def __init__(self) -> None:
        self.engine = engine_of("4-regions")

    did: Final = "+78005553535"

    def decided(self, decision: Decision) -> str:
        endpoints = decision.action.get("endpoints")
        return self.TEAMS[endpoints[0]["endpoint"]] if endpoints else "mailbox"

    def destination(self, caller: str, at_ms: int) -> str:
        turn = self.engine.arrive("bench", self.did, caller, at_ms)
        turn = self.engine.handle(turn.state, PLAYED, at_ms)
        endpoints = turn.action.endpoints
        return self.TEAMS[endpoints[0]["endpoint"] or ""] if endpoints else "mailbox"


DECISIONS: Final[dict[str, type[ListAndMenu] | type[Regions]]] = {"2-list-and-menu": ListAndMenu, "4-regions": Regions}
ASKED: Final = {"2-list-and-menu": ("89161230099", "menu"), "4-regions": ("8 10 49 30 1234567", "germany")}


@pytest.fixture(scope="module", params=DECISIONS)
def agreed(request: pytest.FixtureRequest) -> str:
    """A scheme on which both have decided alike, for every caller in every quarter of an hour of `DAYS`."""
    scheme: str = request.param
    # Whom a call rings, it holds: pure decisions are asked where there are no calls.
    ours, without_calls, theirs = DECISIONS[scheme](), DECISIONS[scheme](), table(scheme)
    destinations = set()
    for start, days in DAYS:
        midnight = datetime.fromisoformat(f"{start}T00:00:00+03:00")
        for quarter in range(days * 96):
            at = midnight + timedelta(minutes=15 * quarter)
            for dialled, caller in DIALLED.items():
                answer = ours.destination(dialled, milliseconds(at))
                assert answer == theirs.destination(theirs.question(caller, at)), (dialled, at)
                decision = without_calls.engine.decide(ours.did, dialled, milliseconds(at))
                assert answer == without_calls.decided(decision), (dialled, at)
                destinations.add(answer)
    # The table of inputs reaches every destination that the scheme has.
    assert len(destinations) == {"2-list-and-menu": 3, "4-regions": 5}[scheme]
    return scheme


@pytest.mark.parametrize("by", ["kommutator", "zen-engine"])
def test_decision(benchmark: BenchmarkFixture, agreed: str, by: str) -> None:
    at = datetime.fromisoformat("2026-11-18T12:00:00+03:00")
    dialled, expected = ASKED[agreed]
    if by == "kommutator":
        ours = DECISIONS[agreed]()
        answer = benchmark(ours.destination, dialled, milliseconds(at))
    else:
        theirs = table(agreed)
        answer = benchmark(theirs.destination, theirs.question(DIALLED[dialled], at))
    assert answer == expected


@pytest.mark.parametrize("by", ["kommutator", "kommutator, of buffers", "zen-engine"])
def test_pure_decision(benchmark: BenchmarkFixture, agreed: str, by: str) -> None:
    """Where calls go, and nothing else: no state, no claim, no reason. Callers and moments come in no order. Ours by columns: a
    list of texts as dialled and one of integers; or, as whoever has millions has them, and as the peer gets its callers, in
    E.164, as buffers. The peer one by one, which is faster than its own batch."""
    chance = random.Random(1)
    midnight = datetime.fromisoformat("2026-11-01T00:00:00+03:00")
    calls = BATCH if by == "zen-engine" else COLUMN
    dialled = chance.choices(list(DIALLED), k=calls)
    moments = [midnight + timedelta(minutes=15 * chance.randrange(15 * 96)) for _ in range(calls)]
    ours, theirs = DECISIONS[agreed](), table(agreed)
    questions = [theirs.question(DIALLED[caller], at) for caller, at in zip(dialled[:BATCH], moments, strict=False)]
    expected = [theirs.destination(question) for question in questions]
    if by != "zen-engine":
        moments_ms = [milliseconds(at) for at in moments]
        columns: tuple[list[str] | array[int], list[int] | array[int]] = (dialled, moments_ms)
        if by == "kommutator, of buffers":
            columns = (array("q", [int(DIALLED[caller][1:]) for caller in dialled]), array("q", moments_ms))
        decisions, places = benchmark(ours.engine.decide_many, ours.did, *columns)
        answer = [ours.decided(decisions[place]) for place in places[:BATCH]]
        told = [ours.decided(decision) for decision in decisions]
        for caller, at_ms, place in zip(dialled, moments_ms, places, strict=True):
            alone = ours.engine.decide(ours.did, caller, at_ms)
            assert ours.decided(alone) == told[place], (caller, at_ms)
    else:
        answer = benchmark(lambda: [theirs.destination(question) for question in questions])
    benchmark.extra_info["calls"] = calls
    assert answer == expected


@pytest.mark.parametrize("scheme", CALLS)
def test_decide(benchmark: BenchmarkFixture, scheme: str) -> None:
    """One pure decision, one crossing of the boundary."""
    call = measured(scheme)
    decision = benchmark(call.engine.decide, call.did, call.caller, call.at_ms)
    assert decision.action["type"] == next(told for told in call.answer if not told.startswith("play ")).split()[0]

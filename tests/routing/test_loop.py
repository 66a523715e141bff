"""The routing loop with the real engine, and calls that answer as a test tells them to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
import pytest
import trio
import trio.testing

from kommutator import Engine
from kommutator.errors import CallGone, EngineFault, PbxTimeout
from kommutator.routing.conversation import Arrangement, Standing
from kommutator.routing.ledger import MemoryJournal
from kommutator.routing.loop import Router
from kommutator.routing.ports import Call, FloorSink
from kommutator.routing.turn import End, Event, Talk, Turn

NOW_MS = 1_795_000_000_000
PLAYED: Event = {"type": "played"}
HUNG_UP: Event = {"type": "caller_hung_up"}
QUEUE = "+74951112235"
Answer = Event | Exception | Callable[[], Awaitable[Event]]


def document() -> bytes:
    def node(kind: str, **more: Any) -> dict[str, Any]:
        return {"kind": kind, **more}

    hello = node("play", prompt="greeting", exits={"done": "team"})
    team = node("ring", ring=[{"employee": "anna"}], strategy="all", seconds=20, exits={"no_answer": "call-back"})
    call_back = node("task", assign="anna", title="{caller}", exits={"done": "bye"})
    owner = node("owner", timeout_ms=800, exits={"found": "his", "unknown": "hello", "unavailable": "hello"})
    his = node("ring", ring=[{"owner": True}], strategy="all", seconds=20, exits={"no_answer": "hello"})
    nodes = {"hello": hello, "team": team, "call-back": call_back, "bye": node("hangup")}
    line = node("queue", ring=[{"employee": "anna"}], seconds=20, max_wait=300, exits={"timeout": "call-back"})
    return orjson.dumps(
        {
            "company": {"name": "Ромашка", "timezone": "Europe/Moscow", "country": "RU", "language": "ru"},
            "employees": {"anna": {"name": "Анна", "endpoint": "PJSIP/101", "department": "sales"}},
            "departments": {"sales": {"name": "Продажи"}},
            "prompts": {"greeting": {"seconds": 4}},
            "numbers": {
                "+74951112233": {"scheme": "main"},
                "+74951112234": {"scheme": "owner"},
                QUEUE: {"scheme": "queue"},
            },
            "schemes": {
                "main": {"start": "hello", "responsible": "sales", "nodes": nodes},
                "queue": {
                    "start": "line",
                    "responsible": "sales",
                    "nodes": {"line": line, "call-back": call_back, "bye": node("hangup")},
                },
                "owner": {
                    "start": "owner",
                    "responsible": "sales",
                    "nodes": {"owner": owner, "his": his, **nodes},
                },
            },
        }
    )


class Clock:
    """Trio's time, from a fixed day on."""

    def now_ms(self) -> int:
        return NOW_MS + round(trio.current_time() * 1000)


class Lookups:
    """Answers as told, after so long."""

    def __init__(self, answer: Event, after_s: float = 0) -> None:
        self._answer = answer
        self._after_s = after_s

    async def owner(self, _caller: str, /) -> Event:
        await trio.sleep(self._after_s)
        return self._answer

    async def history(self, _caller: str, _days: int | None, /) -> Event:
        await trio.sleep(self._after_s)
        return self._answer


class ScriptedCall:
    """A call whose actions are answered by `answers`, in order; the last waits for ever."""

    takes_orders = True

    def __init__(
        self,
        call_id: str,
        answers: Sequence[Answer],
        *,
        did: str = "+74951112233",
        saved_state: str | None = None,
        gone: bool = False,
    ) -> None:
        self.call_id = call_id
        self.did = did
        self.caller: str | None = "89161230099"
        self.saved_state = saved_state
        self.performed: list[Turn] = []
        self.closed = 0
        self._answers = list(answers)
        self._gone = gone

    async def save(self, turn: Turn) -> None:
        if self._gone:
            raise CallGone("gone")
        self.saved_state = turn.state

    async def perform(self, turn: Turn) -> Event:
        if turn.kind in ("find_owner", "find_history"):
            await trio.sleep_forever()
        self.performed.append(turn)
        if not self._answers:
            await trio.sleep_forever()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Mapping) else await answer()

    def pick_up(self, endpoint: str) -> None:
        raise AssertionError(endpoint)

    async def arrangement(self) -> Arrangement | None:
        return None

    async def keep(self, arrangement: Arrangement) -> None:
        raise AssertionError(arrangement)

    async def converse(self, arrangement: Arrangement, seen: Standing, seconds: float | None) -> Standing:
        answer = await self.perform(
            Turn(self.saved_state or "", arrangement.sequence, Talk(arrangement.operator.endpoint))
        )
        if answer == HUNG_UP:
            raise CallGone("gone")
        assert answer == {"type": "conversation_ended"}
        return Standing("gone")

    async def stop_ringing(self, keep: Sequence[str]) -> None:
        raise AssertionError(keep)

    def interrupt(self) -> None:
        raise AssertionError

    async def close(self, turn: Turn | None) -> None:
        assert turn is None or isinstance(turn.action, End)
        self.closed += 1

    @property
    def actions(self) -> list[str]:
        return [turn.kind for turn in self.performed]


class ScriptedPbx:
    """Sends calls, and knows how lost ones ended."""

    def __init__(self, calls: Sequence[ScriptedCall], found: Sequence[str] = (), epitaph: Event = HUNG_UP) -> None:
        self._calls = calls
        self._found = frozenset(found)
        self._epitaph = epitaph

    async def run(self, on_call: Callable[[Call], Awaitable[None]], _floor: FloorSink) -> None:
        async with trio.open_nursery() as nursery:
            for call in self._calls:
                nursery.start_soon(on_call, call)
                await trio.testing.wait_all_tasks_blocked()

    async def found_calls(self) -> frozenset[str]:
        return self._found

    async def epitaph(self, _call_id: str, _turn: Turn) -> Event:
        return self._epitaph

    async def call_back(self, _call_id: str, _endpoint: str, _number: str, _tell: Callable[[str], None]) -> str | None:
        raise AssertionError

    async def call_back_over(self, _call_id: str) -> bool:
        raise AssertionError

    async def hang_up_call_back(self, _call_id: str) -> None:
        raise AssertionError


def route(
    calls: Sequence[ScriptedCall],
    *,
    engine: Any = None,
    journal: MemoryJournal | None = None,
    lookups: Lookups | None = None,
    pbx: ScriptedPbx | None = None,
    meanwhile: Callable[[Router], Awaitable[None]] | None = None,
    seconds: float = 60,
) -> list[dict[str, Any]]:
    """Run a router for so long of virtual time; the ledger's lines."""
    journal = journal or MemoryJournal()
    router = Router(
        engine or Engine(document()),
        pbx or ScriptedPbx(calls),
        journal,
        lookups or Lookups({"type": "failed"}),
        Clock(),
    )

    async def main() -> None:
        with trio.move_on_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(router.run)
                if meanwhile is not None:
                    nursery.start_soon(meanwhile, router)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return journal.lines


def ends(lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    return [(line["call_id"], line["disposition"], line["fault"]) for line in lines]


ANSWERED: Event = {"type": "answered", "endpoint": "PJSIP/101"}


def test_a_call_goes_its_way_and_leaves_one_line() -> None:
    call = ScriptedCall("c", [PLAYED, ANSWERED, {"type": "conversation_ended"}])
    lines = route([call])
    assert ends(lines) == [("c", "answered", "none")]
    assert call.actions == ["play", "ring", "talk"]
    assert call.saved_state == call.performed[-1].state
    assert call.closed == 1
    assert [(step["node"], step["exit"]) for step in lines[0]["trace"]] == [("hello", "done")]


def test_an_unexpected_event_is_passed_over() -> None:
    call = ScriptedCall("c", [ANSWERED, {"type": "waited"}, PLAYED, ANSWERED, {"type": "conversation_ended"}])
    assert ends(route([call])) == [("c", "answered", "none")]
    assert call.actions == ["play", "play", "play", "ring", "talk"]
    assert {turn.sequence for turn in call.performed[:3]} == {0}


def test_an_adapter_that_answers_nonsense_for_ever_ends_the_call() -> None:
    call = ScriptedCall("c", [ANSWERED] * 100)
    assert ends(route([call])) == [("c", "failed", "ours")]
    assert len(call.actions) < 10


@pytest.mark.parametrize(
    ("failure", "fault"),
    [(ZeroDivisionError(), "ours"), (PbxTimeout("no answer"), "pbx"), (CallGone("gone"), "caller")],
)
def test_a_failure_ends_that_call_alone_and_leaves_its_effects(failure: Exception, fault: str) -> None:
    failing = ScriptedCall("failing", [PLAYED, failure])
    other = ScriptedCall("other", [PLAYED, ANSWERED, {"type": "conversation_ended"}])
    lines = {line["call_id"]: line for line in route([failing, other])}
    assert lines["failing"]["fault"] == fault
    assert lines["failing"]["disposition"] == ("abandoned" if fault == "caller" else "failed")
    assert "missed_call" in [effect["type"] for effect in lines["failing"]["effects"]]
    assert lines["other"]["disposition"] == "answered"
    assert failing.closed == other.closed == 1


def test_a_fault_of_the_engine_ends_that_call_alone() -> None:
    class Faulty:
        """An engine that fails on one call."""

        def __init__(self) -> None:
            self._engine = Engine(document())

        def arrive(self, call_id: str, did: str, caller: str | None, now_ms: int) -> Any:
            if call_id == "failing":
                raise EngineFault("a panic")
            return self._engine.arrive(call_id, did, caller, now_ms)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._engine, name)

    failing, other = ScriptedCall("failing", []), ScriptedCall("other", [PLAYED, HUNG_UP])
    lines = route([failing, other], engine=Faulty())
    assert ends(lines) == [("failing", "failed", "ours"), ("other", "abandoned", "caller")]
    assert failing.closed == 1


def test_a_caller_who_is_gone_before_the_first_action_is_abandoned() -> None:
    call = ScriptedCall("c", [], gone=True)
    assert ends(route([call])) == [("c", "abandoned", "caller")]
    assert call.actions == []


@pytest.mark.parametrize(
    ("answer", "after_s", "first"),
    [
        ({"type": "owner", "employee": "anna"}, 0, "ring"),
        ({"type": "no_owner"}, 0, "play"),
        ({"type": "failed"}, 0, "play"),
        ({"type": "owner", "employee": "anna"}, 0.79, "ring"),
        ({"type": "owner", "employee": "anna"}, 0.81, "play"),
        ({"type": "owner", "employee": "anna"}, float("inf"), "play"),
    ],
)
def test_a_lookup_has_a_deadline(answer: Event, after_s: float, first: str) -> None:
    call = ScriptedCall("c", [], did="+74951112234")
    route([call], lookups=Lookups(answer, after_s))
    assert call.actions == [first]


@pytest.mark.parametrize("answered", [False, True])
def test_who_comes_free_is_offered_to_the_one_who_waits_longest(answered: bool) -> None:
    async def rings() -> Event:
        await trio.sleep(5)
        return ANSWERED if answered else HUNG_UP

    first = ScriptedCall("first", [PLAYED, rings])
    waiting = [ScriptedCall(f"waiting {number}", [PLAYED]) for number in range(3)]
    lines = route([first, *waiting], seconds=7)
    assert ends(lines) == ([] if answered else [("first", "abandoned", "caller")])
    if answered:  # who talks is not waited for
        assert [call.actions for call in waiting] == [["play", "wait", "hang_up"]] * 3
        return
    assert [call.actions for call in waiting] == [["play", "wait", "ring"], ["play", "wait"], ["play", "wait"]]
    (offered, *others) = [call.performed[-1] for call in waiting]
    assert [each.endpoint for each in offered.action.endpoints] == ["PJSIP/101"]  # type: ignore[union-attr]
    assert [turn.sequence for turn in others] == [1, 1]


def test_the_floor_frees_somebody_too() -> None:
    call = ScriptedCall("c", [PLAYED])
    engine = Engine(document())

    async def meanwhile(router: Router) -> None:
        router.line("nobody", "idle")
        router.line("anna", "idle")
        await trio.testing.wait_all_tasks_blocked()
        assert call.actions == ["play", "ring"]

    engine.line("anna", "wrap_up")
    route([call], engine=engine, meanwhile=meanwhile, seconds=1)
    assert call.actions[-1] == "ring"


class AskedEngine(Engine):
    """Counts how often calls are asked whether they want whoever is free."""

    asked = 0

    def handle(self, state: Any, event: Any, now_ms: int) -> Any:
        self.asked += event == {"type": "employee_free"}
        return super().handle(state, event, now_ms)


class QueuedCall(ScriptedCall):
    """It waits in line as long as nobody moves it on."""

    async def perform(self, turn: Turn) -> Event:
        if turn.kind != "wait":
            return await super().perform(turn)
        self.performed.append(turn)
        await trio.sleep_forever()
        raise AssertionError


async def all_have_begun(calls: Sequence[ScriptedCall]) -> None:
    """Calls come one after another, each when the one before has come to rest."""
    while not all(call.actions for call in calls):
        await trio.sleep(0.0001)


def test_of_a_hundred_in_line_the_head_alone_is_asked() -> None:
    served: list[str] = []

    def call(number: int) -> QueuedCall:
        async def rings() -> Event:
            served.append(f"call {number}")
            return ANSWERED

        async def talks() -> Event:
            await trio.sleep(5)
            return {"type": "conversation_ended"}

        return QueuedCall(f"call {number}", [rings, talks], did=QUEUE)

    engine = AskedEngine(document())
    calls = [call(number) for number in range(100)]

    async def meanwhile(router: Router) -> None:
        await all_have_begun(calls)
        (line,) = engine.queues(NOW_MS)
        assert [caller["call"] for caller in line["callers"]] == [call.call_id for call in calls[1:]]
        asked = engine.asked
        router.line("anna", "idle")
        await trio.testing.wait_all_tasks_blocked()
        assert engine.asked == asked + 1

    route(calls, engine=engine, meanwhile=meanwhile, seconds=28)
    assert served == [f"call {number}" for number in range(6)], "one after the other, as they came"


def test_when_the_last_has_left_all_in_line_learn_it() -> None:
    calls = [QueuedCall(f"call {number}", [], did=QUEUE) for number in range(4)]
    engine = Engine(document())
    engine.line("anna", "busy")

    async def meanwhile(router: Router) -> None:
        await all_have_begun(calls)
        assert [call.actions for call in calls] == [["wait"]] * 4
        router.presence("anna", "away")
        await trio.testing.wait_all_tasks_blocked()
        assert [call.actions for call in calls] == [["wait", "hang_up"]] * 4

    route(calls, engine=engine, meanwhile=meanwhile, seconds=0.5)


def test_whom_another_router_lets_go_is_offered_at_once() -> None:
    call, engine = ScriptedCall("c", [PLAYED]), Engine(document())
    assert engine.reserve("anna", "call of another router", NOW_MS)

    async def meanwhile(router: Router) -> None:
        await trio.testing.wait_all_tasks_blocked()
        assert call.actions == ["play", "wait"]
        engine.release("anna", "call of another router")
        router.look_for_free()
        await trio.testing.wait_all_tasks_blocked()
        assert call.actions == ["play", "wait", "ring"]

    route([call], engine=engine, meanwhile=meanwhile, seconds=0.5)
    assert call.actions[-1] == "ring"


def test_who_is_promised_to_a_call_that_vanished_is_offered_when_the_promise_lapses() -> None:
    call, engine = ScriptedCall("c", [PLAYED]), Engine(document())
    assert engine.reserve("anna", "call of a router that died", NOW_MS - 50_000)
    route([call], engine=engine, seconds=9)
    assert call.actions == ["play", "wait"]
    call, engine = ScriptedCall("c", [PLAYED]), Engine(document())
    assert engine.reserve("anna", "call of a router that died", NOW_MS - 50_000)
    route([call], engine=engine, seconds=12)
    assert call.actions == ["play", "wait", "ring"]


def test_a_call_found_alive_goes_on_where_it_was() -> None:
    engine = Engine(document())
    before = ScriptedCall("c", [PLAYED])
    journal = MemoryJournal()
    route([before], engine=engine, journal=journal, seconds=5)
    assert before.actions == ["play", "ring"]
    assert journal.lines == []
    after = ScriptedCall("c", [ANSWERED, {"type": "conversation_ended"}], saved_state=before.saved_state)
    lines = route([after], journal=journal, pbx=ScriptedPbx([after], found=["c"]))
    assert after.actions == ["ring", "talk"]
    assert after.performed[0].sequence == before.performed[-1].sequence
    assert ends(lines) == [("c", "answered", "none")]
    assert [(step["node"], step["exit"]) for step in lines[0]["trace"]] == [("hello", "done")]


def test_the_journal_is_newer_than_a_state_that_was_not_saved() -> None:
    before, journal = ScriptedCall("c", [PLAYED]), MemoryJournal()
    route([before], journal=journal, seconds=5)
    after = ScriptedCall("c", [], saved_state=before.performed[0].state)
    route([after], journal=journal, pbx=ScriptedPbx([after], found=["c"]), seconds=5)
    assert after.actions == ["ring"]


def test_a_damaged_state_begins_the_call_anew() -> None:
    call = ScriptedCall("c", [HUNG_UP], saved_state="damaged")
    assert ends(route([call], pbx=ScriptedPbx([call], found=["c"]))) == [("c", "abandoned", "caller")]
    assert call.actions == ["play"]


def test_a_lost_call_is_closed_once() -> None:
    before, journal = ScriptedCall("c", [PLAYED]), MemoryJournal()
    route([before], journal=journal, seconds=5)
    lines = route([], journal=journal, pbx=ScriptedPbx([]))
    assert ends(lines) == [("c", "abandoned", "caller")]
    assert "missed_call" in [effect["type"] for effect in lines[0]["effects"]]
    assert len(route([], journal=journal, pbx=ScriptedPbx([]))) == 1


def test_a_call_that_had_ended_when_the_router_died_is_only_closed() -> None:
    before, journal = ScriptedCall("c", [PLAYED, HUNG_UP]), MemoryJournal()

    class Dies(MemoryJournal):
        """Stops before the last line."""

        def ended(self, call_id: str, at_ms: int, disposition: str, fault: str) -> None:
            pass

    dying = Dies()
    route([before], journal=dying)
    assert dying.lines == []
    journal = MemoryJournal()
    journal.began("c", "+74951112233", None, NOW_MS)
    for event, turn in dying.turns["c"]:
        journal.turned("c", NOW_MS, event, turn)
    after = ScriptedCall("c", [], saved_state=before.saved_state)
    lines = route([after], journal=journal, pbx=ScriptedPbx([after], found=["c"]))
    assert ends(lines) == [("c", "abandoned", "caller")]
    assert (after.actions, after.closed) == ([], 1)

"""The line of a queue against a plain Python list: whatever happens in whatever order, and whichever router hears of it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kommutator import Engine
from kommutator.company import load

from .line import ATTEMPT_MS, MAX_LENGTH, MAX_WAIT_MS, PAUSE_MS, Agent, Caller, Line, Told

DID = "+74951112233"
NOON_MS = 1_795_165_200_000
"""2026-11-20, 12:00 in Moscow."""
PEOPLE = {"anna": "PJSIP/101", "boris": "PJSIP/102"}
COMPANY = f"""
company: {{name: NAME, timezone: Europe/Moscow, country: RU, language: ru}}
employees:
  anna:  {{name: Anna, department: desk, endpoint: PJSIP/101}}
  boris: {{name: Boris, department: desk, endpoint: PJSIP/102}}
departments: {{desk: {{name: Desk}}}}
numbers: {{"{DID}": {{scheme: main}}}}
schemes:
  main:
    start: line
    responsible: desk
    nodes:
      line: {{kind: queue, ring: [{{employee: anna}}, {{employee: boris}}], strategy: linear,
             seconds: {ATTEMPT_MS // 1000}, max_wait: {MAX_WAIT_MS // 1000}, max_length: {MAX_LENGTH},
             pause: {PAUSE_MS // 1000}, exits: {{timeout: note, full: note, nobody: note}}}}
      note: {{kind: task, assign: desk, title: "Call back {{caller}}", exits: {{done: bye}}}}
      bye:  {{kind: hangup}}
"""
PICK = st.integers(0, 1_000)


@cache
def versions() -> list[bytes]:
    """Two company versions that differ in a name."""
    documents = []
    for name in ("Old", "New"):
        with TemporaryDirectory() as folder:
            path = Path(folder) / "company.yaml"
            path.write_text(COMPANY.replace("NAME", name), encoding="utf-8")
            documents.append(load(path).engine_json)
    return documents


class AnyDay(RuleBasedStateMachine):
    """Each deed is done to the engine and to the model, and both must tell the same."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON_MS
        self.agents = {who: Agent(phone) for who, phone in PEOPLE.items()}
        self.line = Line(list(self.agents.values()))
        self.states: dict[str, bytes] = {}
        self.talks: dict[str, tuple[bytes, Agent]] = {}
        self.active = 0
        self.came = 0

    @initialize()
    def begins(self) -> None:
        """A router begins."""
        self.engine = self.router()

    def router(self) -> Engine:
        """A router that knows the versions, and who is at work."""
        engine = Engine(versions()[0])
        self.ids = [engine.version, engine.hold(versions()[1])]
        assert engine.activate(self.ids[self.active])
        for who, agent in self.agents.items():
            engine.presence(who, agent.presence)
            engine.line(who, "busy" if agent.busy else "idle")
        return engine

    # --- deeds

    @rule()
    def somebody_calls(self) -> None:
        """A call arrives."""
        self.came += 1
        call = f"call-{1000 - self.came}"  # the later a call, the smaller its id: it must not decide
        turn = self.engine.arrive(call, DID, "+79161230099", self.now)
        told = self.line.come(call, self.active, self.now)
        self.states[call] = turn.state
        self.agrees(call, turn, told)

    @precondition(lambda self: any(caller.rung is None for caller in self.line.callers))
    @rule(pick=PICK, free=st.booleans())
    def a_waiting_one_is_turned_to(self, pick: int, free: bool) -> None:
        """One of those who wait hears that somebody is free, whether that is so or not, or that the time is up."""
        waiting = [caller for caller in self.line.callers if caller.rung is None]
        caller = waiting[pick % len(waiting)]
        if not free:
            soonest = min((each.until for each in self.line.callers if each.rung is not None), default=caller.until)
            if caller.until > soonest:
                return  # a phone that rings is answered for first
            self.now = max(self.now, caller.until)
        turn = self.engine.handle(self.states[caller.call], {"type": "employee_free" if free else "waited"}, self.now)
        self.agrees(caller.call, turn, self.line.look(caller, self.now))

    @rule()
    def two_call_at_once(self) -> None:
        """Two calls arrive in one moment."""
        self.somebody_calls()
        self.somebody_calls()

    @rule()
    def heads_are_asked(self) -> None:
        """As a router does when somebody has come free."""
        for call in self.engine.queue_heads(self.now):
            caller = self.caller(call)
            turn = self.engine.handle(self.states[call], {"type": "employee_free"}, self.now)
            self.agrees(call, turn, self.line.look(caller, self.now))

    @precondition(lambda self: any(caller.rung is not None for caller in self.line.callers))
    @rule(pick=PICK, how=st.sampled_from(["answered", "answered", "no_answer", "declined"]))
    def a_phone_is_acted_on(self, pick: int, how: str) -> None:
        """A phone that rings is picked up, or not."""
        ringing = [caller for caller in self.line.callers if caller.rung is not None]
        caller = ringing[pick % len(ringing)]
        agent = caller.rung
        assert agent is not None
        if how == "no_answer":
            caller = min(ringing, key=lambda each: each.until)
            self.now = max(self.now, caller.until)
            turn = self.engine.handle(self.states[caller.call], {"type": "no_answer"}, self.now)
            self.agrees(caller.call, turn, self.line.refused(caller, self.now))
        elif how == "declined":
            event = {"type": "unavailable", "ended": [{"endpoint": agent.phone, "cause": "declined"}]}
            turn = self.engine.handle(self.states[caller.call], event, self.now)
            self.agrees(caller.call, turn, self.line.refused(caller, self.now))
        else:
            event = {"type": "answered", "endpoint": agent.phone}
            turn = self.engine.handle(self.states.pop(caller.call), event, self.now)
            assert (turn.action.type, turn.action.endpoint) == ("talk", agent.phone)
            self.line.gone(caller)
            self.talks[caller.call] = (turn.state, agent)

    @precondition(lambda self: self.talks)
    @rule(pick=PICK)
    def a_conversation_ends(self, pick: int) -> None:
        """Somebody has talked long enough."""
        call = sorted(self.talks)[pick % len(self.talks)]
        state, agent = self.talks.pop(call)
        assert self.engine.handle(state, {"type": "conversation_ended"}, self.now).action.type == "end"
        agent.held_by = None

    @precondition(lambda self: self.line.callers)
    @rule(pick=PICK)
    def a_caller_hangs_up(self, pick: int) -> None:
        """A caller has had enough."""
        caller = self.line.callers[pick % len(self.line.callers)]
        turn = self.engine.handle(self.states.pop(caller.call), {"type": "caller_hung_up"}, self.now)
        assert turn.action.disposition == "abandoned"
        self.line.leaves(caller)

    @rule(
        who=st.sampled_from(sorted(PEOPLE)),
        presence=st.sampled_from(["present", "present", "present", "away", "offline"]),
    )
    def somebody_goes_or_comes(self, who: str, presence: str) -> None:
        """An agent leaves, or returns."""
        self.agents[who].presence = presence
        self.engine.presence(who, presence)

    @rule(who=st.sampled_from(sorted(PEOPLE)), busy=st.booleans())
    def somebody_dials(self, who: str, busy: bool) -> None:
        """An agent is on the phone with somebody else, or no more."""
        self.agents[who].busy = busy
        self.engine.line(who, "busy" if busy else "idle")

    @rule(milliseconds=st.sampled_from([1, 400, 5_000, 10_000, 15_000, 40_000]))
    def time_passes(self, milliseconds: int) -> None:
        """No phone rings for longer than it should; callers who wait may be forgotten."""
        rung = [caller.until for caller in self.line.callers if caller.rung is not None]
        self.now = max(self.now, min([self.now + milliseconds, *rung]))

    @rule()
    def a_version_comes(self) -> None:
        """New calls begin on the other version."""
        self.active = 1 - self.active
        assert self.engine.activate(self.ids[self.active])

    @rule(order=st.randoms(use_true_random=False))
    def the_router_dies(self, order: Any) -> None:
        """Another one has the calls, and hears of them in any order; which phones rest it does not know."""
        self.engine = self.router()
        for agent in self.agents.values():
            agent.rests_until = 0
        for state, _ in self.talks.values():
            assert self.engine.resume(state, self.now).action.type == "talk"
        callers = list(self.line.callers)
        order.shuffle(callers)
        for caller in callers:
            turn = self.engine.resume(self.states[caller.call], self.now)
            assert turn.action.type == ("wait" if caller.rung is None else "ring")
            assert turn.action.seconds == max(0, caller.until - self.now) / 1000
            caller.until = max(caller.until, self.now)
            caller.in_line = True

    # --- what is the same

    @invariant()
    def lines_are_the_same(self) -> None:
        """The order, who rings, who is head."""
        self.line.forget(self.now)
        wanted = [
            {"call": caller.call, "since_ms": caller.since, "ringing": caller.rung is not None}
            for caller in self.line.standing()
        ]
        seen = self.engine.queues(self.now)
        assert seen == ([{"scheme": "main", "node": "line", "callers": wanted}] if wanted else [])
        assert self.engine.queue_heads(self.now) == self.line.heads()
        held = {(who, agent.held_by) for who, agent in self.agents.items() if agent.held_by is not None}
        assert {(who, call) for who, call, _ in self.engine.claims(self.now)} == held

    def agrees(self, call: str, turn: Any, told: Told) -> None:
        """Both have told the caller the same."""
        self.states[call] = turn.state
        action = turn.action
        if told.what in ("ring", "wait"):
            assert turn.trace == []
            endpoints = [each["endpoint"] for each in action.endpoints or ()]
            seen = Told(action.type, next(iter(endpoints), None), round(1000 * action.seconds), action.position)
            assert len(endpoints) <= 1
            assert seen == told
            return
        assert [step["exit"] for step in turn.trace] == [told.what, "done"]
        assert action.type == "hang_up"
        over = self.engine.handle(self.states.pop(call), {"type": "hung_up"}, self.now)
        assert over.action.disposition in ("no_answer", "busy", "unavailable")

    def caller(self, call: str) -> Caller:
        """The model's caller."""
        return next(caller for caller in self.line.callers if caller.call == call)

    def teardown(self) -> None:
        """When all have gone, nobody is held and no line is left."""
        for caller in self.line.callers:
            self.engine.handle(self.states[caller.call], {"type": "caller_hung_up"}, self.now)
        for state, _ in self.talks.values():
            self.engine.handle(state, {"type": "conversation_ended"}, self.now)
        assert self.engine.queues(self.now) == []
        assert self.engine.claims(self.now) == []


AnyDay.TestCase.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
TestAnyDay = AnyDay.TestCase

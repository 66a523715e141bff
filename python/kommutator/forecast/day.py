"""A day in virtual time: a heap of what happens next around the engine, which alone decides.

It is the routing loop with nothing around it: no PBX, no task a call, no spool. A phone rings until its moment of being
picked up, an agent who has talked wraps up, a caller loses patience; what rings when, who waits and who is next are the
engine's turns.
"""

from __future__ import annotations

import heapq
import math
from bisect import insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from kommutator._engine import Engine, Event, Turn
from kommutator.forecast.assumptions import Assumptions
from kommutator.forecast.callers import Caller

_DAY_S = 24 * 3600.0
_CARRIED_S = 20.0
"""A call that is given away is taken there after so long: whoever forecasts knows nothing of that place."""

_PLAYED, _NO_INPUT, _WAITED, _FREE = (
    Event({"type": each}) for each in ("played", "no_input", "waited", "employee_free")
)
_NO_ANSWER, _HUNG_UP, _LEFT = (Event({"type": each}) for each in ("no_answer", "hung_up", "caller_hung_up"))
_TALKED, _TRANSFERRED, _FAILED = (Event({"type": each}) for each in ("conversation_ended", "transferred", "failed"))
_NO_OWNER, _NEVER = Event({"type": "no_owner"}), Event({"type": "never_called"})


@dataclass(slots=True)
class Ended:
    """A call that is over. Seconds, from the day's beginning where a moment is meant."""

    came_s: float
    did: str
    disposition: str
    waited_s: float
    """Until somebody answered; else until the call was over or the caller began to speak a message."""
    queued_s: float
    """Of that, while phones rang or the call waited for somebody to come free."""
    talked_s: float
    employee: str | None
    """Who answered."""
    rounds: int
    over_s: float


@dataclass(slots=True)
class Worked:
    """What an employee has done, in seconds."""

    calls: int = 0
    talked_s: float = 0.0
    wrapped_s: float = 0.0
    there_s: float = 0.0


@dataclass(slots=True)
class Outcome:
    """A day as it was."""

    calls: list[Ended] = field(default_factory=list)
    employees: dict[str, Worked] = field(default_factory=dict)
    steps: int = 0
    """Decisions of the engine."""
    waiting: list[tuple[float, int]] = field(default_factory=list)
    """How many callers had nobody on the line, from each moment on."""


class _Call:
    __slots__ = (
        "caller",
        "employee",
        "id",
        "kind",
        "patient",
        "picks",
        "queued_s",
        "queueing_since",
        "rounds",
        "state",
        "talks_since",
        "token",
        "waited_s",
        "waits_since",
    )  # fmt: skip

    def __init__(self, id: str, caller: Caller) -> None:
        self.id = id
        self.caller = caller
        self.state = b""
        self.kind = ""
        self.token = 0
        self.patient = True
        self.picks: dict[str, tuple[float, str | None]] = {}
        """Of each phone that rings: when it will be picked up, and by whom."""
        self.rounds = 0
        self.queued_s = 0.0
        self.queueing_since = math.nan
        self.waits_since: tuple[float, str] | None = None
        self.waited_s: float | None = None
        self.talks_since = math.nan
        self.employee: str | None = None


class Day:
    """One day of a company. `start_ms` is its beginning, in milliseconds of UTC since the epoch."""

    def __init__(
        self, engine: Engine, document: Mapping[str, Any], assumptions: Assumptions, start_ms: int, seed: int
    ) -> None:
        self._engine = engine
        self._assumptions = assumptions
        self._start_ms = start_ms
        self._chance = Random(f"day {seed}")
        self._prompts = {prompt: float(card["seconds"]) for prompt, card in document["prompts"].items()}
        self._employees = list(document["employees"])
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._noted = 0
        self._now = 0.0
        self._queue: list[tuple[tuple[float, str], _Call]] = []
        """Calls that wait within a hunt, by how long they have."""
        self._in_line: dict[str, _Call] = {}
        """Calls that wait at queues."""
        self._freed = engine.freed
        self._unanswered = 0
        self.outcome = Outcome(employees={employee: Worked() for employee in self._employees})
        for employee in self._employees:
            self._attend(employee, members(document, assumptions.shifts, employee))
        self._do: dict[str, Callable[[_Call, Any], None]] = {
            "play": self._play, "menu": self._menu, "ring": self._ring, "wait": self._wait, "record": self._record,
            "find_owner": self._find_owner, "find_history": self._find_history, "call_webhook": self._fail,
            "transfer": self._transfer, "talk": self._talk, "hang_up": self._hang_up,
        }  # fmt: skip

    def run(self, callers: Iterable[Caller]) -> Outcome:
        """Play all to their ends. Raises what the engine raises."""
        coming = iter(callers)
        self._next(coming, 0)
        agenda = self._agenda
        while agenda:
            self._now, _, happens, what = heapq.heappop(agenda)
            happens(*what)
            if (self._queue or self._in_line) and self._engine.freed != self._freed:
                self._offer()
        return self.outcome

    def _at(self, when_s: float, happens: Callable[..., None], *what: Any) -> None:
        if when_s < math.inf:
            self._noted += 1
            heapq.heappush(self._agenda, (when_s, self._noted, happens, what))

    def _now_ms(self) -> int:
        return self._start_ms + round(1000 * self._now)

    # --- agents

    def _attend(self, employee: str, shifts: list[tuple[float, float]] | None) -> None:
        worked = self.outcome.employees[employee]
        if shifts is None:
            worked.there_s = _DAY_S
            return
        self._engine.presence(employee, "offline")
        for begins, ends in shifts:
            worked.there_s += ends - begins
            self._at(begins, self._engine.presence, employee, "present")
            self._at(ends, self._engine.presence, employee, "offline")

    def _idle(self, employee: str) -> None:
        self._engine.line(employee, "idle")

    # --- callers

    def _next(self, coming: Iterator[Caller], number: int) -> None:
        caller = next(coming, None)
        if caller is not None:
            self._at(caller.came_s, self._come, caller, coming, number)

    def _come(self, caller: Caller, coming: Iterator[Caller], number: int) -> None:
        self._next(coming, number + 1)
        call = _Call(f"call-{number}", caller)
        self._at(caller.came_s + caller.patience_s, self._lose_patience, call)
        self._count(1)
        self._step(call, self._engine.arrive(call.id, caller.did, caller.number, self._now_ms()))

    def _lose_patience(self, call: _Call) -> None:
        if call.patient:
            self._handle(call, _LEFT)

    def _count(self, change: int) -> None:
        self._unanswered += change
        self.outcome.waiting.append((self._now, self._unanswered))

    # --- turns

    def _later(self, call: _Call, seconds: float, event: Event) -> None:
        self._at(self._now + seconds, self._due, call, call.token, event)

    def _due(self, call: _Call, token: int, event: Event) -> None:
        if call.token == token:
            self._handle(call, event)

    def _handle(self, call: _Call, event: Event) -> None:
        self._step(call, self._engine.handle(call.state, event, self._now_ms()))

    def _step(self, call: _Call, turn: Turn) -> None:
        self.outcome.steps += 1
        action = turn.action
        kind: str = action.type
        call.state = turn.state
        call.token += 1
        if call.kind == "wait" and self._in_line.pop(call.id, None) is None:
            assert call.waits_since is not None
            self._queue.remove((call.waits_since, call))
        queues = kind in ("ring", "wait")
        if queues != (call.queueing_since == call.queueing_since):  # nan: it does not
            if queues:
                call.queueing_since = self._now
            else:
                call.queued_s += self._now - call.queueing_since
                call.queueing_since = math.nan
        if kind != "ring":
            call.picks = {}
        call.kind = kind
        if kind == "end":
            self._end(call, action)
        else:
            self._do[kind](call, action)

    def _play(self, call: _Call, action: Any) -> None:
        self._later(call, self._prompts[action.prompt], _PLAYED)

    def _menu(self, call: _Call, action: Any) -> None:
        said = self._prompts[action.prompt]
        if action.notice is not None:
            said += self._prompts[action.notice]
        thinks = self._assumptions.choice.draw(self._chance)
        if thinks > action.seconds or self._chance.random() < self._assumptions.silent:
            self._later(call, said + action.seconds, _NO_INPUT)
            return
        weights = [self._assumptions.menus.get(digits, 0.0) for digits in action.digits]
        digits = self._chance.choices(action.digits, weights if any(weights) else None)[0]
        self._later(call, said + thinks, Event({"type": "digits", "digits": digits}))

    def _ring(self, call: _Call, action: Any) -> None:
        rung: dict[str, tuple[float, str | None]] = {}
        soonest, phone = math.inf, ""
        for each in action.endpoints:
            endpoint = each["endpoint"]
            pick = call.picks.get(endpoint)
            if pick is None:
                late = self._chance.random() < self._assumptions.no_pick_up
                pick = (math.inf if late else self._now + self._assumptions.answer.draw(self._chance), each["employee"])
            rung[endpoint] = pick
            if pick[0] < soonest:
                soonest, phone = pick[0], endpoint
        call.picks = rung
        call.rounds += 1
        if soonest < self._now + action.seconds:
            self._at(soonest, self._answer, call, call.token, phone)
        else:
            self._later(call, action.seconds, _NO_ANSWER)

    def _answer(self, call: _Call, token: int, phone: str) -> None:
        if call.token != token:
            return
        call.employee = call.picks[phone][1]
        call.talks_since = self._now
        call.patient = False
        call.waited_s = self._now - call.caller.came_s
        self._count(-1)
        self._handle(call, Event({"type": "answered", "endpoint": phone}))

    def _talk(self, call: _Call, _: Any) -> None:
        if call.employee is not None:
            self._engine.line(call.employee, "busy")
        self._at(self._now + call.caller.talk_s, self._talked, call, call.token)

    def _talked(self, call: _Call, token: int) -> None:
        if call.token != token:
            return
        employee = call.employee
        if employee is not None:
            worked, wraps = self.outcome.employees[employee], self._assumptions.wrap_up.draw(self._chance)
            worked.calls += 1
            worked.talked_s += call.caller.talk_s
            worked.wrapped_s += wraps
            if wraps:
                self._engine.line(employee, "wrap_up")
                self._at(self._now + wraps, self._idle, employee)
            else:
                self._engine.line(employee, "idle")
        self._handle(call, _TALKED)

    def _wait(self, call: _Call, action: Any) -> None:
        self._later(call, action.seconds, _WAITED)
        if action.position is not None:
            self._in_line[call.id] = call
            return
        if call.waits_since is None:
            call.waits_since = (self._now, call.id)
        insort(self._queue, (call.waits_since, call), key=lambda waiter: waiter[0])

    def _offer(self) -> None:
        """Let the engine look for the calls that wait, the longest first, until all who came free are taken; of those in
        line at queues for the heads."""
        freed = self._engine.freed
        left = freed - self._freed
        self._freed = freed
        asked: set[str] = set()
        while heads := [head for head in self._heads() if head.id not in asked]:
            for call in heads:
                asked.add(call.id)
                self._step(call, self._engine.handle(call.state, _FREE, self._now_ms()))
        for _, call in list(self._queue):
            turn = self._engine.handle(call.state, _FREE, self._now_ms())
            if turn.action.type != "wait":
                self._step(call, turn)
                left -= 1
                if left <= 0:
                    break

    def _heads(self) -> list[_Call]:
        if not self._in_line:
            return []
        heads = self._engine.queue_heads(self._now_ms())
        return [self._in_line[call] for call in heads if call in self._in_line]

    def _record(self, call: _Call, action: Any) -> None:
        call.patient = False
        said = self._prompts[action.prompt] if action.prompt is not None else 0.0
        spoken = min(call.caller.message_s, action.seconds)
        if call.waited_s is None:
            call.waited_s = self._now - call.caller.came_s
            self._count(-1)
        event = Event({"type": "recorded", "seconds": spoken}) if spoken else _LEFT
        self._later(call, said + spoken, event)

    def _find_owner(self, call: _Call, action: Any) -> None:
        known = Random(f"owner {action.caller}")
        if known.random() < self._assumptions.owned:
            self._later(call, 0, Event({"type": "owner", "employee": known.choice(self._employees)}))
        else:
            self._later(call, 0, _NO_OWNER)

    def _find_history(self, call: _Call, _: Any) -> None:
        self._later(call, 0, _NEVER)

    def _fail(self, call: _Call, _: Any) -> None:
        self._later(call, 0, _FAILED)

    def _transfer(self, call: _Call, _: Any) -> None:
        call.patient = False
        self._later(call, _CARRIED_S, _TRANSFERRED)

    def _hang_up(self, call: _Call, action: Any) -> None:
        call.patient = False
        self._later(call, self._prompts[action.prompt] if action.prompt is not None else 0.0, _HUNG_UP)

    def _end(self, call: _Call, action: Any) -> None:
        call.patient = False
        caller = call.caller
        if call.waited_s is None:
            call.waited_s = self._now - caller.came_s
            self._count(-1)
        talked = caller.talk_s if call.talks_since == call.talks_since else 0.0
        if caller.number is not None:
            self._engine.called(caller.number, self._start_ms + round(1000 * caller.came_s))
        ended = Ended(
            came_s=caller.came_s,
            did=caller.did,
            disposition=action.disposition,
            waited_s=call.waited_s,
            queued_s=call.queued_s,
            talked_s=talked,
            employee=call.employee,
            rounds=call.rounds,
            over_s=self._now,
        )
        self.outcome.calls.append(ended)


def members(
    document: Mapping[str, Any], shifts: Mapping[str, list[tuple[float, float]]], employee: str
) -> list[tuple[float, float]] | None:
    """The shifts of an employee: his own, else his department's, else a group's; None where nobody says."""
    if employee in shifts:
        return shifts[employee]
    department = document["employees"][employee].get("department")
    if department in shifts:
        return shifts[department]
    for group, card in document["groups"].items():
        if group in shifts and {employee, department} & set(card["members"]):
            return shifts[group]
    return None

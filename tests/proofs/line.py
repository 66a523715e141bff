"""A line as a slow and obvious model: a plain Python list, sorted and walked at every question.

It is written from what the README says of `queue` and shares no code with the engine. Times are milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ATTEMPT_MS, MAX_WAIT_MS, PAUSE_MS, MAX_LENGTH = 10_000, 90_000, 4_000, 4
LONGEST_WAIT_MS = 60_000
"""No single `wait` is longer."""
GRACE_MS = 15_000
"""So long a caller keeps his place after his action's end without being heard of."""


@dataclass
class Agent:
    """Somebody whom the queue rings, in the order of the list."""

    phone: str
    presence: str = "present"
    busy: bool = False
    held_by: str | None = None
    """The call that rings or talks with him."""
    rests_until: int = 0

    def is_free_for(self, call: str, now: int) -> bool:
        """Whether his phone can be rung for the call."""
        held = self.held_by not in (None, call)
        return self.presence == "present" and not self.busy and not held and self.rests_until <= now


@dataclass
class Caller:
    """Somebody in line."""

    call: str
    since: int
    ticket: int
    version: int
    rung: Agent | None = None
    until: int = 0
    tried: set[str] = field(default_factory=set)
    in_line: bool = True
    """He has been heard of lately."""

    @property
    def place(self) -> tuple[int, int, str]:
        """What the line is sorted by."""
        return (self.since, self.ticket, self.call)


@dataclass(frozen=True)
class Told:
    """What a caller is told: `ring` whom, or `wait`, for how long; or the exit by which he has left."""

    what: str
    phone: str | None = None
    for_ms: int = 0
    position: int | None = None


class Line:
    """The line of a queue that rings one after the other (`linear`), and the people whom it rings."""

    def __init__(self, agents: list[Agent]) -> None:
        self.agents = agents
        self.callers: list[Caller] = []

    def come(self, call: str, version: int, now: int) -> Told:
        """A caller comes."""
        self.forget(now)
        if not self._anybody_there():
            return Told("nobody")
        if len(self.standing()) >= MAX_LENGTH:
            return Told("full")
        alike = [caller.ticket for caller in self.standing() if caller.since == now]
        caller = Caller(call, now, max(alike, default=-1) + 1, version)
        self.callers.append(caller)
        return self._look(caller, now)

    def look(self, caller: Caller, now: int) -> Told:
        """He is told that somebody came free, or that his time is up."""
        self.forget(now)
        caller.in_line = True
        return self._look(caller, now)

    def refused(self, caller: Caller, now: int) -> Told:
        """The phone that rang for him was not picked up."""
        self.forget(now)
        agent = caller.rung
        assert agent is not None
        agent.rests_until = now + PAUSE_MS
        agent.held_by = None
        caller.tried.add(agent.phone)
        caller.rung = None
        caller.until = now
        caller.in_line = True
        return self._look(caller, now)

    def gone(self, caller: Caller) -> None:
        """He is out of the line: answered, or gone."""
        self.callers.remove(caller)

    def leaves(self, caller: Caller) -> None:
        """He hangs up, or is sent on: no phone rings for him."""
        if caller.rung is not None:
            caller.rung.held_by = None
        self.gone(caller)

    def standing(self) -> list[Caller]:
        """Those in line, the first come first."""
        return sorted((caller for caller in self.callers if caller.in_line), key=lambda caller: caller.place)

    def heads(self) -> list[str]:
        """The first of each version for whom no phone rings."""
        first: dict[int, Caller] = {}
        for caller in self.standing():
            if caller.rung is None:
                first.setdefault(caller.version, caller)
        return [caller.call for caller in sorted(first.values(), key=lambda caller: caller.place)]

    def forget(self, now: int) -> None:
        """Whoever has not been heard of for too long stands in nobody's way."""
        for caller in self.callers:
            if caller.until + GRACE_MS <= now:
                caller.in_line = False

    def next_rested(self, now: int) -> int | None:
        """When the next phone that was rung in vain can be rung again."""
        return min((agent.rests_until for agent in self.agents if agent.rests_until > now), default=None)

    def _look(self, caller: Caller, now: int) -> Told:
        deadline = caller.since + MAX_WAIT_MS
        if now >= deadline:
            self.leaves(caller)
            return Told("timeout")
        if not self._anybody_there():
            self.leaves(caller)
            return Told("nobody")
        before = [each for each in self.standing() if each.version == caller.version and each.rung is None]
        is_head = all(caller.place <= each.place for each in before)
        agent = self._choose(caller, now) if is_head else None
        if agent is not None:
            agent.held_by = caller.call
            caller.rung = agent
            caller.until = min(now + ATTEMPT_MS, deadline)
            return Told("ring", agent.phone, caller.until - now)
        rested = self.next_rested(now) if is_head else None
        caller.until = min(deadline, now + LONGEST_WAIT_MS, *([] if rested is None else [rested]))
        return Told("wait", None, caller.until - now, self.position(caller))

    def position(self, caller: Caller) -> int:
        """His place, counted from 1."""
        return self.standing().index(caller) + 1

    def _choose(self, caller: Caller, now: int) -> Agent | None:
        """The first who can be rung, of those not tried yet before those tried."""
        free = [agent for agent in self.agents if agent.is_free_for(caller.call, now)]
        untried = [agent for agent in free if agent.phone not in caller.tried]
        if not untried:
            caller.tried.clear()
        return next(iter(untried or free), None)

    def _anybody_there(self) -> bool:
        return any(agent.presence == "present" for agent in self.agents)

"""Calls as desks show them: from the entries that routers tell to what each employee has on the screen. Nothing here performs
anything or reads a clock.

A call gives each employee at most one seat. `take` follows an entry; `seats` tells who has which seat, and `left` why somebody
has none any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from kommutator.routing.doings import CalledBack, Consulted, Held, PassedOn
from kommutator.routing.entries import Began, CallEntry, Ended, Turned
from kommutator.routing.turn import Ring, Talk

State = Literal["offered", "dialling", "talking", "consulting", "over"]
"""`dialling`: a call back that has not reached the client yet."""
Role = Literal["operator", "guest"]
OverBy = Literal["client", "us"]
ConsultationState = Literal[
    "calling", "ringing", "agreed", "declined", "busy", "no_answer", "unreachable", "gone"
]  # fmt: skip
Why = Literal["elsewhere", "hung_up", "ended"]
BackState = Literal["ringing", "calling", "talking", "over"]

GOES_ON: Final = ("calling", "ringing", "agreed")
"""The states of a consultation in which somebody is there to be consulted; the others say how it ended."""


@dataclass(frozen=True, slots=True)
class Consultation:
    """Somebody is asked whether he takes the client, or was."""

    employee: str | None
    endpoint: str
    state: ConsultationState
    since_ms: int
    talks_with: Literal["client", "manager"]
    """Whom the operator hears."""
    leaving: bool = False
    """The operator has left: the client is this person's as soon as he answers."""

    @property
    def goes_on(self) -> bool:
        """Whether it has not ended."""
        return self.state in GOES_ON


@dataclass(frozen=True, slots=True)
class Back:
    """A call back: an employee's own phone rings, then the client's."""

    state: BackState
    reason: str | None = None
    """Why nobody talked, once it is over."""


@dataclass(frozen=True, slots=True)
class Call:
    """What is known of a call; times are milliseconds of UTC."""

    call_id: str
    router: str
    """Who told of it last, and takes orders for it."""
    did: str | None = None
    caller: str | None = None
    began_ms: int = 0
    as_of_ms: int = 0
    """Of the last entry that was followed."""
    sequence: int = -1
    """Of the last turn."""
    tags: Mapping[str, str] = field(default_factory=dict)
    who: Mapping[str, str] = field(default_factory=dict)
    """Whose phone each endpoint is that rang for the call."""
    offered: Mapping[str, int] = field(default_factory=dict)
    """Whose phones ring, and since when."""
    holder: str | None = None
    """The client's partner."""
    offered_ms: int = 0
    answered_ms: int | None = None
    """Of the holder."""
    talking: bool = False
    held: bool = False
    consultation: Consultation | None = None
    passed_by: str | None = None
    """From whom the holder has it."""
    hung_up: bool = False
    """The client has."""
    over_ms: int | None = None
    over_by: OverBy | None = None
    ended: bool = False
    back: Back | None = None
    """None: the client has called."""


@dataclass(frozen=True, slots=True)
class Seat:
    """What a call is to one employee."""

    state: State
    role: Role
    offered_ms: int
    answered_ms: int | None = None
    over_ms: int | None = None
    over_by: OverBy | None = None
    held: bool = False
    consultation: Consultation | None = None
    by: str | None = None
    """The operator who asks him, or from whom he has the client."""
    back: Back | None = None


def folded(entries: Iterable[CallEntry], call_id: str, router: str) -> Call:
    """A call by all its entries, in whatever order they were read; the same entry twice is one."""
    call = Call(call_id, router)
    for entry in sorted(_once(entries), key=_order):
        call = take(call, entry)
    return call


def take(call: Call, entry: CallEntry) -> Call:
    """The call after an entry. An older turn, and one told again after a resumption, change nothing."""
    match entry:
        case Began():
            after = replace(call, did=entry.did, caller=entry.caller, began_ms=entry.at)
        case Turned():
            if entry.turn.sequence <= call.sequence:
                return call
            after = _turned(call, entry)
        case Ended():
            after = replace(call, ended=True, offered={})
            if after.talking and after.over_ms is None:
                after = _over(after, entry.at, None)
        case Consulted():
            after = _consulted(call, entry)
        case Held():
            after = replace(call, held=entry.held)
        case PassedOn():
            after = _passed_on(call, entry)
        case CalledBack():
            after = _called_back(call, entry)
    return replace(after, as_of_ms=max(call.as_of_ms, entry.at))


def seats(call: Call) -> dict[str, Seat]:
    """Who has the call on the screen, and as what."""
    if call.over_ms is not None:
        if call.holder is None:
            return {}
        over = Seat(
            "over", "operator", call.offered_ms, call.answered_ms, call.over_ms, call.over_by, by=call.passed_by,
            back=call.back,
        )  # fmt: skip
        return {call.holder: over}
    if call.back is not None and call.holder is not None:
        now: State = "talking" if call.back.state == "talking" else "dialling"
        return {call.holder: Seat(now, "operator", call.offered_ms, call.answered_ms, back=call.back)}
    found = {employee: Seat("offered", "operator", since_ms) for employee, since_ms in call.offered.items()}
    asked = call.consultation
    if asked is not None and asked.goes_on and asked.employee is not None:
        if asked.state == "agreed":
            guest = Seat("talking", "guest", asked.since_ms, asked.since_ms, by=call.holder)
        else:
            guest = Seat("offered", "guest", asked.since_ms, by=call.holder)
        found[asked.employee] = guest
    if call.talking and call.holder is not None:
        state: State = "consulting" if asked is not None and asked.goes_on else "talking"
        found[call.holder] = Seat(
            state, "operator", call.offered_ms, call.answered_ms,
            held=call.held, consultation=asked, by=call.passed_by,
        )  # fmt: skip
    return found


def left(after: Call, employee: str) -> tuple[Why, str | None]:
    """Why an employee has the call on the screen no more, and who has it now."""
    if after.holder is not None and after.holder != employee and (after.talking or after.over_ms is not None):
        return "elsewhere", after.holder
    if after.hung_up or after.over_by == "client":
        return "hung_up", None
    return ("ended", None) if after.ended else ("elsewhere", None)


def _turned(call: Call, entry: Turned) -> Call:
    turn, event = entry.turn, entry.event or {}
    kind = event.get("type")
    tags = dict(call.tags)
    for effect in turn.effects:
        if effect.get("type") == "tag":
            tags.update(effect.get("set") or {})
    call = replace(call, sequence=turn.sequence, tags=tags, hung_up=call.hung_up or kind == "caller_hung_up")
    match turn.action:
        case Ring(endpoints=endpoints):
            rings = {each.employee: each.endpoint for each in endpoints if each.employee is not None}
            return replace(
                call,
                who={**call.who, **{endpoint: employee for employee, endpoint in rings.items()}},
                offered={employee: call.offered.get(employee, entry.at) for employee in rings},
                holder=None, talking=False, held=False, consultation=None, passed_by=None, over_ms=None, over_by=None,
            )  # fmt: skip
        case Talk(endpoint=endpoint) if kind == "passed":
            to = event.get("employee") or call.who.get(endpoint)
            return _handed(call, None if to is None else str(to), endpoint, entry.at)
        case Talk(endpoint=endpoint):
            holder = call.who.get(endpoint)
            since_ms = call.offered.get(holder, entry.at) if holder is not None else entry.at
            return replace(
                call, offered={}, holder=holder, talking=True, offered_ms=since_ms, answered_ms=entry.at,
                over_ms=None, over_by=None,
            )  # fmt: skip
        case _:
            call = replace(call, offered={})
            if not call.talking:
                return call
            return _over(call, entry.at, {"caller_hung_up": "client", "conversation_ended": "us"}.get(str(kind)))


def _over(call: Call, at_ms: int, by: str | None) -> Call:
    over_by: OverBy | None = "client" if by == "client" else "us" if by == "us" else None
    return replace(call, talking=False, held=False, consultation=None, over_ms=at_ms, over_by=over_by)


def _consulted(call: Call, entry: Consulted) -> Call:
    if entry.state == "cancelled":
        return replace(call, consultation=None, held=False)
    before = call.consultation
    same = before is not None and (before.endpoint, before.state) == (entry.endpoint, entry.state)
    default: Literal["client", "manager"] = "manager" if entry.state in GOES_ON else "client"
    consultation = Consultation(
        entry.employee, entry.endpoint, entry.state,
        before.since_ms if same and before is not None else entry.at, entry.talks_with or default,
    )  # fmt: skip
    who = call.who if entry.employee is None else {**call.who, entry.endpoint: entry.employee}
    return replace(call, who=who, consultation=consultation, held=False)


def _passed_on(call: Call, entry: PassedOn) -> Call:
    match entry.state:
        case "ringing":
            asked = Consultation(entry.employee, entry.endpoint, "ringing", entry.at, "manager", leaving=True)
            who = call.who if entry.employee is None else {**call.who, entry.endpoint: entry.employee}
            return replace(call, who=who, consultation=asked, held=False)
        case "passed":
            return _handed(call, entry.employee, entry.endpoint, entry.at)
        case "returning":
            state = _ENDS.get(entry.reason or "")
            if call.consultation is None or state is None:
                return replace(call, consultation=None)
            ended = replace(call.consultation, state=state, since_ms=entry.at, talks_with="client", leaving=False)
            return replace(call, consultation=ended)
        case "returned" | "lost":
            return call


_ENDS: Final[Mapping[str, ConsultationState]] = {
    "declined": "declined",
    "busy": "busy",
    "no_answer": "no_answer",
    "unreachable": "unreachable",
    "gone": "gone",
}


def _handed(call: Call, employee: str | None, endpoint: str, at_ms: int) -> Call:
    """The client's partner is somebody else. It is told twice, by what people did and by the engine's turn."""
    if call.talking and call.holder == employee and call.consultation is None:
        return call
    asked = call.consultation
    since_ms = asked.since_ms if asked is not None and asked.employee == employee else at_ms
    return replace(
        call,
        who=call.who if employee is None else {**call.who, endpoint: employee},
        offered={}, holder=employee, passed_by=call.holder, offered_ms=since_ms, answered_ms=at_ms,
        talking=True, held=False, consultation=None, over_ms=None, over_by=None,
    )  # fmt: skip


def _called_back(call: Call, entry: CalledBack) -> Call:
    state = entry.state
    if call.back is not None and _BACK.index(call.back.state) >= _BACK.index(state):
        return call
    call = replace(
        call, caller=entry.number, holder=entry.by, back=Back(state, entry.reason), talking=state == "talking",
        began_ms=call.began_ms or entry.at, offered_ms=call.offered_ms or entry.at,
    )  # fmt: skip
    if state == "talking":
        return replace(call, answered_ms=entry.at)
    return replace(call, over_ms=entry.at, ended=True) if state == "over" else call


def _once(entries: Iterable[CallEntry]) -> list[CallEntry]:
    turns: dict[int, Turned] = {}
    doings: dict[CallEntry, None] = {}
    for entry in entries:
        if isinstance(entry, Turned):
            turns.setdefault(entry.turn.sequence, entry)
        else:
            doings.setdefault(entry)
    return [*doings, *turns.values()]


def _order(entry: CallEntry) -> tuple[int, int, int]:
    """By time; of one millisecond, in the order in which such things happen."""
    match entry:
        case Began():
            return entry.at, 0, 0
        case Consulted():
            return entry.at, 1, _CONSULTED.index(entry.state)
        case Held():
            return entry.at, 1, 0
        case PassedOn():
            return entry.at, 2, _PASSED.index(entry.state)
        case CalledBack():
            return entry.at, 2, _BACK.index(entry.state)
        case Turned():
            return entry.at, 3, entry.turn.sequence
        case _:
            return entry.at, 4, 0


_CONSULTED: Final = (
    "calling", "ringing", "agreed", "declined", "busy", "no_answer", "unreachable", "gone", "cancelled"
)  # fmt: skip
_BACK: Final = ("ringing", "calling", "talking", "over")
_PASSED: Final = ("ringing", "returning", "returned", "passed", "lost")

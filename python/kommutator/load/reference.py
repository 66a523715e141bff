"""What an engine of our own decides for the same calls: what answers under load are held against.

What can be known beforehand is compared exactly. Who can be rung cannot: others' calls hold people. So our engine's floor is
empty for every call, and an answer that differs is right where only the floor can have made it differ:

- a hunt may ring anybody whom its node names, or let the caller wait for them;
- a hunt that found nobody may have ended, with whatever our engine does after such an end, and a line may have been full;
- from a node on that asks what only the server knows (who called before, whose client it is), traces may go their own way.

From such a difference on, the rest of a whole call is followed on every way that our engine can have gone, as far as the
events fit: whether those whom a hunt did not ring were busy or away, only the end of the call may tell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import eq
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kommutator import _engine
from kommutator.company import LoadedCompany
from kommutator.engine import Engine
from kommutator.errors import EngineError

if TYPE_CHECKING:
    from kommutator.load.target import Ask, Told

_Json = Mapping[str, Any]
_IsLike = Callable[[_Json, _Json], bool]
_HUNTS: Final = ("ring", "wait")
_FACTS: Final = ("history", "owner")
_QUESTIONS: Final = ("find_history", "find_owner")
_TURNED_AWAY: Final = ("full", "nobody")
_OWNERS: Final = 200
"""Employees who are tried as the owner of a client whom the server knows."""
_ROUNDS: Final = 64
"""Of hunts that find nobody, one after the other; no document that passes the check has more."""
_ENDS: Final = ("busy", "unavailable", "no_answer", "waited")
"""How a hunt's round, or a wait, can end without an answer."""
_WAYS: Final = 256
"""At most so many are followed of a call; a few are all that documents of ours have had."""


class Reference:
    """An engine of our own on a company document. Raises `CompanyInvalid`."""

    def __init__(self, company: LoadedCompany) -> None:
        self.engine = Engine.of(company)
        self.document: dict[str, Any] = company.document
        self._people: dict[tuple[str, str], frozenset[str]] = {}

    def expect(self, ask: Ask) -> Expected:
        """What is expected of a call; microseconds."""
        return Expected(self, ask)

    def kind(self, scheme: str, node: str) -> str:
        """A node's kind; empty where there is no such node."""
        found = self.document["schemes"].get(scheme, {}).get("nodes", {}).get(node, {})
        return str(found.get("kind", ""))

    def people(self, scheme: str, node: str) -> frozenset[str]:
        """The addresses of all whom a hunt's node may ring."""
        key = (scheme, node)
        if key not in self._people:
            self._people[key] = frozenset(self._addresses(self.document["schemes"][scheme]["nodes"][node]))
        return self._people[key]

    def _addresses(self, written: Any) -> Iterator[str]:
        """The addresses that are meant anywhere in a part of the document."""
        cards = self.document["employees"]
        if isinstance(written, list):
            for each in written:
                yield from self._addresses(each)
        elif isinstance(written, dict):
            for key, value in written.items():
                if key == "phone":
                    yield self._number(str(value))
                elif key in ("employee", "mobile"):
                    yield from self._card(cards.get(value, {}))
                elif key == "owner":
                    for card in cards.values():
                        yield from self._card(card)
                elif key == "department":
                    for card in cards.values():
                        if card.get("department") == value:
                            yield from self._card(card)
                elif key == "group":
                    yield from self._members(str(value), set())
                else:
                    yield from self._addresses(value)

    def _members(self, group: str, seen: set[str]) -> Iterator[str]:
        if group in seen:
            return
        seen.add(group)
        for member in self.document["groups"].get(group, {}).get("members", ()):
            if member in self.document["employees"]:
                yield from self._card(self.document["employees"][member])
            elif member in self.document["departments"]:
                yield from self._addresses({"department": member})
            else:
                yield from self._members(str(member), seen)

    def _card(self, card: _Json) -> Iterator[str]:
        if card.get("endpoint"):
            yield str(card["endpoint"])
        if card.get("mobile"):
            yield self._number(str(card["mobile"]))

    def _number(self, written: str) -> str:
        return _engine.normalize(written, str(self.document["company"]["country"])) or written


class Expected:
    """What our engine says of one call, with everybody present, idle and claimed by nobody."""

    __slots__ = ("_actions", "_ask", "_reference", "_turn")

    def __init__(self, reference: Reference, ask: Ask) -> None:
        self._reference = reference
        self._ask = ask
        self._turn: _engine.Turn | None = None
        self._actions: list[_Json] | None = None

    @property
    def turn(self) -> _engine.Turn:
        """The turn of the arrival. Nobody stays claimed."""
        if self._turn is None:
            ask = self._ask
            self._turn = self._reference.engine.arrive(ask.call_id, ask.did, ask.caller, ask.at_ms)
            if self._turn.action.type in _HUNTS:
                self._reference.engine.forget_calls()
        return self._turn

    @property
    def action(self) -> dict[str, Any]:
        """The first action."""
        return self.turn.action.to_dict()

    @property
    def trace(self) -> Sequence[_Json]:
        """The nodes passed before the first action."""
        return self.turn.trace

    def after(self, events: Sequence[_Json]) -> list[dict[str, Any]]:
        """The answers to these events, one after the other, from the arrival on: shorter where one fits no more."""
        answers: list[dict[str, Any]] = []
        turn = self.turn
        for event in events:
            followed = self._step(turn, event)
            if followed is None:
                break
            turn = followed
            answers.append(turn.action.to_dict())
        self._reference.engine.forget_calls()
        return answers

    def verdict(self, told: Told, is_like: _IsLike = eq) -> str | None:
        """None when what was told is right; else what is wrong, in words.

        `is_like` says whether an action that was told can be one of ours, for targets that see parts of actions.
        """
        actions = told.actions
        if not actions:
            return "no action was told"
        if any(action["type"] == "find_owner" for action in actions) and self._ask.caller is not None:
            self._forget_owner(self._ask.caller)
        turn = self.turn
        if len(actions) == 1 and is_like(actions[0], turn.action.to_dict()):
            return None
        try:
            return self._follow(turn, told, is_like)
        finally:
            self._reference.engine.forget_calls()

    def _follow(self, turn: _engine.Turn, told: Told, is_like: _IsLike) -> str | None:
        ways = [_Way(turn)]
        apart = asked = False
        for place, action in enumerate(told.actions):
            agreeing = [way for way in ways if self._agrees(way.turn, told, place, is_like, apart=apart)]
            if not agreeing:
                trace = told.traces[place] if place < len(told.traces) else None
                if trace is not None and any(self._led_away(way.turn, trace) for way in ways):
                    return None
                if str(action["type"]) in _QUESTIONS and any(self._has_asked(way.turn) for way in ways):
                    # Our engine remembers from another call what the server asks: owners can be forgotten, but not callers
                    asked = True
                    continue
                agreeing = [after for way in ways for after in self._by_others(way, action, is_like)]
                if not agreeing and asked:
                    return None
                if not agreeing:
                    which = "" if len(told.actions) == 1 else f"answer {place + 1}: "
                    return f"{which}{_short(action)}, expected {_short(ways[0].turn.action.to_dict())}"
                apart = True
            if place >= len(told.events):
                return None
            event = told.events[place]
            ways = _distinct(
                [after for way in agreeing if (after := self._after(self._hunting(way), event)) is not None]
            )
            if not ways:
                return None  # the floor has led them so far apart that what has happened does not fit ours
        return None

    def _agrees(self, turn: _engine.Turn, told: Told, place: int, is_like: _IsLike, *, apart: bool) -> bool:
        mine = turn.action.to_dict()
        return _alike(told.actions[place], mine, is_like, apart=apart) or self._talks_with_another(told, place, mine)

    def _led_away(self, turn: _engine.Turn, trace: Sequence[_Json]) -> bool:
        """Whether a trace tells of what no event can lead ours to."""
        return self._asks_facts(turn.trace, trace) or self._was_turned_away(turn, trace)

    def _by_others(self, way: _Way, action: _Json, is_like: _IsLike) -> list[_Way]:
        """The ways on which ours can come to this action by what the server knows, or by whom other calls hold."""
        known = self._by_facts(way.turn, action, is_like)
        turns = [known] if known is not None else self._by_the_floor(way.turn, action, is_like)
        if not turns and way.hunt is not None:
            turns = self._by_the_floor(way.hunt, action, is_like)
        return [_Way(turn, way.hunt) for turn in turns]

    def _hunting(self, way: _Way) -> _Way:
        """The way, with the hunt in which its turn stands."""
        turn, hunt = way
        if turn.action.type not in _HUNTS:
            return _Way(turn)
        return _Way(turn, turn if hunt is None or self._node(turn) not in (None, self._node(hunt)) else hunt)

    def _after(self, way: _Way, event: _Json) -> _Way | None:
        """Where ours stands after an event; None where it does not fit."""
        turn, hunt = way
        followed = self._step(turn, _as_ours(event, turn))
        if followed is None and hunt is not None:
            followed = self._step(hunt, _as_ours(event, hunt)) or hunt
        return _Way(followed, hunt) if followed is not None else None

    @staticmethod
    def _node(turn: _engine.Turn) -> str | None:
        """The node of the hunt at which a turn stands."""
        return str(turn.rounds[-1]["node"]) if turn.rounds else None

    def _by_facts(self, turn: _engine.Turn, action: _Json, is_like: _IsLike) -> _engine.Turn | None:
        """The turn at which ours stands when the server has known what ours asks; None where no answer leads to this action."""
        if turn.action.type == "find_history":
            answers: list[_Json] = [{"type": "called_before"}, {"type": "never_called"}, {"type": "failed"}]
        elif turn.action.type == "find_owner":
            owners = list(self._reference.document["employees"])[:_OWNERS]
            answers = [{"type": "no_owner"}, {"type": "failed"}]
            answers += [{"type": "owner", "employee": each} for each in owners]
        else:
            return None
        for answer in answers:
            known = self._step(turn, answer)
            if known is None:
                continue
            if _alike(action, known.action.to_dict(), is_like, apart=True):
                return known
            after = self._by_the_floor(known, action, is_like)
            if after:
                return after[0]
        return None

    def _forget_owner(self, caller: str) -> None:
        """What the server asks, ours has to ask, too."""
        with suppress(EngineError):  # a number that nobody can own
            self._reference.engine.forget_owner(caller)

    def _has_asked(self, turn: _engine.Turn) -> bool:
        """Whether ours has just passed a node that asks, and did not have to."""
        return any(
            self._reference.kind(str(each.get("scheme")), str(each.get("node"))) in _FACTS for each in turn.trace
        )

    def _by_the_floor(self, turn: _engine.Turn, action: _Json, is_like: _IsLike) -> list[_engine.Turn]:
        """The turns at which ours can stand when only the floor made this action differ: hunts that ended, in every way."""
        level, at_ms = [turn], self._ask.at_ms
        for _ in range(_ROUNDS):
            found = [each for each in level if self._may_be(each, action, is_like)]
            hunting = [each for each in level if each.action.type in _HUNTS]
            if found or not hunting:
                return found
            at_ms += int(1000 * max(each.action.seconds or 0.0 for each in hunting))
            ended = (self._step(each, {"type": kind, "at": at_ms}) for each in hunting for kind in _ENDS)
            level = [way.turn for way in _distinct([_Way(each) for each in ended if each is not None])]
        return []

    def _may_be(self, turn: _engine.Turn, action: _Json, is_like: _IsLike) -> bool:
        """Whether a turn has this action, or has it where others hold people."""
        if turn.action.type in _HUNTS and action["type"] == "wait":
            return True
        if turn.action.type == "ring" == action["type"]:
            return {each["endpoint"] for each in action["endpoints"]} <= self._hunted(turn)
        return _alike(action, turn.action.to_dict(), is_like, apart=True)

    def _hunted(self, turn: _engine.Turn) -> frozenset[str]:
        """All whom the hunt at which a turn stands may ring."""
        if turn.rounds:
            last = turn.rounds[-1]
            return self._reference.people(last["scheme"], last["node"])
        return frozenset(str(each["endpoint"]) for each in turn.action.endpoints or ())

    def _asks_facts(self, mine: Sequence[_Json], theirs: Sequence[_Json]) -> bool:
        """Whether two traces part at a node that asks what only a server knows."""
        for ours, told in zip(mine, theirs, strict=False):
            if [ours.get(key) for key in ("scheme", "node")] != [told.get(key) for key in ("scheme", "node")]:
                return False
            if ours.get("exit") != told.get("exit"):
                return self._reference.kind(str(ours.get("scheme")), str(ours.get("node"))) in _FACTS
        return False

    def _was_turned_away(self, turn: _engine.Turn, trace: Sequence[_Json]) -> bool:
        """Whether a line at which ours stands had no place for the caller, or nobody who would serve it: no event leads there."""
        node = self._node(turn) if turn.action.type in _HUNTS else None
        return node is not None and any(each.get("node") == node and each.get("exit") in _TURNED_AWAY for each in trace)

    def _step(self, turn: _engine.Turn, event: _Json) -> _engine.Turn | None:
        """Our engine's next turn; None where the event fits no more."""
        known = {key: value for key, value in event.items() if key != "at"}
        try:
            return self._reference.engine.handle(turn.state, known, int(event.get("at", self._ask.at_ms)))
        except EngineError:
            return None

    @staticmethod
    def _talks_with_another(told: Told, place: int, mine: _Json) -> bool:
        """Whether the caller talks with whoever picked up, whom our engine had not rung."""
        event = told.events[place - 1] if place else {}
        talk = {"type": "talk", "endpoint": event.get("endpoint")}
        return mine["type"] == "talk" and event.get("type") == "answered" and told.actions[place] == talk


class _Way(NamedTuple):
    """One of the ways that our engine can have gone with a call."""

    turn: _engine.Turn
    hunt: _engine.Turn | None = None
    """Ours, as it began the hunt in which the call is."""


def _distinct(ways: Sequence[_Way]) -> list[_Way]:
    """Ways that have come to the same state are one."""
    return list({way.turn.state: way for way in ways}.values())[:_WAYS]


def _alike(action: _Json, mine: _Json, is_like: _IsLike, *, apart: bool) -> bool:
    """Whether two actions are the same. Recordings are named after the turns before them, which the floor may have `apart`."""
    if is_like(action, mine):
        return True
    if not apart or "recording" not in mine or "recording" not in action:
        return False
    return is_like({**action, "recording": None}, {**mine, "recording": None})


def _as_ours(event: _Json, turn: _engine.Turn) -> _Json:
    """The event as our engine can take it: where another phone was rung, one of ours is picked up."""
    if event["type"] != "answered" or turn.action.type != "ring":
        return event
    ours = [each["endpoint"] for each in turn.action.endpoints or ()]
    return event if event["endpoint"] in ours else {**event, "endpoint": ours[0]}


def _short(action: _Json) -> str:
    said = {key: value for key, value in action.items() if value is not None}
    if "endpoints" in said:
        said["endpoints"] = [each["endpoint"] for each in said["endpoints"]]
    kind = said.pop("type")
    return f"{kind} {said}" if said else str(kind)

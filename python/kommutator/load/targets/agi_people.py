"""The people of a call by FastAGI: what they do is drawn, and what came of it is told."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any, Final

import trio

from kommutator.load.target import Ask, Options, Told
from kommutator.load.targets.agi_channel import Lines

UNSEEN: Final = "unseen"
"""The type that is told of an action which a channel sees nothing of: a question to the desk, or somebody come free."""
KEYS: Final = ("1", "2", "3")
"""What callers press who cannot know what is offered."""
_CHUNK: Final = 65_536
_NUMBER = re.compile(r"[A-Za-z0-9]+/(\+[0-9]+)@.*")
_DRAWN_IN_VAIN: Final = frozenset({"play", UNSEEN})


class Connection:
    """A connection to the router."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._lines = Lines()
        self._waiting: list[str] = []
        self.owes = False
        """A command has not been answered yet."""

    async def line(self) -> str | None:
        """The next command; None at the connection's end. Raises `PbxProtocolError`, `trio.BrokenResourceError`."""
        while not self._waiting:
            data = await self._stream.receive_some(_CHUNK)
            if not data:
                return None
            self._waiting = self._lines.feed(bytes(data))
        self.owes = True
        return self._waiting.pop(0)

    async def say(self, line: str) -> None:
        """An answer, or, without one, what comes by itself."""
        self.owes = False
        await self._stream.send_all(f"{line}\n".encode())

    async def greet(self, greeting: bytes) -> None:
        """The variables with which it begins."""
        await self._stream.send_all(greeting)

    def cut(self) -> None:
        """Close it at once."""
        self._stream.socket.close()


Connect = Callable[[], Awaitable[Connection]]


class People:
    """Those of one call, and the account of it."""

    def __init__(
        self, ask: Ask, options: Options, told: Told, rings_s: float, talks_s: float, transfers: frozenset[str]
    ) -> None:
        self.ask = ask
        self.whole = options.whole
        self.rings_s = rings_s
        self.talks_s = talks_s
        self._chances = options.chances
        self._told = told
        self._transfers = transfers
        self._actions: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._acted_at: float | None = None
        told.actions, told.events = self._actions, self._events

    def action(self, action: dict[str, Any], at: float) -> None:
        """The router has said this, at that moment."""
        if not self._actions:
            self._told.first_at = at
        elif self._acted_at is not None:
            self._told.steps_s = (*self._told.steps_s, at - self._acted_at)
        self._actions.append(action)

    def draw(self) -> Mapping[str, Any]:
        """What happens now upon the last action, in the contract's words. `acts` is to follow."""
        action = self._actions[-1]
        event = self._chances.event(action, self.ask.number, len(self._events))
        if event is None or (action["type"] in _DRAWN_IN_VAIN and event["type"] == "caller_hung_up"):
            return {"type": "played"}
        return event

    def acts(self, event: Mapping[str, Any], *, at: float | None = None, timed: bool = True) -> None:
        """It happens, now or `at` a moment before. Not `timed`: when the router goes on is its own matter."""
        self._events.append(dict(event))
        self._acted_at = (perf_counter() if at is None else at) if timed else None

    def ringing(self, phones: Sequence[str]) -> dict[str, Any]:
        """A `Dial()` of these dial strings, as the contract has it."""
        endpoints = [endpoint_of(phone) for phone in phones]
        if len(endpoints) == 1 and endpoints[0] in self._transfers:
            return {"type": "transfer", "to": endpoints[0]}
        return {"type": "ring", "endpoints": [{"endpoint": endpoint} for endpoint in endpoints]}

    def fails(self, error: str, detail: str = "") -> None:
        """The call has come to nothing."""
        self._told.error, self._told.detail = error, detail


def endpoint_of(phone: str) -> str:
    """The contract's endpoint of a dial string: a number that goes through a trunk is the number."""
    number = _NUMBER.fullmatch(phone)
    return number[1] if number else phone


def transfers_of(document: Mapping[str, Any]) -> frozenset[str]:
    """Where the company's schemes give calls away: a `Dial()` does not say whether it rings or transfers."""
    nodes = [node for scheme in document["schemes"].values() for node in scheme["nodes"].values()]
    return frozenset(node["to"] for node in nodes if node["kind"] == "transfer")

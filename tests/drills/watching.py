"""What a simulated PBX itself says of its calls, and callers who keep it busy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import combinations, count
from typing import NamedTuple

import trio

from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.codec import Happened, Place
from kommutator.pbx.simulated.control import PbxControl

_LOOK_S = 0.1


class Leg(NamedTuple):
    """When a phone rang or was held, and by which call."""

    endpoint: str
    call_id: str
    since_ms: int
    until_ms: int


def overlapping(legs: Iterable[Leg]) -> list[tuple[Leg, Leg]]:
    """Legs of two calls at one phone at once, whichever PBX rang it."""
    by_phone: dict[str, list[Leg]] = defaultdict(list)
    for leg in legs:
        by_phone[leg.endpoint].append(leg)
    return [
        (one, other)
        for of_phone in by_phone.values()
        for one, other in combinations(of_phone, 2)
        if one.call_id != other.call_id and one.since_ms < other.until_ms and other.since_ms < one.until_ms
    ]


class Watched:
    """The PBX's own record of everything that happened to each call, from when `run` began."""

    def __init__(self, control: PbxControl) -> None:
        self.control = control
        self.happened: dict[str, list[Happened]] = defaultdict(list)

    async def begin(self, nursery: trio.Nursery) -> None:
        """Listen, in the nursery."""
        await self.control.watch()
        nursery.start_soon(self._listen)

    async def _listen(self) -> None:
        while True:
            told = await self.control.told()
            assert not isinstance(told, codec.Missed), f"{told.count} messages were missed"
            if isinstance(told, Happened):
                self.happened[told.call_id].append(told)

    def saw(self, call_id: str, *what: str) -> bool:
        """Whether one of these happened to the call."""
        return any(each.what in what for each in self.happened[call_id])

    def calls(self) -> set[str]:
        """The calls that were a router's: those that came, without those that the PBX took itself."""
        came = [call_id for call_id in self.happened if self.saw(call_id, "came")]
        return {call_id for call_id in came if not self.saw(call_id, "fallback")}

    def legs(self) -> list[Leg]:
        """Every ringing of a phone that is over, with the conversation that came of it."""
        found = []
        for call_id, happenings in self.happened.items():
            rings: dict[str, int] = {}
            for each in happenings:
                if each.endpoint is None:
                    continue
                if each.what == "rings":
                    rings[each.endpoint] = each.at_ms
                elif each.what != "answered" and each.endpoint in rings:
                    found.append(Leg(each.endpoint, call_id, rings.pop(each.endpoint), each.at_ms))
        return found

    def going_on(self) -> set[str]:
        """The calls whose callers are on the line."""
        return {call_id for call_id in self.happened if not self.saw(call_id, "hung_up", "hung_up_on")}


class Callers:
    """Keeps so many callers on the line, and lets a new one come whenever there are fewer."""

    def __init__(self, watched: Watched, least: int, caller: Callable[[int], Place]) -> None:
        self._watched = watched
        self._least = least
        self._caller = caller
        self._numbers = count()
        self._enough = trio.Event()

    async def run(self) -> None:
        """Let them come, until `stop`."""
        while not self._enough.is_set():
            missing = self._least - (await self._watched.control.about()).calls
            for _ in range(missing):
                await self._watched.control.place(self._caller(next(self._numbers)))
            await trio.sleep(_LOOK_S)

    def stop(self) -> None:
        """Nobody comes any more; who is there stays."""
        self._enough.set()

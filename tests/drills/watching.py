"""What a simulated PBX itself says of its calls, and callers who keep it busy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import count

import trio

from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.codec import Happened, Place
from kommutator.pbx.simulated.control import PbxControl

_LOOK_S = 0.1


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

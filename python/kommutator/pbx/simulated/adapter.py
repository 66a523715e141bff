"""The `Pbx` port over the simulated PBX, and the desk's answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import trio

from kommutator.pbx.simulated import call_back
from kommutator.pbx.simulated.behaviour import CallerScript
from kommutator.pbx.simulated.call import SimulatedCall, gone
from kommutator.pbx.simulated.world import Channel, World
from kommutator.routing.ports import Call, FloorSink
from kommutator.routing.turn import Event, Turn


class SimulatedPbx:
    """A router's connection to a `World`. One at a time; a new router makes a new one.

    `lines` says whose phone each endpoint is.
    """

    def __init__(self, world: World, lines: Mapping[str, Sequence[str]]) -> None:
        self._world = world
        self._lines = lines
        self._found: frozenset[str] = frozenset()
        self._reached = trio.Event()
        self._begin: Callable[[Channel], None] | None = None

    def come(self, call_id: str, did: str, caller: str | None, acts: CallerScript | None = None) -> Channel:
        """A caller comes now; where no router is connected, the next one finds him."""
        channel = self._world.come(call_id, did, caller, acts or CallerScript())
        if self._begin is not None:
            self._begin(channel)
        return channel

    async def run(self, on_call: Callable[[Call], Awaitable[None]], floor: FloorSink) -> None:
        """Serve calls until cancelled. The `World`'s agenda must be living."""
        world = self._world

        def tell_line(endpoint: str) -> None:
            for employee in self._lines.get(endpoint, ()):
                floor.line(employee, world.line(endpoint))

        async with trio.open_nursery() as nursery:

            def begin(channel: Channel) -> None:
                nursery.start_soon(on_call, SimulatedCall(world, channel), name=f"call {channel.call_id}")

            world.on_line, self._begin = tell_line, begin
            try:
                for endpoint in self._lines:
                    tell_line(endpoint)
                for orphan in world.past:
                    world.cancel(orphan)
                alive = [channel for channel in world.channels.values() if channel.routed]
                self._found = frozenset(channel.call_id for channel in alive)
                for channel in alive:
                    begin(channel)
                self._reached.set()
                await trio.sleep_forever()
            finally:
                world.on_line = self._begin = None
                for channel in world.channels.values():
                    channel.inbox = None

    async def found_calls(self) -> frozenset[str]:
        """The calls that were alive when this router came."""
        await self._reached.wait()
        return self._found

    async def epitaph(self, call_id: str, turn: Turn) -> Event:
        """How a call ended while nobody watched."""
        return gone(self._world, turn)

    async def call_back(self, call_id: str, endpoint: str, number: str, tell: Callable[[str], None]) -> str | None:
        """Call a number back from a phone."""
        return await call_back.call_back(self._world, call_id, endpoint, number, tell)

    async def call_back_over(self, call_id: str) -> bool:
        """Wait for the end of a call back."""
        return await call_back.over(self._world, call_id)

    async def hang_up_call_back(self, call_id: str) -> None:
        """End a call back."""
        call_back.hang_up(self._world, call_id)


class SimulatedLookups:
    """The desk's answers in the form of a scenario's `real.lookups`: `owner` (an id, None, or `fails`) and `history`
    (`called_before`, `never_called`, or `fails`); what is not given fails. Each may also be `never`: no answer comes."""

    def __init__(self, answers: Mapping[str, Any] | None = None) -> None:
        self._answers = dict(answers or {})

    async def owner(self, caller: str) -> Event:
        """The owner of every number."""
        await trio.lowlevel.checkpoint()
        match self._answers.get("owner", "fails"):
            case "fails":
                return {"type": "failed"}
            case "never":
                return await trio.sleep_forever()
            case None:
                return {"type": "no_owner"}
            case employee:
                return {"type": "owner", "employee": employee}

    async def history(self, caller: str, days: int | None) -> Event:
        """Whether every number has called before."""
        await trio.lowlevel.checkpoint()
        answer = self._answers.get("history", "fails")
        if answer == "never":
            await trio.sleep_forever()
        return {"type": "failed" if answer == "fails" else answer}

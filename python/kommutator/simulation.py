"""The routing loop on a simulated PBX, put together: for the demo, for trying a company out, and for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import trio

from kommutator.pbx.simulated.adapter import SimulatedLookups, SimulatedPbx
from kommutator.pbx.simulated.agenda import Agenda, run_virtually
from kommutator.pbx.simulated.behaviour import CallerScript, PhoneScript
from kommutator.pbx.simulated.world import Happening, World
from kommutator.routing.loop import Router
from kommutator.routing.ports import Engine, Journal, Lookups

LONGEST_S = 24 * 3600.0
"""A simulation that goes on for longer has gone wrong."""
_LOOKS_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A caller who comes so many seconds after the simulation has begun."""

    call_id: str
    did: str
    caller: str | None
    script: CallerScript = field(default_factory=CallerScript)
    after_s: float = 0


@dataclass(slots=True)
class Simulation:
    """A PBX with its people and its time, which outlives the routers that serve it.

    `company` is the engine document, whose prompts' lengths and employees' phones the PBX knows.
    """

    company: Mapping[str, Any]
    start_ms: int
    phones: Mapping[str, PhoneScript] = field(default_factory=dict)
    watch: Callable[[Happening], None] | None = None
    agenda: Agenda = field(init=False)
    world: World = field(init=False)

    def __post_init__(self) -> None:
        prompts = {prompt: float(card["seconds"]) for prompt, card in self.company["prompts"].items()}
        self.agenda = Agenda(self.start_ms)
        self.world = World(self.agenda, prompts, self.phones, self.watch)

    def pbx(self) -> SimulatedPbx:
        """A new connection, for a new router."""
        lines: dict[str, list[str]] = {}
        for employee, card in self.company["employees"].items():
            if card.get("endpoint"):
                lines.setdefault(card["endpoint"], []).append(employee)
        return SimulatedPbx(self.world, lines)

    @asynccontextmanager
    async def living(self) -> AsyncIterator[trio.Nursery]:
        """Let the PBX live meanwhile. Raises `trio.TooSlowError` after a day of its time."""
        with trio.fail_after(LONGEST_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.agenda.live)
                yield nursery
                nursery.cancel_scope.cancel()

    async def until_quiet(self, journal: Journal) -> None:
        """Wait until no call goes on, and nobody is on any line."""
        while journal.unfinished() or not self.world.quiet:
            await trio.sleep(_LOOKS_EVERY_S)


def simulate(
    simulation: Simulation,
    engine: Engine,
    journal: Journal,
    arrivals: Iterable[Arrival],
    lookups: Lookups | None = None,
    presence: Mapping[str, str] | None = None,
) -> None:
    """Play calls to their ends, in virtual time. `presence` says who is not at the workplace."""

    async def main() -> None:
        latest_s = 0.0
        pbx = simulation.pbx()
        router = Router(engine, pbx, journal, lookups or SimulatedLookups(), simulation.agenda)
        async with simulation.living() as nursery:
            nursery.start_soon(router.run)
            await pbx.found_calls()
            for employee, state in (presence or {}).items():
                router.presence(employee, state)
            for arrival in arrivals:
                simulation.agenda.after(arrival.after_s, partial(_come, pbx, arrival))
                latest_s = max(latest_s, arrival.after_s)
            await trio.sleep(latest_s + _LOOKS_EVERY_S)
            await simulation.until_quiet(journal)

    run_virtually(main)


def _come(pbx: SimulatedPbx, arrival: Arrival) -> None:
    pbx.come(arrival.call_id, arrival.did, arrival.caller, arrival.script)

"""Scenarios played by the routing loop on the simulated PBX, with the journal in files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import orjson

from kommutator import Engine
from kommutator.company import LoadedCompany, load
from kommutator.pbx.simulated.adapter import SimulatedLookups
from kommutator.pbx.simulated.behaviour import CallerScript, PhoneScript, phones_of
from kommutator.pbx.simulated.world import Channel, World
from kommutator.routing.ledger import FileJournal
from kommutator.simulation import Arrival, Simulation, simulate
from tests.scenario_files import Scenario, inside_calls_of, moment_ms, phone_plans_of

SWITCHED_OFF = {"does": "unreachable"}
INSIDE_S = 3600.0
"""A call from inside the house that nobody ends goes on so long."""


@dataclass(frozen=True)
class Played:
    """What came of it."""

    world: World
    ledger: list[dict[str, Any]]
    claims: list[tuple[str, str, str]]


@cache
def company(folder: Path) -> LoadedCompany:
    """The company of a scenario's folder."""
    return load(folder / "company.yaml")


def engine_of(scenario: Scenario) -> Engine:
    """A new engine that has been told what the scenario says."""
    engine = Engine.of(company(scenario.folder))
    for number, employee in (scenario.data.get("owners") or {}).items():
        engine.owner_is(number, employee)
    for number, moment in (scenario.data.get("called") or {}).items():
        engine.called(number, moment_ms(moment))
    return engine


def simulation_of(scenario: Scenario) -> Simulation:
    """The scenario's phones at the scenario's time."""
    phones = phones_of(phone_plans_of(scenario))
    start_ms = moment_ms(scenario.data["real"].get("at", scenario.data["at"]))
    simulation = Simulation(company(scenario.folder).document, start_ms, phones)
    real = scenario.data["real"]
    for employee, endpoint in inside_calls_of(scenario).items():
        left = real.get("left", {}).get(employee)
        ring_inside(simulation, endpoint, real.get("freed", {}).get(employee, INSIDE_S if left is None else left))
        if left is not None:
            simulation.agenda.after(left, partial(simulation.world.behave, endpoint, PhoneScript.of(SWITCHED_OFF)))
    return simulation


def ring_inside(simulation: Simulation, endpoint: str, seconds: float) -> None:
    """Let a call from inside the house, none of the router's, ring a phone for so long from the arrival on."""
    world = simulation.world
    house = Channel(f"house {endpoint}", "", None, CallerScript(), 0)
    world.ring(house, endpoint)
    simulation.agenda.after(seconds, lambda: world.cancel(house))


def arrival_of(scenario: Scenario) -> Arrival:
    """The scenario's caller."""
    acts = CallerScript.of(scenario.data["real"].get("caller"))
    return Arrival(scenario.call_id, scenario.data["did"], scenario.data["caller"], acts)


def lookups_of(scenario: Scenario) -> SimulatedLookups:
    """The desk's answers."""
    return SimulatedLookups(scenario.data["real"].get("lookups"))


def presence_of(scenario: Scenario) -> Mapping[str, str]:
    """Who is not at the workplace. Lines are what the scenario's phones make them."""
    floor = scenario.data.get("floor") or {}
    return {employee: facts["presence"] for employee, facts in floor.items() if "presence" in facts}


def play(scenario: Scenario, folder: Path) -> Played:
    """Play a scenario without any break."""
    engine, simulation, journal = engine_of(scenario), simulation_of(scenario), FileJournal(folder)
    simulate(simulation, engine, journal, [arrival_of(scenario)], lookups_of(scenario), presence_of(scenario))
    journal.close()
    return Played(simulation.world, ledger(folder), engine.claims(simulation.agenda.now_ms()))


def ledger(folder: Path) -> list[dict[str, Any]]:
    """The lines of the ledger."""
    return [orjson.loads(line) for line in (folder / "ledger.jsonl").read_bytes().splitlines()]

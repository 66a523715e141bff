"""Routers that die in the middle of calls, and routers that take the calls over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from kommutator import Engine
from kommutator.pbx.simulated.agenda import run_virtually
from kommutator.pbx.simulated.behaviour import CallerScript
from kommutator.routing.ledger import FileJournal
from kommutator.routing.loop import Router
from kommutator.routing.ports import Lookups
from kommutator.routing.turn import Event, Turn
from kommutator.simulation import Arrival, Simulation
from tests.routing.played import Played, arrival_of, engine_of, ledger, lookups_of, play, presence_of, simulation_of
from tests.scenario_files import Scenario, scenarios

REAL = [scenario for scenario in scenarios() if "real" in scenario.data]
MOMENT_S = 0.01
"""How long after an action's beginning its router dies, and how long nobody routes then."""


class NotedJournal(FileJournal):
    """Tells when a turn is decided that no earlier router knew."""

    def __init__(self, folder: Path, newest: dict[str, int], of_types: set[str] | None) -> None:
        super().__init__(folder)
        self._of_types = of_types
        self.newest = newest
        self.action = ""
        self.new = trio.Event()

    def turned(self, call_id: str, at_ms: int, event: Event | None, turn: Turn) -> None:
        super().turned(call_id, at_ms, event, turn)
        if turn.sequence > self.newest.get(call_id, -1):
            self.newest[call_id] = turn.sequence
            if self._of_types is None or turn.kind in self._of_types:
                self.action = turn.kind
                self.new.set()


class SlowLookups:
    """Lookups that take a while, so that a router can die meanwhile."""

    def __init__(self, answers: Lookups) -> None:
        self._answers = answers

    async def owner(self, caller: str) -> Event:
        await trio.sleep(0.1)
        return await self._answers.owner(caller)

    async def history(self, caller: str, days: int | None) -> Event:
        await trio.sleep(0.1)
        return await self._answers.history(caller, days)


class Unsteady:
    """A scenario whose router dies soon after the first action, the next one soon after the next, and so on.

    `dies_in` leaves only these types of actions; `lives_s` is for how long a router goes on in one, and `gap_s` how
    long nobody routes then. `others` call as well, one after the other.
    """

    def __init__(
        self,
        scenario: Scenario,
        folder: Path,
        dies_in: set[str] | None = None,
        gap_s: float = MOMENT_S,
        lives_s: float = MOMENT_S,
        others: Sequence[Arrival] = (),
    ) -> None:
        self.scenario = scenario
        self.folder = folder
        self.simulation: Simulation = simulation_of(scenario)
        self.engine: Engine = engine_of(scenario)
        self.died_in: list[str] = []
        self._dies_in = dies_in
        self._gap_s = gap_s
        self._others = others
        self._lives_s = lives_s
        self.newest: dict[str, int] = {}

    def play(self) -> Played:
        run_virtually(self._play)
        return Played(self.simulation.world, ledger(self.folder), self.engine.claims(self.simulation.agenda.now_ms()))

    async def _play(self) -> None:
        coming = [arrival_of(self.scenario), *self._others]
        async with self.simulation.living():
            over = False
            while not over:
                self.engine = engine_of(self.scenario)
                journal = NotedJournal(self.folder, self.newest, self._dies_in)
                pbx = self.simulation.pbx()
                lookups = SlowLookups(lookups_of(self.scenario))
                router = Router(self.engine, pbx, journal, lookups, self.simulation.agenda)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(router.run)
                    await pbx.found_calls()
                    for employee, state in presence_of(self.scenario).items():
                        router.presence(employee, state)
                    for arrival in coming:
                        pbx.come(arrival.call_id, arrival.did, arrival.caller, arrival.script)
                        await trio.sleep(MOMENT_S)
                    coming.clear()
                    over = await self._over_or_new(journal)
                    nursery.cancel_scope.cancel()
                journal.close()
                await trio.sleep(self._gap_s)

    async def _over_or_new(self, journal: NotedJournal) -> bool:
        over = False
        async with trio.open_nursery() as nursery:

            async def die() -> None:
                await journal.new.wait()
                await trio.sleep(self._lives_s)
                self.died_in.append(journal.action)
                nursery.cancel_scope.cancel()

            nursery.start_soon(die)
            await self.simulation.until_quiet(journal)
            over = True
            nursery.cancel_scope.cancel()
        return over


@pytest.mark.parametrize("scenario", REAL, ids=lambda scenario: scenario.id)
def test_a_call_whose_routers_die_goes_as_the_unbroken(scenario: Scenario, tmp_path: Path) -> None:
    unbroken = play(scenario, tmp_path / "unbroken")
    unsteady = Unsteady(scenario, tmp_path / "broken")
    broken = unsteady.play()
    assert without_times(broken.ledger) == without_times(unbroken.ledger), broken.world.log
    assert [(each.what, each.endpoint, each.detail) for each in broken.world.log] == [
        (each.what, each.endpoint, each.detail) for each in unbroken.world.log
    ]
    assert broken.claims == []


def test_routers_died_in_every_kind_of_action(tmp_path: Path) -> None:
    died_in: set[str] = set()
    for place, scenario in enumerate(REAL):
        wanted = {step["expect"]["type"] for step in scenario.steps} - died_in
        if wanted:
            unsteady = Unsteady(scenario, tmp_path / str(place))
            unsteady.play()
            died_in.update(unsteady.died_in)
    assert {"play", "menu", "ring", "record", "find_owner", "find_history", "talk", "transfer", "hang_up"} <= died_in


def without_times(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key != "ended"} for line in lines]


@pytest.mark.parametrize(
    ("stage", "lives_s", "acts", "phones", "ended"),
    [
        ("play", 0.5, [{"during": "play", "hang_up_after": 1}], {}, ("abandoned", "caller")),
        ("ring", 0.5, [{"during": "ring", "hang_up_after": 1}], {}, ("abandoned", "caller")),
        ("record", 2.5, [{"during": "record", "speak": 3, "end": "hang_up"}], {}, ("voicemail", "none")),
        (
            "talk",
            0.5,
            [{"during": "talk", "hang_up_after": 1}],
            {"PJSIP/101": {"does": "answer", "after": 1}},
            ("answered", "none"),
        ),
    ],
)
def test_a_caller_who_leaves_while_nobody_routes_has_one_line(
    stage: str,
    lives_s: float,
    acts: list[dict[str, Any]],
    phones: dict[str, Any],
    ended: tuple[str, str],
    tmp_path: Path,
) -> None:
    office = next(scenario for scenario in REAL if scenario.folder.name == "1-office-hours")
    left = Scenario(office.folder, 0, office.data | {"real": {"caller": acts, "phones": phones}})
    unsteady = Unsteady(left, tmp_path, dies_in={stage}, gap_s=60, lives_s=lives_s)
    played = unsteady.play()
    assert unsteady.died_in == [stage]
    (line,) = played.ledger
    assert (line["disposition"], line["fault"]) == ended
    assert played.claims == []
    assert played.world.quiet


def test_callers_who_wait_keep_their_order_when_the_router_dies(tmp_path: Path) -> None:
    regions = next(scenario for scenario in REAL if scenario.folder.name == "4-regions")
    did, caller = "+78005553535", "+73432012345"
    impatient = [{"during": "ring", "hang_up_after": 5}]
    first = Scenario(
        regions.folder, 0, regions.data | {"did": did, "caller": caller, "call": "first", "real": {"caller": impatient}}
    )
    others = [Arrival(name, did, caller, CallerScript.of(impatient)) for name in ("second", "third")]
    unsteady = Unsteady(first, tmp_path, dies_in={"wait"}, gap_s=1, others=others)
    played = unsteady.play()
    assert unsteady.died_in[0] == "wait"
    assert [leg.call_id for leg in played.world.legs] == ["first", "second", "third"]
    assert [line["disposition"] for line in played.ledger] == ["abandoned"] * 3
    assert played.claims == []

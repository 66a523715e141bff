"""Every scenario that has a `real` section, played whole through the routing loop on the simulated PBX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.routing.played import Played, play
from tests.scenario_files import Scenario, scenarios

REAL = [scenario for scenario in scenarios() if "real" in scenario.data]


@pytest.mark.parametrize("scenario", REAL, ids=lambda scenario: scenario.id)
def test_call_goes_as_on_paper(scenario: Scenario, tmp_path: Path) -> None:
    played = play(scenario, tmp_path)
    assert_as_expected(scenario, played)
    assert played.claims == []
    assert played.world.quiet
    assert all(leg.ended_ms is not None for leg in played.world.legs)


def test_equal_calls_give_equal_runs(tmp_path: Path) -> None:
    for place, scenario in enumerate(REAL[::10]):
        first = play(scenario, tmp_path / f"{place}-first")
        second = play(scenario, tmp_path / f"{place}-second")
        assert first.world.log == second.world.log
        assert first.ledger == second.ledger


def test_a_phone_rings_on_while_others_are_added(tmp_path: Path) -> None:
    (scenario,) = [each for each in REAL if each.data["name"] == "на третьем шаге отвечает тот, кто звонит с первого"]
    legs = play(scenario, tmp_path).world.legs
    seconds = [
        (leg.endpoint, (leg.began_ms - scenario.at_ms) / 1000, ((leg.ended_ms or 0) - scenario.at_ms) / 1000)
        for leg in legs
    ]
    assert seconds == [
        ("PJSIP/101", 0, 32),
        ("PJSIP/102", 0, 30),
        ("PJSIP/103", 15, 30),
        ("PJSIP/104", 25, 30),
        ("+79161230004", 25, 30),
        ("+74957654321", 25, 30),
    ]
    assert [leg.outcome for leg in legs] == ["answered"] + ["cancelled"] * 5


def assert_as_expected(scenario: Scenario, played: Played) -> None:
    """One ledger line with the trace, the effects and the disposition that the scenario's steps tell."""
    (line,) = played.ledger
    end = scenario.steps[-1]["expect"]
    told = "\n".join(map(str, played.world.log))
    assert [[step["node"], step["exit"]] for step in line["trace"]] == scenario.expected_trace(), told
    assert (line["disposition"], line["fault"]) == (end["disposition"], end["fault"]), told
    expected = [effect for step in scenario.steps for effect in step.get("effects", [])]
    assert len(line["effects"]) == len(expected), line["effects"]
    for effect, fields in zip(line["effects"], expected, strict=True):
        assert {key: effect.get(key, "absent") for key in without_length(fields)} == without_length(fields), told
        if effect["type"] == "voicemail":
            assert effect["seconds"] == spoken(scenario), told


def without_length(effect: dict[str, Any]) -> dict[str, Any]:
    """A message of the simulated caller is as long as he speaks, not as long as on paper."""
    return {key: value for key, value in effect.items() if (effect["type"], key) != ("voicemail", "seconds")}


def spoken(scenario: Scenario) -> float:
    return float(sum(act.get("speak", 0) for act in scenario.data["real"].get("caller") or ()))

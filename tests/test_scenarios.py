"""Every scenario of `tests/scenarios/`, turn by turn; the form of the files is told in `scenario_files`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from kommutator import Engine
from kommutator.company import check, load
from tests.scenario_files import Scenario, folders, moment_ms, read_yaml, scenarios

SCENARIOS = list(scenarios())
LONGEST_S = {
    "1-office-hours": {"main": 1.5 + 25 + 1 + 120},
    "2-list-and-menu": {"main": 1.5 + 3 * (2 + 5) + 2 * 2 + 2 * 20 + 3 + 60},
    "3-first-or-repeat": {"main": 1.5 + 0.6 + 2 * (5 + 5) + 2 * 15 + 3 + 90},
    "4-regions": {"main": 3 + 25 + 3 + 60},
    "5-card-and-vip": {"main": 1.5 + 3 * (20 + 4) + 3 + 60},
    "6-hold-and-repeat": {
        "main": 1.5 + 3 * (60 + 4) + 3,
        "halves": 20 + 1.5 + 3 * (60 + 4) + 3,
        "branch": 30 + 1.5 + 3 * (60 + 4) + 3,
    },
    "7-owner-first": {"main": 0.8 + 20 + 25 + 3 + 60},
    "8-expanding": {"main": 15 + 10 + 20 + 1 + 60, "by-rank": 3 * 12},
    "9-queue": {"main": 60 + 4 + 3 + 60},
}
"""Of each scheme: its prompts, rounds, waits for digits, lookups and recordings on the longest way, by hand."""
FROM_MS = moment_ms("2026-11-18T12:00:00+03:00")


@pytest.fixture(scope="module")
def documents() -> dict[Path, bytes]:
    return {folder: load(folder / "company.yaml").engine_json for folder in folders()}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.id)
def test_call_goes_as_expected(scenario: Scenario, documents: dict[Path, bytes]) -> None:
    engine = Engine(documents[scenario.folder])
    for number, employee in scenario.data.get("owners", {}).items():
        engine.owner_is(number, employee)
    for number, moment in scenario.data.get("called", {}).items():
        engine.called(number, moment_ms(moment))
    set_floor(engine, scenario.data.get("floor", {}))
    now_ms = scenario.at_ms
    state = b""
    for index, step in enumerate(scenario.steps):
        set_floor(engine, step.get("floor", {}))
        if index == 0:
            turn = engine.arrive(scenario.call_id, scenario.data["did"], scenario.data["caller"], now_ms)
        else:
            event = dict(step["event"])
            now_ms += round(event.pop("after", 0) * 1000)
            turn = engine.handle(state, event, now_ms)
        state = turn.state
        said = turn.to_dict()
        told = (
            f"step {index}: {step.get('event', 'arrival')}\n{orjson.dumps(said, option=orjson.OPT_INDENT_2).decode()}"
        )
        assert_fields(seen_action(said["action"]), step["expect"], told)
        assert [[passed["node"], passed["exit"]] for passed in said["trace"]] == step.get("trace", []), told
        effects = step.get("effects", [])
        assert len(said["effects"]) == len(effects), told
        for effect, expected in zip(said["effects"], effects, strict=True):
            assert_fields(effect, expected, told)
        assert engine.resume(state, now_ms).action.to_dict() == said["action"], told
    assert not engine.claims(now_ms), "somebody stays claimed"


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_company_is_proven(folder: Path) -> None:
    report = check(folder / "company.yaml", FROM_MS)
    assert [finding for finding in report.findings if finding["severity"] != "note"] == []
    assert {name: scheme["longest_seconds"] for name, scheme in report.schemes.items()} == LONGEST_S[folder.name]


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_engine_document_is_that_of_the_company(folder: Path) -> None:
    compiled = orjson.loads(load(folder / "company.yaml").engine_json)
    kept = orjson.loads((folder / "company.json").read_bytes())
    # Calendars come from a package that is corrected from time to time; the scenarios hold for the dates they name.
    for document in (compiled, kept):
        for schedule in document["schedules"].values():
            if "holidays" in schedule:
                schedule["holidays"] = schedule["holidays"]["country"]
    assert kept == compiled, "run `kommutator compile company.yaml -o company.json`"


@pytest.mark.parametrize("folder", folders(), ids=lambda folder: folder.name)
def test_every_exit_is_taken(folder: Path) -> None:
    schemes = read_yaml(folder / "company.yaml")["schemes"].values()
    exits = {
        (node, exit_)
        for scheme in schemes
        for node, body in scheme["nodes"].items()
        for exit_ in [*body.get("exits", {}), *(("busy", "unavailable") if body["kind"] == "ring" else ())]
    }
    taken = {
        (node, exit_)
        for scenario in SCENARIOS
        if scenario.folder == folder
        for node, exit_ in scenario.expected_trace()
    }
    assert exits - taken == set()


def test_names_are_unique() -> None:
    names = [str(scenario) for scenario in SCENARIOS]
    assert len(set(names)) == len(names)


def set_floor(engine: Engine, floor: dict[str, dict[str, str]]) -> None:
    for employee, facts in floor.items():
        if "presence" in facts:
            engine.presence(employee, facts["presence"])
        if "line" in facts:
            engine.line(employee, facts["line"])


def seen_action(action: dict[str, Any]) -> dict[str, Any]:
    """An action as scenarios write it: endpoints by their addresses."""
    if "endpoints" in action:
        return action | {"endpoints": [endpoint["endpoint"] for endpoint in action["endpoints"]]}
    return action


def assert_fields(seen: dict[str, Any], expected: dict[str, Any], told: str) -> None:
    assert {key: seen.get(key, "absent") for key in expected} == expected, told

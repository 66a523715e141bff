"""A day's bookkeeping: every caller has one end, nobody talks to two at once, shifts and patience are kept."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from kommutator.company import load
from kommutator.engine import Engine
from kommutator.errors import BadAssumption
from kommutator.forecast.assumptions import Assumptions
from kommutator.forecast.callers import Caller, drawn, over_hours
from kommutator.forecast.chance import Seconds
from kommutator.forecast.day import Day, Outcome
from kommutator.forecast.figures import figures

SCENARIOS = sorted((Path(__file__).parents[1] / "scenarios").glob("*/company.yaml"))
MONDAY_MS = 1_795_381_200_000
"""2026-11-23 00:00 in Moscow."""


def played(
    document: Path, assumptions: Assumptions, calls: float = 1500, seed: int = 3
) -> tuple[list[Caller], Outcome]:
    loaded = load(document)
    engine = Engine.of(loaded)
    for employee in loaded.document["employees"]:
        engine.presence(employee, "present")
        engine.line(employee, "idle")
    dids = [did for did in loaded.document["numbers"] if did != "default"]
    callers = list(drawn(over_hours(calls, assumptions.hours, Random(f"moments {seed}")), assumptions, dids, seed))
    return callers, Day(engine, loaded.document, assumptions, MONDAY_MS, seed).run(callers)


@pytest.mark.parametrize("document", SCENARIOS, ids=lambda path: path.parent.name)
def test_every_caller_has_one_end_and_nobody_talks_to_two(document: Path) -> None:
    callers, outcome = played(document, Assumptions())
    assert sorted(call.came_s for call in outcome.calls) == [caller.came_s for caller in callers]
    assert {call.disposition for call in outcome.calls} <= {
        "answered", "voicemail", "abandoned", "no_answer", "busy", "unavailable", "informed", "transferred",
    }  # fmt: skip
    spans: dict[str, list[tuple[float, float]]] = {}
    for call in outcome.calls:
        assert 0 <= call.queued_s <= call.waited_s + 1e-6
        assert (call.disposition == "answered") == (call.talked_s > 0)
        if call.employee is not None:
            begins = call.came_s + call.waited_s
            spans.setdefault(call.employee, []).append((begins, begins + call.talked_s))
    for employee, those in spans.items():
        for (_, over), (begins, _) in pairwise(sorted(those)):
            assert over <= begins + 1e-6, employee
        assert outcome.employees[employee].calls == len(those)
    assert outcome.waiting[-1][1] == 0
    told = figures(outcome, 20)
    assert told.calls == sum(told.dispositions.values()) == sum(hour.calls for hour in told.hours) == len(callers)


def test_who_has_no_shift_is_rung_all_day_and_the_others_within_theirs() -> None:
    document = next(path for path in SCENARIOS if path.parent.name == "6-hold-and-repeat")
    shifts = {"operators": ["10:00-12:00"], "anna": ["15:00-16:00"]}
    _, outcome = played(document, Assumptions.of({"shifts": shifts}, "test"))
    answered: dict[str | None, list[float]] = {}
    for call in outcome.calls:
        if call.talked_s:
            answered.setdefault(call.employee, []).append((call.came_s + call.waited_s) / 3600)
    assert min(answered["anna"]) >= 15 and max(answered["anna"]) < 16.02, (
        "a phone that rings at the end may be picked up"
    )
    assert min(answered["boris"]) >= 10 and max(answered["boris"]) < 12.02
    assert min(answered["sergey"]) < 9.5 and max(answered["sergey"]) > 17
    assert outcome.employees["boris"].there_s == 2 * 3600


def test_without_patience_nobody_is_answered_and_with_endless_nobody_leaves() -> None:
    document = SCENARIOS[0]
    _, hasty = played(document, Assumptions.of({"patience": "fixed:0.5"}, "test"), calls=200)
    assert {call.disposition for call in hasty.calls} <= {"abandoned", "voicemail", "informed"}
    _, calm = played(document, Assumptions.of({"patience": "never"}, "test"), calls=200)
    assert "abandoned" not in {call.disposition for call in calm.calls if call.disposition != "voicemail"} or all(
        call.talked_s == 0 for call in calm.calls if call.disposition == "abandoned"
    )


def test_equal_seeds_give_equal_days_and_others_do_not() -> None:
    document = SCENARIOS[0]
    first, again, other = (played(document, Assumptions(), 300, seed)[1].calls for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_arrivals_follow_the_hours_weights() -> None:
    moments = list(over_hours(20_000, {9: 1, 14: 3}, Random("hours")))
    assert all(9 <= moment / 3600 < 10 or 14 <= moment / 3600 < 15 for moment in moments)
    early = sum(moment < 10 * 3600 for moment in moments)
    assert abs(early - 5000) < 5 * 5000**0.5, "five deviations of a Poisson count"
    assert moments == sorted(moments)


@pytest.mark.parametrize(
    "written", ["fixed:30", "exp:30", "uniform:10,50", "lognormal:30,20", "erlang:3,30"], ids=lambda text: text
)
def test_distributions_have_the_mean_that_they_state(written: str) -> None:
    seconds, chance = Seconds.read(written), Random(written)
    draws = [seconds.draw(chance) for _ in range(20_000)]
    assert seconds.mean == 30
    assert sum(draws) / len(draws) == pytest.approx(30, rel=0.03)
    assert min(draws) >= 0


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ({"talk": "exp:-1"}, "talk: `exp:-1` is no distribution"),
        ({"talk": "gauss:1"}, "talk: `gauss:1` is no distribution"),
        ({"patience": "file:/nowhere"}, "patience: `file:/nowhere`: No such file"),
        ({"shifts": {"anna": ["9-13"]}}, r"shifts.anna.0: `9-13` is no shift"),
        ({"shifts": {"anna": ["13:00-09:00"]}}, "does not end after its beginning"),
        ({"no_pick_up": 2}, "no_pick_up: Input should be less than or equal to 1"),
        ({"patient": "exp:3"}, "patient: Extra inputs are not permitted"),
        ({"hours": {25: 1}}, "hours.25"),
    ],
)
def test_what_cannot_be_assumed_is_named(written: dict[str, object], says: str) -> None:
    with pytest.raises(BadAssumption, match=says):
        Assumptions.of(written, "day.yaml")

"""The budget of instructions: what holds it, and what breaks it."""

from bench.budget import MOST, over

BUDGET = {"1-office-hours": {"arrival": 1000, "answered_call": 10_000}}


def test_five_per_cent_more_are_allowed_and_no_more() -> None:
    assert over({"1-office-hours": {"arrival": 1050, "answered_call": 9000}}, BUDGET, MOST) == []
    (fault,) = over({"1-office-hours": {"arrival": 1051, "answered_call": 10_500}}, BUDGET, MOST)
    assert "arrival" in fault
    assert "1,051" in fault


def test_what_has_no_budget_is_a_fault() -> None:
    assert over({"9-new": {"arrival": 1}}, BUDGET, MOST) != []

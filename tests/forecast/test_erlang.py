"""The engine's own hunts against Erlang's formulas: within confidence intervals, on fixed seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.erlang import Row, compare
from kommutator.forecast import erlang


def test_the_formulas_give_published_values() -> None:
    """Of the tables of ITU-D SG 2, "Handbook Teletraffic Engineering" (2005): Erlang B, 1 % at 10 lines is 4.4612 erlangs."""
    assert erlang.blocked(10, 4.4612) == pytest.approx(0.01, rel=1e-4)
    assert erlang.blocked(1, 1.0) == 0.5
    assert erlang.blocked(2, 1.0) == pytest.approx(0.2)


@pytest.mark.parametrize(
    "row",
    [Row(3, 2.0), Row(10, 12.0), Row(5, 3.0, talk="fixed:180"), Row(4, 4.0, talk="lognormal:180,240")],
    ids=str,
)
def test_a_hunt_turns_away_as_many_as_erlang_says(row: Row, tmp_path: Path) -> None:
    measured = compare(row, tmp_path, replications=10, calls=1500, seed=7)
    assert measured.low <= measured.expected <= measured.high, measured
    assert measured.high - measured.low < 0.1, "so wide an interval shows nothing"

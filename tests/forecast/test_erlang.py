"""The engine's own hunts and queues against Erlang's formulas: within confidence intervals, on fixed seeds."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench.erlang import Row, compare
from kommutator.forecast import erlang


def test_the_formulas_give_published_values() -> None:
    """Of the tables of ITU-D SG 2, "Handbook Teletraffic Engineering" (2005): Erlang B, 1 % at 10 lines is 4.4612 erlangs."""
    assert erlang.blocked(10, 4.4612) == pytest.approx(0.01, rel=1e-4)
    assert erlang.blocked(1, 1.0) == 0.5
    assert erlang.blocked(2, 1.0) == pytest.approx(0.2)


def test_a_queue_of_one_agent_is_that_of_the_textbooks() -> None:
    """With one agent Erlang C is M/M/1: as many wait as the agent is busy, `load / (1 - load)` talk times in the mean."""
    assert erlang.waits(1, 0.8) == pytest.approx(0.8)
    assert erlang.mean_wait(1, 0.8, 180) == pytest.approx(4 * 180)
    assert erlang.served_within(1, 0.8, 180, 0) == pytest.approx(0.2)
    assert erlang.waits(2, 1.0) == pytest.approx(1 / 3)


def test_with_endless_patience_nobody_leaves_and_with_none_everybody_who_finds_all_busy() -> None:
    assert erlang.gives_up(5, 4.0, 180, 1e12) == pytest.approx(0, abs=1e-6)
    assert erlang.gives_up(5, 4.0, 180, 1e-9) == pytest.approx(erlang.blocked(5, 4.0), rel=1e-6)
    # With patience as long as talks the number present is that of infinitely many servers: Poisson.
    shares = [math.exp(-4.0) * 4.0**n / math.factorial(n) for n in range(60)]
    waiting = sum(share * max(0, n - 5) for n, share in enumerate(shares))
    assert erlang.gives_up(5, 4.0, 180, 180) == pytest.approx(waiting / 4.0)


@pytest.mark.parametrize(
    "row",
    [Row(3, 2.0), Row(10, 12.0), Row(5, 3.0, talk="fixed:180"), Row(4, 4.0, talk="lognormal:180,240")],
    ids=str,
)
def test_a_hunt_turns_away_as_many_as_erlang_says(row: Row, tmp_path: Path) -> None:
    (measured,) = compare(row, tmp_path, replications=10, calls=1500, seed=7)
    assert measured.holds, measured
    assert measured.high - measured.low < 0.1, "so wide an interval shows nothing"


@pytest.mark.parametrize("row", [Row(1, 0.5, patience=math.inf), Row(6, 3.6, patience=math.inf)], ids=str)
def test_a_queue_makes_callers_wait_as_erlang_says(row: Row, tmp_path: Path) -> None:
    for measured in compare(row, tmp_path, replications=10, calls=5000, seed=7, warm=0.2):
        assert measured.holds, measured
        assert measured.high - measured.low < measured.expected, "so wide an interval shows nothing"


@pytest.mark.parametrize("row", [Row(2, 2.5, patience=60.0), Row(6, 5.0, patience=180.0)], ids=str)
def test_as_many_leave_a_queue_as_erlang_says(row: Row, tmp_path: Path) -> None:
    (measured,) = compare(row, tmp_path, replications=10, calls=1500, seed=7, warm=0.2)
    assert measured.holds, measured
    assert measured.high - measured.low < 0.1, "so wide an interval shows nothing"

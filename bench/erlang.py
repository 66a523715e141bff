"""The engine's hunts and queues against Erlang's formulas over a table of loads: `python -m bench.erlang [--short]`.

Set up as theory has it: Poisson arrivals, phones picked up at once, no wrapping up, nobody fails to pick up.

- Erlang B: a `ring` whose callers are turned away when all are busy, whatever the talk's distribution.
- Erlang C: a `queue` whose callers wait as long as it takes: how many wait, the mean wait, the share served within 20 s.
- Erlang A: a `queue` whose callers' patience is exponential: how many leave.

Each row is played in independent days; of each the first share of the calls does not count, for the day begins with everybody
idle. The interval is Student's, of the days' means, at 99.9 %. A figure outside of it fails. Loads at which less than one call
in fifty waits or leaves are left out: what is so seldom comes in swarms, and no such days say how often.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Final, Literal

import click
from rich.console import Console
from rich.table import Table

from bench.machine import conditions, keep
from kommutator.engine import Engine
from kommutator.forecast import erlang
from kommutator.forecast.assumptions import Assumptions
from kommutator.forecast.callers import drawn, poisson
from kommutator.forecast.day import Day, Ended
from tests.forecast.companies import DID, LOSS, QUEUE, company

TALK_S: Final = 180.0
_SELDOM: Final = 0.02
WITHIN_S: Final = 20.0
QUANTILES: Final = {9: 4.781, 19: 3.883}
"""Student's, two-sided 99.9 %, by degrees of freedom."""
CONSOLE: Final = Console()
Figure = Literal["turned away", "wait at all", "mean wait, s", "within 20 s", "leave"]


@dataclass(frozen=True, slots=True)
class Row:
    """How many agents, the load in erlangs, how long people talk (`TALK_S` in the mean), and callers' patience.

    Without patience callers are turned away (B); with `never` they wait for ever (C), with a mean in seconds they leave (A).
    """

    agents: int
    load: float
    talk: str = f"exp:{TALK_S}"
    patience: float | None = None

    def __str__(self) -> str:
        calm = "" if self.patience is None else f", patience {self.patience:g} s"
        return f"{self.agents} agents, {self.load:g} E, {self.talk}{calm}"

    @property
    def formulas(self) -> dict[Figure, float]:
        """What theory says."""
        agents, load = self.agents, self.load
        if self.patience is None:
            return {"turned away": erlang.blocked(agents, load)}
        if math.isfinite(self.patience):
            return {"leave": erlang.gives_up(agents, load, TALK_S, self.patience)}
        return {
            "wait at all": erlang.waits(agents, load),
            "mean wait, s": erlang.mean_wait(agents, load, TALK_S),
            "within 20 s": erlang.served_within(agents, load, TALK_S, WITHIN_S),
        }


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure: what theory says, and where the days' mean is with 99.9 %."""

    row: Row
    figure: Figure
    expected: float
    mean: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether theory is within the interval."""
        return self.low <= self.expected <= self.high


LOSSES: Final = [
    *(
        Row(agents, load)
        for agents, load in [(1, 0.2), (1, 2.0), (3, 2.0), (5, 5.0), (10, 6.0), (10, 12.0), (40, 35.0)]
    ),
    *(Row(agents, load, "fixed:180") for agents, load in [(1, 1.0), (5, 5.0), (40, 42.0)]),
    *(Row(agents, load, "lognormal:180,240") for agents, load in [(2, 1.0), (10, 9.0)]),
]
WAITS: Final = [
    Row(agents, round(agents * occupancy, 6), patience=math.inf)
    for agents in (1, 2, 5, 10, 25, 50)
    for occupancy in (0.5, 0.7, 0.8, 0.9, 0.95)
    if 1 - erlang.served_within(agents, agents * occupancy, TALK_S, WITHIN_S) >= _SELDOM
]
LEAVING: Final = [
    Row(agents, round(agents * occupancy, 6), patience=patience)
    for agents in (1, 5, 20, 50)
    for occupancy in (0.5, 0.8, 0.95, 1.1)
    for patience in (60.0, 300.0)
    if erlang.gives_up(agents, agents * occupancy, TALK_S, patience) >= _SELDOM
]
_MEASURES: Final[dict[Figure, Callable[[Ended], float]]] = {
    "turned away": lambda call: call.disposition == "busy",
    "wait at all": lambda call: call.waited_s > 0,
    "mean wait, s": lambda call: call.waited_s,
    "within 20 s": lambda call: call.waited_s <= WITHIN_S,
    "leave": lambda call: call.disposition == "abandoned",
}


def compare(row: Row, folder: Path, replications: int, calls: int, seed: int, warm: float = 0.1) -> list[Measured]:
    """Plays a row; the first `warm` of each day's calls do not count."""
    loaded = company(folder, row.agents, LOSS if row.patience is None else QUEUE)
    patience = "never" if row.patience is None or math.isinf(row.patience) else f"exp:{row.patience}"
    still = {"wrap_up": "fixed:0", "answer": "fixed:0", "no_pick_up": 0, "patience": patience}
    assumptions = Assumptions.of({"talk": row.talk, **still}, "bench")
    formulas = row.formulas
    means: dict[Figure, list[float]] = {figure: [] for figure in formulas}
    for replication in range(replications):
        engine = Engine.of(loaded)
        for employee in loaded.document["employees"]:
            engine.line(employee, "idle")
            engine.presence(employee, "present")
        own = 1000 * seed + replication
        moments = islice(poisson(row.load / TALK_S, Random(f"moments {own}")), calls)
        ended = Day(engine, loaded.document, assumptions, 0, own).run(drawn(moments, assumptions, [DID], own)).calls
        counted = sorted(ended, key=lambda call: call.came_s)[round(calls * warm) :]
        for figure, of_row in means.items():
            of_row.append(statistics.fmean(map(_MEASURES[figure], counted)))
    measured = []
    for figure, of_row in means.items():
        mean = statistics.fmean(of_row)
        off = QUANTILES[len(of_row) - 1] * statistics.stdev(of_row) / math.sqrt(len(of_row))
        measured.append(Measured(row, figure, formulas[figure], mean, mean - off, mean + off))
    return measured


@click.command(help=__doc__)
@click.option("--short", is_flag=True, help="A few calls: to see that everything runs. Keeps no figures.")
def main(short: bool) -> None:
    """Measures, keeps and prints."""
    figures: dict[str, Any] = { **conditions(),
    }  # fmt: skip
    table = Table("row", "figure", "theory", "measured", "99.9 % from", "to", title="the engine and Erlang's formulas")
    measured: list[Measured] = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for row in [*LOSSES, *WAITS, *LEAVING]:
            # A queue that is nearly always full forgets its beginning slowly.
            warm = 0.1 if row.patience is None else 0.25
            measured += compare(row, Path(folder), 10 if short else 20, 500 if short else 10_000, 1, warm)
    figures["seconds"] = round(time.perf_counter() - began, 1)
    for each in measured:
        numbers = (f"{x:.4f}" for x in (each.expected, each.mean, each.low, each.high))
        table.add_row(str(each.row), each.figure, *numbers)
    figures["rows"] = [asdict(each) for each in measured]
    CONSOLE.print(table)
    outside = [each for each in measured if not each.holds]
    if outside and not short:
        raise click.ClickException(f"outside of their intervals: {[(str(each.row), each.figure) for each in outside]}")
    if not short:
        CONSOLE.print(f"kept in {keep(figures, 'erlang')}")


if __name__ == "__main__":
    main()

"""The engine's hunts against Erlang's formula over a table of loads: `python -m bench.erlang [--short]`.

Set up as theory has it: Poisson arrivals, phones picked up at once, no wrapping up, nobody fails to pick up; a `ring` whose
callers are turned away when all are busy is Erlang B, whatever the talk's distribution. Each row is played in independent
days; of each the first tenth of the calls does not count, for the day begins with everybody idle. The interval is
Student's, of the days' means, at 99.9 %. A row outside of it fails.
"""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table

from bench.machine import commit, keep, machine
from kommutator.engine import Engine
from kommutator.forecast import erlang
from kommutator.forecast.assumptions import Assumptions
from kommutator.forecast.callers import drawn, poisson
from kommutator.forecast.day import Day
from tests.forecast.companies import DID, company

TALK_S: Final = 180.0
QUANTILES: Final = {9: 4.781, 19: 3.883}
"""Student's, two-sided 99.9 %, by degrees of freedom."""
CONSOLE: Final = Console()


@dataclass(frozen=True, slots=True)
class Row:
    """How many agents, the load in erlangs, and how long people talk: `TALK_S` in the mean."""

    agents: int
    load: float
    talk: str = f"exp:{TALK_S}"

    def __str__(self) -> str:
        return f"{self.agents} agents, {self.load:g} E, {self.talk}"


@dataclass(frozen=True, slots=True)
class Measured:
    """The share of calls that are turned away: what theory says, and where the days' mean is with 99.9 %."""

    row: Row
    expected: float
    mean: float
    low: float
    high: float


TABLE: Final = [
    *(
        Row(agents, load)
        for agents, load in [(1, 0.2), (1, 2.0), (3, 2.0), (5, 5.0), (10, 6.0), (10, 12.0), (40, 35.0)]
    ),
    *(Row(agents, load, "fixed:180") for agents, load in [(1, 1.0), (5, 5.0), (40, 42.0)]),
    *(Row(agents, load, "lognormal:180,240") for agents, load in [(2, 1.0), (10, 9.0)]),
]


def compare(row: Row, folder: Path, replications: int, calls: int, seed: int) -> Measured:
    """Plays a row."""
    loaded = company(folder, row.agents)
    still = {"wrap_up": "fixed:0", "answer": "fixed:0", "no_pick_up": 0, "patience": "never"}
    assumptions = Assumptions.of({"talk": row.talk, **still}, "bench")
    means: list[float] = []
    for replication in range(replications):
        engine = Engine.of(loaded)
        for employee in loaded.document["employees"]:
            engine.line(employee, "idle")
            engine.presence(employee, "present")
        own = 1000 * seed + replication
        moments = islice(poisson(row.load / TALK_S, Random(f"moments {own}")), calls)
        ended = Day(engine, loaded.document, assumptions, 0, own).run(drawn(moments, assumptions, [DID], own)).calls
        counted = sorted(ended, key=lambda call: call.came_s)[calls // 10 :]
        means.append(sum(call.disposition == "busy" for call in counted) / len(counted))
    mean = statistics.fmean(means)
    off = QUANTILES[len(means) - 1] * statistics.stdev(means) / math.sqrt(len(means))
    return Measured(row, erlang.blocked(row.agents, row.load), mean, mean - off, mean + off)


@click.command(help=__doc__)
@click.option("--short", is_flag=True, help="A few calls: to see that everything runs. Keeps no figures.")
def main(short: bool) -> None:
    """Measures, keeps and prints."""
    figures: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"), **commit(), "machine": machine(),
        "load_before": round(os.getloadavg()[0], 2),
    }  # fmt: skip
    table = Table("row", "theory", "measured", "99.9 % from", "to", title="turned away: the engine's hunt and Erlang B")
    rows: list[Measured] = []
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for row in TABLE:
            rows.append(compare(row, Path(folder), 10 if short else 20, 500 if short else 10_000, 1))
    figures["seconds"] = round(time.perf_counter() - began, 1)
    for each in rows:
        table.add_row(str(each.row), *(f"{x:.4f}" for x in (each.expected, each.mean, each.low, each.high)))
    figures["rows"] = [asdict(each) for each in rows]
    CONSOLE.print(table)
    outside = [each for each in rows if not each.low <= each.expected <= each.high]
    if outside and not short:
        raise click.ClickException(f"outside of their intervals: {[str(each.row) for each in outside]}")
    if not short:
        CONSOLE.print(f"kept in {keep(figures, 'erlang')}")


if __name__ == "__main__":
    main()

"""Data at scale, beside its goals: ten million numbers on a list and with owners, a hundred million callers, a million calls.

`python -m bench.scale [--small]`. All sizes whole: some five minutes on a quiet machine, and 3 GiB of memory. Every figure
comes from `rust/engine/benches/numbers.rs` and `memory.rs`, which show first that their answers are right; what is held
against a goal here is the median of times, and the worst of what is said never to be longer.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import click
import orjson
from rich.console import Console
from rich.table import Table

from bench.machine import conditions, keep, output, versions
from bench.processes import run


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure, and what is asked of it: nothing, where it is only told."""

    figure: str
    what: str
    unit: str
    at: Literal["most", "least", "told"] = "told"
    bound: float = 0.0
    beside: str | None = None
    """The figure of the same run that it cannot be better than."""

    def met(self, figures: Mapping[str, float]) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if self.at == "told":
            return None
        figure = figures[self.figure]
        return figure <= self.bound if self.at == "most" else figure >= self.bound


GOALS: Final = [
    Goal("list/kommutator", "list of 10 M: a number", "bytes", "most", 9),
    Goal("list/warm/kommutator", "… looked up, again and again", "ns", "most", 60),
    Goal("list/anywhere/kommutator", "… in no order", "ns", "most", 60, "list/anywhere/memory"),
    Goal("list/in turn/kommutator", "… out of cache, one after another", "ns", "most", 250,
         "list/in turn/memory in large pages"),
    Goal("list/cold/kommutator", "… out of all caches, pages' places too", "ns", "most", 250,
         "list/cold/memory in large pages"),
    Goal("file/a list", "… from its CSV file", "M/s", "least", 5),
    Goal("plan/warm/kommutator", "plan of 738,140 ranges: longest match", "ns", "most", 50),
    Goal("plan/anywhere/kommutator", "… in no order", "ns", beside="plan/anywhere/binary_search"),
    Goal("plan/document to version", "… from the document to a version", "ms", "most", 1_000),
    Goal("owners/size", "owners of 10 M: a number", "bytes", "most", 9),
    Goal("owners/made with room/resident", "… as the process grows", "bytes", "most", 9),
    Goal("memory/owner/warm/of", "… looked up, again and again", "ns", "most", 60),
    Goal("memory/owner/cold/of", "… out of cache, one after another", "ns", "most", 250, "memory/owner/cold/one access"),
    Goal("memory/owner/told and forgotten", "… forgotten and told again", "ns"),
    Goal("callers/size", "callers, 100 M, last call to the millisecond: a number", "bytes"),
    Goal("callers/resident", "… as the process grows", "bytes"),
    Goal("memory/caller/cold/called before", "… called before?", "ns"),
    Goal("memory/caller/cold/first call", "… never?", "ns"),
    Goal("memory/caller/told again", "… told of another call", "ns"),
    Goal("calls in flight/state", "1 M calls in flight: a call's state", "bytes", "most", 512),
    Goal("calls in flight/resident", "… as the process grows", "bytes"),
    Goal(
        "memory/calls in flight/a step beside them", "… a step beside them", "ns",
        beside="memory/calls in flight/a step, one call",
    ),
    Goal("router/a call held", "… what a router of queries keeps of each", "bytes"),
    Goal("router/written anew", "… its longest query while all are written anew", "ms"),
    Goal("memory/calls in flight/a step, each call in turn", "… a step, its state out of cache", "ns"),
    *(
        Goal(
            f"memory/next employee/{strategy}, one free of 1000, 50000 people", f"the one free of 1,000: {strategy}", "ns",
            beside=f"memory/next employee/{strategy}, one free of 10, 10 people",
        )
        for strategy in ("round_robin", "longest_idle", "fewest_calls", "random", "linear")
    ),
    Goal("steps beside swaps/worked/worst", "versions and tables swapped beside steps: the longest, worked", "µs", "most", 1_000,
         "steps alone/worked/worst"),
    Goal("steps beside swaps/waited for the engine/worst", "… the longest wait for the engine, by the clock", "µs",
         beside="steps alone/waited for the engine/worst"),
    Goal("steps beside swaps/processor/longer than 1 ms", "… steps of more than 1 ms of processor time", "",
         beside="steps alone/processor/longer than 1 ms"),
    Goal("steps beside swaps/clock/longer than 1 ms", "… of more than 1 ms by the clock, interrupted ones with them", "",
         beside="steps alone/clock/longer than 1 ms"),
    Goal("steps beside swaps/clock/p99.999", "… p99.999 by the clock", "µs", beside="steps alone/clock/p99.999"),
    Goal("steps beside swaps/stolen", "… taken by the machine's host meanwhile", "ms", beside="steps alone/stolen"),
    Goal("steps beside changes/worked/worst", "changes one by one, without pause: the longest step, worked", "µs", "most", 1_000),
    Goal("steps beside changes/waited for the engine/p99.9", "… waiting for the engine, p99.9 by the clock", "µs"),
    *(
        Goal(f"held/{swap}", f"engine held, the longest: {swap}", "µs", "most", 100)
        for swap in ("hold", "activate", "take_version", "list_files", "swap_owners", "swap_callers")
    ),
    *(
        Goal(f"held/{change}", f"… {change}", "µs", "most", 1_000)
        for change in ("owner_is", "forget_owner", "called", "listed")
    ),
]  # fmt: skip

CONSOLE: Final = Console()


@click.command(help=__doc__)
@click.option("--small", is_flag=True, help="A hundredth of everything: to see that it runs. Keeps no figures.")
def main(small: bool) -> None:
    """Measures, keeps and prints."""
    figures = {
        **conditions(),
        "versions": versions(),
        "figures": measure(small),
    }
    show(figures["figures"], figures["load_before"])
    if not small:
        CONSOLE.print(f"kept in {keep(figures, 'scale')}")


def measure(small: bool) -> dict[str, float]:
    """All figures by name. What is timed by criterion is its median, in nanoseconds."""
    with tempfile.TemporaryDirectory() as home:
        kept = Path(home) / "figures.jsonl"
        environment = {"CRITERION_HOME": home, "BENCH_FIGURES": str(kept), "BENCH_PERCENT": "1" if small else "100"}
        for bench in ("numbers", "memory"):
            place = ["-p", "kommutator-engine", "--bench", bench]
            run("cargo", "bench", "--locked", *place, "--", "--noplot", environment=environment)
        held = orjson.loads(output(sys.executable, "-m", "bench.held_calls", "10000" if small else "990000"))
        router = {"router/a call held": float(held["bytes_each"]), "router/written anew": float(held["longest_ms"])}
        told = [orjson.loads(line) for line in kept.read_bytes().splitlines()]
        return {figure["name"]: figure["value"] for figure in told} | medians(Path(home)) | router


def medians(home: Path) -> dict[str, float]:
    """What criterion has kept in its folder: medians in nanoseconds, by the name of the benchmark."""
    found: dict[str, float] = {}
    for path in sorted(home.rglob("new/estimates.json")):
        name = orjson.loads(path.with_name("benchmark.json").read_bytes())["full_id"]
        found[name] = orjson.loads(path.read_bytes())["median"]["point_estimate"]
    return found


def show(figures: Mapping[str, float], load_before: float) -> None:
    """Prints the goals beside the figures."""
    table = Table("what", "measured", "goal", "", "beside, in the same run", title="Data at scale")
    for goal in GOALS:
        if goal.figure not in figures:
            continue  # of a small run, some have other names
        met = goal.met(figures)
        bound = {"most": "≤ ", "least": "≥ ", "told": ""}[goal.at] + (f"{goal.bound:,g}" if met is not None else "–")
        beside = f"{goal.beside} {figures[goal.beside]:,.4g}" if goal.beside and goal.beside in figures else ""
        mark = {True: "[green]reached[/]", False: "[red]not reached[/]", None: ""}[met]
        table.add_row(goal.what, f"{figures[goal.figure]:,.4g} {goal.unit}", bound, mark, beside)
    CONSOLE.print(f"load average before: {load_before}")
    CONSOLE.print(table)


if __name__ == "__main__":
    main()

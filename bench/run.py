"""Runs every benchmark with its peers, keeps the figures in `bench/results/`, and prints them, ratios first.

`python -m bench.run [--short]`, or `make bench`. Nothing here judges a figure: only a wrong answer fails.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click
import orjson
from rich.console import Console
from rich.table import Table

from bench import budget, scale
from bench.budget import Counts
from bench.machine import conditions, keep, versions
from bench.processes import run
from tests.apt import PackagesMissing

PEERS: Final = [
    ("hours of scheme 1: open now?", "Rust", "wavekat-flow", "office/hours"),
    ("scheme 1, walked through, answered", "Rust", "wavekat-flow", "office/walk/answered"),
    ("scheme 1, walked through, voicemail", "Rust", "wavekat-flow", "office/walk/voicemail"),
    ("scheme 2 without its list, walked through, by menu", "Rust", "wavekat-flow", "menu/walk/answered"),
    ("scheme 1, whole call, answered", "Rust", "wavekat-flow", "office/answered"),
    ("scheme 1, whole call, voicemail", "Rust", "wavekat-flow", "office/voicemail"),
    ("scheme 2, whole call, by menu", "Rust", "wavekat-flow", "menu/answered"),
    ("scheme 1: the decision alone", "Rust", "wavekat-flow", "office/decision"),
    ("scheme 2: the decision alone", "Rust", "wavekat-flow", "menu/decision"),
    ("scheme 2: list, hours → team", "Python", "zen-engine", "test_decision/2-list-and-menu"),
    ("scheme 4: region, hours → team", "Python", "zen-engine", "test_decision/4-regions"),
    ("scheme 2: the decision alone, by columns", "Python", "zen-engine", "test_pure_decision/2-list-and-menu"),
    ("scheme 4: the decision alone, by columns", "Python", "zen-engine", "test_pure_decision/4-regions"),
    ("scheme 2: the same, columns of buffers", "Python", "zen-engine", "test_pure_decision/2-list-and-menu"),
    ("scheme 4: the same, columns of buffers", "Python", "zen-engine", "test_pure_decision/4-regions"),
    ("region of a number, as dialled", "Python", "phonenumbers", "test_region"),
]
"""What is compared, called from where, with whom, and the names of both figures without the last part."""
BUFFERS: Final = "columns of buffers"
"""How comparisons end whose figure of ours is that of buffers."""

GOALS: Final = {"zen-engine": 100, "wavekat-flow": 20, "phonenumbers": 100}
"""How many times faster than a peer Kommutator means to be."""
LOADED_NS: Final = 500
"""The most that an arrival means to take, in the middle, with a country's data loaded."""

TESTS: Final = ["bench/test_decisions.py", "bench/test_regions.py"]

CONSOLE: Final = Console()


@click.command(help=__doc__)
@click.option("--short", is_flag=True, help="Measure for a moment only: to see that everything runs. Keeps no figures.")
def main(short: bool) -> None:
    """Measures, keeps and prints."""
    figures: dict[str, Any] = {
        **conditions(),
        "versions": versions(),
    }
    medians = rust(short) | python(short)
    figures["ratios"] = ratios(medians)
    figures["medians_ns"] = medians
    figures["instructions"] = instructions()
    figures["scale"] = scale.measure(short)
    show(figures)
    scale.show(figures["scale"], figures["load_before"])
    if not short:
        CONSOLE.print(f"kept in {keep(figures)}")


def rust(short: bool) -> dict[str, float]:
    """Medians of the Rust benchmarks in nanoseconds: the engine's own, and those with peers."""
    quick = ["--warm-up-time", "0.1", "--measurement-time", "0.3"] if short else []
    less = {"BENCH_PERCENT": "1"} if short else {}
    with tempfile.TemporaryDirectory() as home:
        for place in (
            ["-p", "kommutator-engine", "--bench", "decisions"],
            ["-p", "kommutator-engine", "--bench", "loaded"],
            ["--manifest-path", "bench/peers/Cargo.toml"],
        ):
            environment = {"CRITERION_HOME": home, **less}
            run("cargo", "bench", "--locked", *place, "--", "--noplot", *quick, environment=environment)
        return scale.medians(Path(home))


def python(short: bool) -> dict[str, float]:
    """Medians of the Python benchmarks in nanoseconds; of those of many calls, a call's."""
    with tempfile.TemporaryDirectory() as home:
        kept = Path(home) / "benchmarks.json"
        seconds = "0.1" if short else "2"
        options = [
            f"--benchmark-json={kept}",
            f"--benchmark-max-time={seconds}",
            "--benchmark-columns=median,iqr,rounds",
        ]
        still = ["--benchmark-warmup=on", "--benchmark-disable-gc"]
        run(sys.executable, "-m", "pytest", "-q", *TESTS, *options, *still)
        found = orjson.loads(kept.read_bytes())["benchmarks"]
    calls = {python_name(benchmark): benchmark["extra_info"].get("calls", 1) for benchmark in found}
    medians = {python_name(benchmark): benchmark["stats"]["median"] * 1e9 for benchmark in found}
    return {name: median / calls[name] for name, median in medians.items()}


def python_name(benchmark: Mapping[str, Any]) -> str:
    """A benchmark's name: its function, and its parameters in the order in which they vary."""
    test, *_ = str(benchmark["name"]).split("[")
    return "/".join([test, *map(str, (benchmark["params"] or {}).values())])


def ratios(medians: Mapping[str, float]) -> list[dict[str, Any]]:
    """Each comparison: how many times the peer's time is ours. Above 1, Kommutator is the faster one."""
    return [
        {
            "what": what,
            "from": language,
            "peer": peer,
            "kommutator_ns": ours,
            "peer_ns": medians[f"{name}/{peer}"],
            "ratio": round(medians[f"{name}/{peer}"] / ours, 3),
        }
        for what, language, peer, name in PEERS
        for ours in [medians[f"{name}/kommutator, of buffers" if what.endswith(BUFFERS) else f"{name}/kommutator"]]
    ]


def instructions() -> Counts | None:
    """Instructions of each scheme's arrival and answered call, or none where valgrind cannot be had."""
    try:
        return budget.count()
    except PackagesMissing as missing:
        CONSOLE.print(f"[yellow]instructions are not counted: {missing}[/]")
        return None


def show(figures: Mapping[str, Any]) -> None:
    """Prints the figures: ratios to peers, then the calls."""
    told = figures["machine"]
    names = ", ".join(f"{name} {number}" for name, number in figures["versions"].items())
    CONSOLE.print(f"\n{told['cpu']}, {told['cores']} cores, {told['memory_gib']} GiB; {figures['commit']}; {names}\n")
    medians = figures["medians_ns"]

    CONSOLE.print(peers(figures["ratios"]), highlight=False, soft_wrap=True)
    CONSOLE.print(loaded(medians), highlight=False, soft_wrap=True)

    table = Table(
        "scheme", "Rust µs", "Python µs", "instructions", title="Medians: the arrival · the decision · the whole call"
    )
    counted = figures["instructions"] or {}
    before = orjson.loads(budget.BUDGET.read_bytes())["instructions"]
    for scheme in (name.removeprefix("arrival/") for name in medians if name.startswith("arrival/")):
        rust_row = " · ".join(microseconds(medians[f"{what}/{scheme}"]) for what in budget.WHAT)
        told = ("test_arrival", "test_decide", "test_answered_call")
        python_row = " · ".join(microseconds(medians[f"{what}/{scheme}"]) for what in told)
        instructions_row = (
            " · ".join(budget.changed(counts[what], before[scheme].get(what)) for what in budget.WHAT)
            if (counts := counted.get(scheme))
            else "–"
        )
        table.add_row(scheme, rust_row, python_row, instructions_row)
    CONSOLE.print(table)

    table = Table(
        "through Python", "median µs", title="One arrival with its action read, one step, and batches of 1,000"
    )
    for name in (
        name
        for name in medians
        if name.startswith(("test_step/", "test_arrive_many", "test_handle_many", "test_first_action"))
    ):
        table.add_row(name.removeprefix("test_"), microseconds(medians[name]))
    CONSOLE.print(table)


def peers(compared: Sequence[Mapping[str, Any]]) -> str:
    """The README's table of peers, in Markdown."""
    rows = ["| what | from | peer | ours, µs | peer, µs | peer ÷ ours | goal |", "|---|---|---|---|---|---|---|"]
    for ratio in compared:
        ours, theirs = microseconds(ratio["kommutator_ns"]), microseconds(ratio["peer_ns"])
        times = f"{ratio['ratio']:.2g}" if ratio["ratio"] < 10 else f"{ratio['ratio']:.0f}"
        cells = (ratio["what"], ratio["from"], ratio["peer"], ours, theirs, times, GOALS[ratio["peer"]])
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*rows, ""])


def loaded(medians: Mapping[str, float]) -> str:
    """The README's table of arrivals with a country's data loaded, in Markdown; nanoseconds."""
    kinds = ("warm", "cold", "decided, warm", "decided, cold")
    rows = [f"| loaded, ns | {' | '.join(kinds)} | goal |", "|---|---|---|---|---|---|"]
    for scheme in dict.fromkeys(name.split("/")[1] for name in medians if name.startswith("loaded/")):
        cells = [f"{medians[f'loaded/{scheme}/{kind}']:.0f}" for kind in kinds]
        rows.append(f"| {scheme} | {' | '.join(cells)} | {LOADED_NS} |")
    return "\n".join([*rows, ""])


def microseconds(nanoseconds: float) -> str:
    """Microseconds, with as many digits as mean something."""
    return f"{nanoseconds / 1000:,.3f}" if nanoseconds < 1000 else f"{nanoseconds / 1000:,.2f}"


if __name__ == "__main__":
    main()

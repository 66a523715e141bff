"""Instructions of each measured decision, held to the budget in `bench/instructions.json`.

`python -m bench.budget`, a part of `make check`: more than 5 % above the budget is a failure. `--write`, or `make budget`,
makes the counts at hand the new budget; a change of it is reviewed as any other. Counts do not depend on what else the
machine does. They do depend on the compiler, the C library, the processor's architecture and those of its features by
which the C library chooses how to copy, which the budget names: where one differs, counts are compared loosely, and that
is said.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import orjson
from rich.console import Console
from rich.table import Table

from bench.machine import ROOT, commit, output
from bench.valgrind import Valgrind, valgrind
from tests.apt import PackagesMissing

BUDGET: Final = ROOT / "bench/instructions.json"
TIMES: Final = 200
"""How many times each decision is made while instructions are counted; the mean is kept."""
WHAT: Final = {"arrival": "arrivals", "decision": "decisions", "walk": "walks", "answered_call": "answered_calls"}
"""What is counted: a function of `bench/decide`, and the one that calls it so many times."""
MOST: Final = 1.05
MOST_ELSEWHERE: Final = 1.3
"""How far a count may be above the budget; on another toolchain, there is only this."""

FEATURES: Final = {"avx", "avx2", "avx512vl", "bmi2", "erms", "fsrm", "movbe", "rtm", "sse4_2"}

Counts = dict[str, dict[str, int]]
CONSOLE: Final = Console()


@dataclass(frozen=True, slots=True)
class Toolchain:
    """What counts depend on besides the code."""

    rustc: str
    libc: str
    architecture: str
    features: str

    @classmethod
    def here(cls) -> Toolchain:
        """This machine's."""
        libc, rustc = " ".join(platform.libc_ver()), output("rustc", "--version").split()[1]
        return cls(rustc, libc, platform.machine(), features())

    @classmethod
    def of(cls, budget: Mapping[str, Any]) -> Toolchain:
        """That of a budget."""
        return cls(budget["rustc"], budget["libc"], budget["architecture"], budget["features"])


def features() -> str:
    """What this processor has of `FEATURES`; nothing where Linux does not say."""
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
    flags = re.search(r"^flags\s*:(.*)$", told, re.MULTILINE)
    return " ".join(sorted(FEATURES & set(flags[1].split()))) if flags is not None else ""


@click.command(help=__doc__)
@click.option("--write", is_flag=True, help="Make the counts at hand the budget.")
def main(write: bool) -> None:
    """Counts, and compares or writes."""
    try:
        counts = count()
    except PackagesMissing as missing:
        if write:
            raise click.ClickException(str(missing)) from None
        CONSOLE.print(f"[yellow]Instructions are NOT counted, the budget is not held: {missing}[/]")
        return
    here = Toolchain.here()
    if write:
        BUDGET.write_bytes(document(counts, here))
        CONSOLE.print(f"the budget is in {BUDGET.relative_to(ROOT)}")
        return
    budget = orjson.loads(BUDGET.read_bytes())
    most = MOST if Toolchain.of(budget) == here else MOST_ELSEWHERE
    if most != MOST:
        told = f"The budget was counted with {Toolchain.of(budget)}, this is {here}: compared loosely"
        CONSOLE.print(f"[yellow]{told}[/]")
    CONSOLE.print(table(counts, budget["instructions"]))
    if faults := over(counts, budget["instructions"], most):
        CONSOLE.print("[red]over the budget:[/]", *faults, sep="\n")
        CONSOLE.print("Find out where they go, or say why they must, and write a new budget by `make budget`.")
        sys.exit(1)


def over(counts: Counts, budget: Counts, most: float) -> list[str]:
    """What is above `most` times its budget, or has none."""
    faults = []
    for scheme, whats in counts.items():
        for what, counted in whats.items():
            allowed = budget.get(scheme, {}).get(what)
            if allowed is None:
                faults.append(f"{scheme}, {what}: {counted:,} instructions, and no budget")
            elif counted > allowed * most:
                faults.append(f"{scheme}, {what}: {counted:,} instructions, the budget is {allowed:,}")
    return faults


def count() -> Counts:
    """Instructions of each scheme's arrival, decision, walk and answered call, the reply's end included. Raises `PackagesMissing`.

    All are counted in one run of one small program, which takes a few seconds.
    """
    tool = valgrind()
    command = ["cargo", "build", "-q", "--release", "--locked", "-p", "kommutator-decide", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    messages = [orjson.loads(line) for line in built.splitlines()]
    (program,) = [message["executable"] for message in messages if message.get("executable")]
    totals = iter(counted(tool, program))
    calls = orjson.loads((ROOT / "bench/calls.json").read_bytes())
    return {scheme: {what: round(next(totals) / TIMES) for what in WHAT} for scheme in calls}


def counted(tool: Valgrind, program: str) -> list[int]:
    """Instructions of each run of the functions of `WHAT`, in order, with all that they call."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "counts"
        options = ["--tool=callgrind", f"--callgrind-out-file={out}", "--combine-dumps=yes"]
        for one, many in WHAT.items():
            options += [f"--toggle-collect=kommutator_decide::{one}", f"--dump-after=kommutator_decide::{many}"]
        done = subprocess.run(
            [tool.program, *options, program, str(TIMES)],
            env={**os.environ, **tool.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise click.ClickException(f"callgrind ended with {done.returncode}:\n{done.stderr}")
        parts = out.read_text().split("\npart: ")[1:]
    dumped = [part for part in parts if re.search(r"^desc: Trigger: --dump-after", part, re.MULTILINE)]
    return [int(re.findall(r"^(?:totals|summary): (\d+)", part, re.MULTILINE)[-1]) for part in dumped]


def document(counts: Counts, toolchain: Toolchain) -> bytes:
    """The budget, as it is kept."""
    head = {
        "commit": commit()["commit"],
        "rustc": toolchain.rustc,
        "libc": toolchain.libc,
        "architecture": toolchain.architecture,
        "features": toolchain.features,
    }
    option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps({**head, "instructions": counts}, option=option)


def table(counts: Counts, budget: Counts) -> Table:
    """Each count, with its change since the budget where that is more than chance."""
    shown = Table("scheme", *WHAT, title="Instructions")
    for scheme, whats in counts.items():
        shown.add_row(scheme, *(changed(whats[what], budget.get(scheme, {}).get(what)) for what in WHAT))
    return shown


def changed(now: int, before: int | None) -> str:
    """A count, and its change since the budget."""
    if before is None:
        return f"{now:,} (new)"
    change = 100 * (now - before) / before
    return f"{now:,}" if abs(change) < 0.5 else f"{now:,} ({change:+.1f} %)"


if __name__ == "__main__":
    main()

"""Servers under load, and runs against them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio

from kommutator.load.arrivals import Arrivals, Callers, Steady
from kommutator.load.result import Report
from kommutator.load.run import Run
from kommutator.load.target import Options
from kommutator.load.targets import make
from kommutator.load.worker import Job
from tests.router.house import Process

ROOT: Final = Path(__file__).parents[2]
COMPANY: Final = str(ROOT / "tests/scenarios/2-list-and-menu/company.yaml")
OTHER: Final = str(ROOT / "tests/scenarios/6-hold-and-repeat/company.yaml")
DID: Final = "+74951112233"
NOON: Final = "2026-11-18T12:00:00+03:00"
"""A working day."""
PATIENCE_S: Final = 120.0


@asynccontextmanager
async def queried(folder: Path, *arguments: str, company: str = COMPANY) -> AsyncIterator[tuple[Process, str]]:
    """`kommutator query` while the context lasts, and its address."""
    process = Process(folder / "query.log", "query", company, "--listen", "127.0.0.1:0", "--log", "json", *arguments)
    process.start()
    try:
        said = await process.says("ready")
        yield process, f"http://{said['listening']}"
    finally:
        if process.running:
            os.kill(process.pid, signal.SIGCONT)
            process.end()


async def load(
    *arguments: str,
    begun: Callable[[subprocess.Popen[str]], None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, Any, str]:
    """`kommutator load`, with the report as JSON: exit code, report (None without one), and standard error."""

    def run() -> tuple[int, Any, str]:
        with subprocess.Popen(
            [sys.executable, "-m", "kommutator", "load", *arguments, "--json", "-"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "200", **(environment or {})},
        ) as process:
            if begun is not None:
                begun(process)
            out, errors = process.communicate(timeout=PATIENCE_S)
            return process.returncode, json.loads(out) if out else None, errors

    return await trio.to_thread.run_sync(run)


async def ran(
    address: str,
    arrivals: Arrivals,
    on_look: Callable[[Run], None] | None = None,
    *,
    options: Options | None = None,
    dids: Sequence[str] = (DID,),
) -> Report:
    """A run in this process; its generator is a process of its own all the same."""
    options = options or Options()
    job = Job(
        address=address,
        options=options,
        arrivals=arrivals,
        callers=Callers(tuple(dids)),
        seed=1,
        run="test",
        place=0,
        of=1,
        width_s=0.5,
        most_open=10_000,
        check=options.company is not None,
    )
    run = Run([job], make(address, options).servers(), on_look)
    with trio.fail_after(PATIENCE_S):
        await run.run()
    return run.result.report(run.usage)


def steady(rate: float, for_s: float) -> Steady:
    """So many calls a second, by chance."""
    return Steady(rate, rate, for_s)

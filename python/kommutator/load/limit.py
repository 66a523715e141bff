"""The generator's own limit: calls to a server that answers a constant, at rates that grow until the generator is late."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator
from typing import Final

import msgspec
import trio

from kommutator.load.arrivals import Callers, Steady
from kommutator.load.result import Report
from kommutator.load.run import Run
from kommutator.load.target import Options
from kommutator.load.targets import make
from kommutator.load.worker import Job

_FIRST: Final = 2_000.0
_GROWS: Final = 1.25
_FOR_S: Final = 2.0
_LATE_MS: Final = 2.0
_DID: Final = "+74951112233"


class Rung(msgspec.Struct, frozen=True):
    """How the generators fared at one rate."""

    rate: float
    kept: bool
    """Whether they kept up: half of the calls were turned to within 2 ms, and every one was answered."""
    report: Report


class Limit(msgspec.Struct, frozen=True):
    """What generators can do on this machine, beside a server that takes its part of it."""

    rate: float
    """The highest rate that they kept up with, all together; 0 where there was none."""
    per_core: float
    """Calls by the seconds of processor that they took at that rate."""


async def rungs(processes: int, first: float = _FIRST) -> AsyncGenerator[Rung, None]:
    """Rates that grow by a quarter from the first, up to the second in a row that is not kept up with.

    Its server ends when it is closed.
    """
    server = await trio.lowlevel.open_process(
        [sys.executable, "-m", "kommutator.load.constant"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        port = int(await server.stdout.receive_some(16))
        rate, missed = first, 0
        while missed < 2:
            rung = await _rung(f"http://127.0.0.1:{port}", rate, processes)
            yield rung
            missed = 0 if rung.kept else missed + 1
            rate *= _GROWS
    finally:
        with trio.CancelScope(shield=True):
            await server.stdin.aclose()
            await server.wait()
            await server.stdout.aclose()


def limit(seen: list[Rung]) -> Limit:
    """What was found."""
    best = max((rung for rung in seen if rung.kept), key=lambda rung: rung.rate, default=None)
    if best is None:
        return Limit(0.0, 0.0)
    return Limit(best.rate, best.report.answered / max(best.report.generator_s, 1e-9))


async def _rung(address: str, rate: float, processes: int) -> Rung:
    options = Options()
    jobs = [
        Job(
            address=address,
            options=options,
            arrivals=Steady(rate, rate, _FOR_S),
            callers=Callers((_DID,)),
            seed=1,
            run="self",
            place=place,
            of=processes,
            width_s=_FOR_S,
            most_open=1000,
            check=False,
        )
        for place in range(processes)
    ]
    run = Run(jobs, make(address, options).servers())
    await run.run()
    report = run.result.report(run.usage)
    late = report.lateness
    kept = late is not None and late.percentiles["50"] < _LATE_MS and report.answered == report.calls
    return Rung(rate, kept, report)

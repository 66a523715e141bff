"""Real servers for targets of load to ask, as processes of their own, and the asking itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import trio

from kommutator.load.result import Report
from kommutator.load.run import Run
from kommutator.load.target import Ask, Options, Target, Told
from kommutator.load.targets import make

from .serving import ran, steady

PATIENCE_S = 60.0
_REPOSITORY = Path(__file__).resolve().parents[2]


class Process:
    """A process with a log, until the context ends; then it is killed."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self._log = folder / f"{name}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=_REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log.read_text(errors="replace")

    def wait_for(self, what: Callable[[str], object]) -> None:
        """Wait until its log has this."""
        deadline = time.monotonic() + PATIENCE_S
        while not what(self.log):
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def killed_meanwhile(
    address: str, dids: Sequence[str], kill: Callable[[], object], options: Options | None = None
) -> Report:
    """The report of a run whose server is killed when 20 calls were answered."""
    killed: list[bool] = []

    def look(run: Run) -> None:
        if not killed and run.result.report(None).answered >= 20:
            killed.append(True)
            kill()

    async def main() -> Report:
        return await ran(address, steady(50, 3), look, options=options or Options(deadline_s=2), dids=dids)

    return trio.run(main)


def free_port() -> int:
    """A port of TCP that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def asks(dids: Sequence[str], run: str, first: int = 0, caller: str = "+79161234567") -> list[Ask]:
    """A call to each of these numbers, now; `first` is the number of the first, by which people act."""
    at_ms = time.time_ns() // 1_000_000
    return [Ask(number, f"{run}-{number}", did, caller, at_ms) for number, did in enumerate(dids, first)]


def ask_all(
    address: str, options: Options, calls: Sequence[Ask], then: Callable[[Target, list[Told]], None] | None = None
) -> list[Told]:
    """Make all these calls at once; what each was told, in their order. `then` sees it before the target is closed."""

    async def main() -> list[Told]:
        target = make(address, options)
        told: list[Told] = [Told(error="nothing")] * len(calls)

        async def one(place: int) -> None:
            told[place] = await target.ask(calls[place])

        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                await target.open(nursery)
                async with trio.open_nursery() as asking:
                    for place in range(len(calls)):
                        asking.start_soon(one, place)
                if then is not None:
                    then(target, told)
                await target.close()
                nursery.cancel_scope.cancel()
        return told

    return trio.run(main)

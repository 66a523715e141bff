"""The simulated PBX and its routers as processes, which tests kill."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.behaviour import PhoneAct
from kommutator.pbx.simulated.control import PbxControl, control_of

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0
BY_HAND = {"PJSIP/101": (PhoneAct(),), "PJSIP/102": (PhoneAct(),)}
"""Phones that wait to be picked up."""


class Process:
    """A process of ours."""

    def __init__(self, log: Path, *command: str) -> None:
        self._command = [sys.executable, *command]
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it."""
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT}"}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=ROOT, env=environment)

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it, and wait for it; its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(20)

    def wait(self) -> int:
        """Its exit code, when it ends by itself."""
        assert self._process is not None
        return self._process.wait(20)

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None


class Pbx(Process):
    """`kommutator pbx main` on a data folder."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "kommutator.toml"
        config.write_text(f'[routers.main.pbx]\nkind = "simulated"\n{settings}\n')
        self.socket = folder / "data" / "pbx" / "main.sock"
        command = ("pbx", "main", "--config", str(config), "--data", str(folder / "data"))
        super().__init__(folder / "pbx.log", "-m", "kommutator", *command)

    def start(self) -> None:
        """Run it, until it serves."""
        super().start()
        until_s = time.monotonic() + PATIENCE_S
        while not self.socket.exists():
            assert self.running, self.log.read_text()
            assert time.monotonic() < until_s
            time.sleep(0.02)


class Router(Process):
    """A router on a folder."""

    def __init__(self, pbx: Pbx, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        super().__init__(folder / "router.log", "-m", "tests.simulated.router", str(pbx.socket), str(folder))

    async def lines(self, count: int = 1) -> list[dict[str, Any]]:
        """The ledger, when it has so many lines."""

        async def written() -> bool:
            return len(self.ledger()) >= count

        await until(written)
        return self.ledger()

    def ledger(self) -> list[dict[str, Any]]:
        """The ledger's lines."""
        path = self.folder / "ledger.jsonl"
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


@pytest.fixture
def pbx(tmp_path: Path) -> Iterator[Pbx]:
    made = Pbx(tmp_path)
    made.start()
    yield made
    if made.running:
        made.end()


@pytest.fixture
def router(pbx: Pbx, tmp_path: Path) -> Iterator[Router]:
    made = Router(pbx, tmp_path / "router")
    made.start()
    yield made
    if made.running:
        made.end()


class Watched:
    """Everything that one watcher was told of one PBX."""

    def __init__(self, control: PbxControl) -> None:
        self.control = control
        self.told: list[codec.Told] = []

    async def until(self, wanted: Callable[[codec.Told], bool]) -> codec.Told:
        """Wait for what is wanted, or find it."""
        with trio.fail_after(PATIENCE_S):
            for told in self.told:
                if wanted(told):
                    return told
            while True:
                told = await self.control.told()
                self.told.append(told)
                if wanted(told):
                    return told

    async def happened(self, call_id: str, what: str) -> codec.Told:
        """Wait until something happens to a call."""
        return await self.until(
            lambda told: isinstance(told, codec.Happened) and (told.call_id, told.what) == (call_id, what)
        )

    async def decided(self, call_id: str, action: str) -> codec.Decided:
        """Wait until an action of this type is performed for a call."""
        told = await self.until(
            lambda told: isinstance(told, codec.Decided) and (told.call_id, told.turn.kind) == (call_id, action)
        )
        assert isinstance(told, codec.Decided)
        return told

    async def over(self, call_id: str) -> codec.Over:
        """Wait until the router has done with a call."""
        told = await self.until(lambda told: isinstance(told, codec.Over) and told.call_id == call_id)
        assert isinstance(told, codec.Over)
        return told

    def count(self, call_id: str, what: str) -> int:
        """How often something happened to a call."""
        return sum(
            isinstance(told, codec.Happened) and (told.call_id, told.what) == (call_id, what) for told in self.told
        )


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that must come true."""
    with trio.fail_after(PATIENCE_S):
        while not await condition():
            await trio.sleep(0.02)


async def routed(control: PbxControl) -> None:
    """Wait until a router is there that knows the company, and has all calls in hand."""

    async def known() -> bool:
        standing = await control.about()
        return standing.router and bool(standing.sounds.numbers) and standing.in_hand == standing.calls

    await until(known)


def played(action: Callable[[Watched], Awaitable[None]], pbx: Pbx) -> None:
    """Do something with a hand on the PBX that watches everything."""

    async def main() -> None:
        async with control_of(pbx.socket) as control:
            await control.watch()
            await action(Watched(control))

    trio.run(main)

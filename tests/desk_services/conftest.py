"""The desk as a process, on a database of its own in the shared server, with a real exchange."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kommutator.crm import versions
from kommutator.crm.pool import Database
from kommutator.exchange.embedded import EmbeddedNats
from tests.crm.conftest import anyio_backend, db, dsn, server, server_folder  # noqa: F401 - fixtures
from tests.desk_services.router import COMPANY

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0


async def until(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], patience_s: float = PATIENCE_S) -> None:
    """Wait for something that must come true."""
    async with asyncio.timeout(patience_s):
        while True:
            found = condition()
            if (await found) if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.05)


class Child:
    """A process, whose standard output is read line by line and whose log is a file."""

    def __init__(self, log: Path, *arguments: str, **environment: str) -> None:
        self.log = log
        with log.open("ab") as written:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdout=subprocess.PIPE,
                stderr=written,
                text=True,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT}", **environment},
            )

    def line(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it, and wait for it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


class Desk:
    """The desk of one data folder, killed and begun again."""

    def __init__(self, data: Path, config: Path) -> None:
        self.data = data
        self.config = config
        self.log = data.parent / "desk.log"
        self._child: Child | None = None
        self._read = 0

    def start(self, **environment: str) -> None:
        """Begin; it may not serve yet."""
        self._read = self.log.stat().st_size if self.log.exists() else 0
        self._child = Child(
            self.log, "kommutator", "desk", "--config", str(self.config), "--data", str(self.data), **environment
        )

    def said(self) -> str:
        """Its log since it began."""
        return self.log.read_bytes()[self._read :].decode()

    @property
    def url(self) -> str | None:
        """Where it serves; None before."""
        found = re.search(r'"url": ?"(http://[^"]+)"', self.said())
        return found and found[1]

    async def serving(self) -> str:
        """Wait until it serves."""

        def up() -> bool:
            assert self._child is not None and self._child.process.poll() is None, self.said()
            return self.url is not None

        await until(up)
        assert self.url is not None
        return self.url

    async def get(self, path: str) -> httpx.Response:
        """Ask it."""
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"{self.url}{path}")

    async def ready(self) -> None:
        """Wait until it says that nothing is missing."""
        await self.serving()

        async def well() -> bool:
            return (await self.get("/readyz")).status_code == 200

        await until(well)

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it; its exit code."""
        assert self._child is not None
        child, self._child = self._child, None
        return child.end(number)

    def stop(self) -> None:
        """At the end of a test, whatever became of it."""
        if self._child is not None:
            self.end()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def nats(data: Path) -> Iterator[EmbeddedNats]:
    """The exchange's server of the data folder."""
    running = EmbeddedNats(data / "nats")
    running.start()
    yield running
    running.stop()


Configure = Callable[..., Desk]


@pytest.fixture
def configure(data: Path) -> Iterator[Configure]:
    """Makes a desk with tables of its configuration."""
    made: list[Desk] = []

    def make(**tables: dict[str, Any]) -> Desk:
        config = data.parent / "kommutator.toml"
        log = {"form": "json"}
        lines = ["[desk]", 'listen = "127.0.0.1:0"']
        for name, table in {"log": log, **tables}.items():
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        config.write_text("\n".join(lines) + "\n")
        made.append(Desk(data, config))
        return made[-1]

    yield make
    for each in made:
        each.stop()


async def activate(db: Database, path: Path = COMPANY) -> int:  # noqa: F811
    """Import a company and make it the active one; its number."""
    from kommutator.app.desk import now

    draft = await asyncio.to_thread(versions.read_draft, path, round(time.time() * 1000))
    async with db.transaction("test") as tx:
        number, _ = await versions.add(tx, draft, "", now())
        await versions.activate(tx, number, "", now())
    return number


def free_port() -> int:
    """A port that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port

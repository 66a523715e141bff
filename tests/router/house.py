"""A house of real processes around one data folder: routers, simulated PBXs, the exchange, and a desk that knows versions."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from kommutator.company import load
from kommutator.exchange.bundle import bundle
from kommutator.exchange.messages import Activation, CompanyVersion
from kommutator.exchange.nats.versions import DeskVersions
from kommutator.pbx.simulated.control import PbxControl, control_of
from tests.exchange.conftest import Desk, Nats
from tests.telephony.asterisk import Asterisk

PATIENCE_S = 60.0
_STEP_S = 0.02

COMPANY = """
company: {name: Дом, timezone: Europe/Moscow, country: RU, language: ru}
employees:
  anna: {name: Анна Смирнова, department: sales, rank: 1, endpoint: PJSIP/101}
  boris: {name: Борис Орлов, department: sales, rank: 1, endpoint: PJSIP/102}
departments: {sales: {name: Отдел продаж}}
prompts: {leave-message: {say: "Оставьте сообщение.", seconds: 0.2}}
numbers: {"+74951112233": {scheme: main}}
schemes:
  main:
    start: team
    responsible: sales
    nodes:
      team:    {kind: ring, ring: [{department: sales}], seconds: 5, exits: {no_answer: mailbox}}
      mailbox: {kind: voicemail, prompt: leave-message, seconds: 5, exits: {done: bye}}
      bye:     {kind: hangup}
"""
DID = "+74951112233"


class Process:
    """A command of ours in a process, with its log; `kill` is SIGKILL, `start` runs it again."""

    def __init__(self, log: Path, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self._command = [sys.executable, "-m", "kommutator", *arguments]
        self._log = log
        self.environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._read_from = 0

    def start(self) -> None:
        """Run it."""
        self._read_from = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self.environment, stdout=log, stderr=log)

    def end(self, number: signal.Signals = signal.SIGKILL) -> int:
        """End it; its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(20)

    @property
    def pid(self) -> int:
        """Its id."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process is not None and self._process.poll() is None

    def lines(self) -> list[dict[str, Any]]:
        """Its log since the last start."""
        with self._log.open("rb") as log:
            log.seek(self._read_from)
            lines = log.read().split(b"\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def said(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The lines of this event with these fields."""
        wanted = {"event": event, **fields}
        return [line for line in self.lines() if all(line.get(key) == value for key, value in wanted.items())]

    async def says(self, event: str, count: int = 1, **fields: Any) -> dict[str, Any]:
        """Wait until it has said this so often; the last of it."""
        await self.until(lambda: len(self.said(event, **fields)) >= count)
        return self.said(event, **fields)[-1]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that must come true while it lives."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if not self.running or time.monotonic() > deadline:
                raise AssertionError(f"{'too late' if self.running else 'it is gone'}\n{self.tail()}")
            await trio.sleep(_STEP_S)

    def tail(self) -> str:
        """The end of the log."""
        return self._log.read_text(errors="replace")[-5000:] if self._log.exists() else ""


class Router(Process):
    """A router of the configuration."""

    def __init__(self, house: House, name: str) -> None:
        super().__init__(house.folder / f"route-{name}.log", "route", name, "--config", str(house.config))
        self.data = house.data / "routers" / name

    async def ready(self) -> None:
        """Wait until it routes."""
        await self.says("ready")

    def ledger(self) -> dict[str, dict[str, Any]]:
        """Its ledger, by call."""
        path = self.data / "ledger.jsonl"
        lines = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
        assert len({line["call_id"] for line in lines}) == len(lines), "a call has two lines"
        return {line["call_id"]: line for line in lines}

    async def ended(self, call_id: str) -> dict[str, Any]:
        """Wait for the call's line in the ledger."""
        await self.until(lambda: call_id in self.ledger())
        return self.ledger()[call_id]

    async def turned(self, call_id: str, action: str) -> None:
        """Wait until this action of the call is performed."""
        await self.says("turn", call=call_id, action=action)

    def get(self, path: str) -> tuple[int, str]:
        """What its server of figures answers."""
        url = self.said("figures are served")[-1]["url"].removesuffix("/metrics")
        try:
            with urllib.request.urlopen(url + path, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def figure(self, name: str) -> float:
        """A figure's value now; 0 where it has none yet."""
        for line in self.get("/metrics")[1].splitlines():
            if line.rpartition(" ")[0] == name:
                return float(line.rpartition(" ")[2])
        return 0.0


class House:
    """The processes. What was started is ended by `close`."""

    def __init__(self, folder: Path, *routers: str, asterisk: Asterisk | None = None) -> None:
        """Each router is at a simulated PBX of its own, or the only one at this Asterisk."""
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir(exist_ok=True)
        self.config = folder / "kommutator.toml"
        self.nats = Nats(self.data / "nats")
        self.routers = {}
        self.pbxs = {}
        self.active: tuple[Activation, CompanyVersion] | None = None
        self._activations = 0
        parts = [f'data = "{self.data}"', '[log]\nform = "json"']
        for name in routers:
            parts.append(f'[routers.{name}]\nmetrics = "127.0.0.1:0"\n[routers.{name}.pbx]')
            self.routers[name] = Router(self, name)
            if asterisk is not None:
                parts.append(
                    f'kind = "asterisk"\nurl = "{asterisk.ari_url}"\nuser = "{asterisk.ari_user}"\n'
                    f'password = "{asterisk.ari_password}"\nsilence_s = 2'
                )
                continue
            parts.append('kind = "simulated"')
            self.pbxs[name] = Process(folder / f"pbx-{name}.log", "pbx", name, "--config", str(self.config))
        self.config.write_text("\n".join(parts) + "\n", encoding="utf-8")

    def close(self) -> None:
        """End what runs."""
        for process in (*self.routers.values(), *self.pbxs.values()):
            if process.running:
                process.end()
        self.nats.stop()

    def version(self, name: str, company: str = COMPANY) -> CompanyVersion:
        """A version as a desk would have it."""
        path = self.folder / "company.yaml"
        path.write_text(company, encoding="utf-8")
        loaded = load(path)
        return bundle(name, loaded.engine_json, loaded.prompts)

    async def _read(self) -> tuple[Activation, CompanyVersion] | None:
        return self.active

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[TellingDesk]:
        """A desk on the exchange, while the context lasts."""
        desk = Desk(self.nats.settings)
        telling = TellingDesk(self, desk, DeskVersions(desk.exchange, self._read))
        try:
            yield telling
        finally:
            await trio.to_thread.run_sync(desk.stop)

    @asynccontextmanager
    async def hand(self, pbx: str) -> AsyncIterator[PbxControl]:
        """A hand on a PBX."""
        path = self.data / "pbx" / f"{pbx}.sock"
        await self.pbxs[pbx].until(lambda: _listens(path))
        async with control_of(path) as control:
            yield control


class TellingDesk:
    """A desk that tells of versions; other parts are attached to `desk.exchange` before `start`."""

    def __init__(self, house: House, desk: Desk, versions: DeskVersions) -> None:
        self._house = house
        self._versions = versions
        self.desk = desk

    async def start(self) -> None:
        """Connect."""
        await trio.to_thread.run_sync(self.desk.start)

    async def activate(self, version: CompanyVersion) -> None:
        """Make a version the active one."""
        house = self._house
        house._activations += 1
        house.active = (Activation(version.version, house._activations, "anna"), version)
        await trio.to_thread.run_sync(self.desk.do, lambda exchange: self._versions.announce())


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True

"""The whole stack as its users have it: `kommutator up` on a fresh folder, an SMSC and a mail server outside of it.

Whatever is waited for has a deadline; a failure shows the end of the log of `up`, in which all children speak.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import trio

from kommutator.crm import embedded
from kommutator.crm.embedded import PostgresSettings
from kommutator.pbx.simulated.control import PbxControl, control_of
from tests.drills.outside import ROOT, Mailbox, Smsc
from tests.telephony.asterisk import Asterisk

PATIENCE_S = 60.0
_STEP_S = 0.05
_PASSWORD = "correct horse battery"

Line = dict[str, Any]
"""A line of JSON, of the log or of a ledger."""


class Stack:
    """The processes of one folder. Each router is at a simulated PBX of its own, or the only one at this Asterisk."""

    def __init__(self, folder: Path, *routers: str, asterisk: Asterisk | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.config = folder / "kommutator.toml"
        self.smsc = Smsc(folder)
        self.mailbox = Mailbox(folder)
        self._log = folder / "up.log"
        self._up: subprocess.Popen[bytes] | None = None
        self._heard: list[Line] = []
        self._read_to = 0
        self._browser: httpx.Client | None = None
        self._figures: dict[str, str] = {}
        self.config.write_text(_configuration(self, routers, asterisk), encoding="utf-8")

    # --- its life

    def start(self) -> None:
        """Run `up`."""
        self._heard.clear()
        self._figures.clear()
        self._read_to = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._up = subprocess.Popen(
                [sys.executable, "-m", "kommutator", "up", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=_environment(),
            )

    async def ready(self) -> None:
        """Wait until all parts serve, each for the first time since `start`."""
        await self.says(process="up", state="ready")

    def stop(self) -> int:
        """End it as an administrator does; the exit code."""
        assert self._up is not None
        self._up.send_signal(signal.SIGTERM)
        return self._up.wait(PATIENCE_S)

    def kill_everything(self) -> None:
        """What a power cut does: `up`, its children and the servers, all at once, and none with a last word."""
        assert self._up is not None
        for pid in (self._up.pid, *self.children().values(), *self._servers().values()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._up.wait(PATIENCE_S)

    def close(self) -> None:
        """End whatever runs."""
        if self._up is not None and self._up.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill_everything()
        self.smsc.end()
        self.mailbox.end()
        if self._browser is not None:
            self._browser.close()

    # --- its parts

    def children(self) -> dict[str, int]:
        """The pids of the children that `up` keeps, by name."""
        try:
            kept = json.loads((self.data / "up.json").read_text())
        except FileNotFoundError:
            return {}
        return {name: int(pid) for name, (pid, _) in kept.items()}

    def signal(self, part: str, number: signal.Signals) -> None:
        """To a child; of `postgres` and `nats` it is the server itself that gets it, not its launcher."""
        os.kill({**self.children(), **self._servers()}[part], number)

    async def killed(self, part: str) -> None:
        """Kill a part with SIGKILL, and wait until it serves again."""
        since = len(self.heard())
        self.signal(part, signal.SIGKILL)
        if part == "nats":  # its launcher lives, and starts it again
            await self.says(since=since, process=part, event=lambda event: event.startswith("nats://"))
            return
        await self.says(since=since, process=part, state="pausing")
        await self.says(since=since, process=part, state="ready")

    def _servers(self) -> dict[str, int]:
        found = {}
        with suppress(FileNotFoundError, IndexError):
            found["postgres"] = int((self.data / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0])
        with suppress(FileNotFoundError):
            found["nats"] = int(json.loads((self.data / "nats" / "server.json").read_text())["pid"])
        return found

    # --- its log

    def heard(self) -> list[Line]:
        """The lines of JSON in the log since `start`."""
        with self._log.open("rb") as log:
            log.seek(self._read_to)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]
        self._read_to += len(whole)
        self._heard += [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]
        return self._heard

    def said(self, *, since: int = 0, **wanted: Any) -> list[Line]:
        """The lines with these values, from the line with this number on."""
        return [
            line
            for line in self.heard()[since:]
            if all(value(line.get(key)) if callable(value) else line.get(key) == value for key, value in wanted.items())
        ]

    async def says(self, *, since: int = 0, **wanted: Any) -> Line:
        """Wait for such a line; the last one."""
        await self.until(lambda: self.said(since=since, **wanted), f"{wanted} in the log")
        return self.said(since=since, **wanted)[-1]

    def tail(self) -> str:
        """The end of the log, without the turns of calls."""
        if not self._log.exists():
            return ""
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if '"event": "turn"' not in line and '"event":"turn"' not in line)[
            -8000:
        ]

    async def until(
        self,
        condition: Callable[[], object] | Callable[[], Awaitable[object]],
        what: str,
        patience_s: float = PATIENCE_S,
    ) -> Any:
        """Wait for something that must come true while `up` lives; what it is then."""
        deadline = time.monotonic() + patience_s
        while True:
            found = condition()
            if isinstance(found, Awaitable):
                found = await found
            if found:
                return found
            assert self._up is None or self._up.poll() is None, f"`up` is gone, before: {what}"
            assert time.monotonic() < deadline, f"not within {patience_s:g} s: {what}; at last: {found!r}"
            await trio.sleep(_STEP_S)

    # --- what people do with it

    async def command(self, *arguments: object, **environ: str) -> str:
        """A command of an administrator; what it prints. It must succeed."""
        command = [sys.executable, "-m", "kommutator", *map(str, arguments), "--config", str(self.config)]
        done = await trio.run_process(
            command, capture_stdout=True, capture_stderr=True, check=False, env=_environment(**environ)
        )
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout.decode()}\n{done.stderr.decode()}"
        return done.stdout.decode()

    async def activate(self, document: str, comment: str = "") -> None:
        """Import a company document, and make it the active version."""
        path = self.folder / "company.yaml"
        path.write_text(document, encoding="utf-8")
        await self.command("import", path, "--activate", "--comment", comment)

    async def sign_in(self) -> None:
        """An administrator signs in at the desk; made when there is none yet."""
        arguments = ("user", "add", "root", "--role", "administrator", "--data", self.data)
        done = await trio.run_process(
            [sys.executable, "-m", "kommutator", *map(str, arguments)],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=_environment(KOMMUTATOR_PASSWORD=_PASSWORD),
        )
        assert done.returncode in (0, 1), done.stderr.decode()
        self._browser = httpx.Client(trust_env=False, timeout=20)
        me = await self.post("/api/sign-in", {"login": "root", "password": _PASSWORD})
        self._browser.headers["X-CSRF-Token"] = me["csrf"]

    async def get(self, path: str, **query: Any) -> Any:
        """What the desk answers. It must be well."""
        return await self._ask("GET", path, params=query)

    async def post(self, path: str, body: Any) -> Any:
        """Do something at the desk. It must be done."""
        return await self._ask("POST", path, json=body)

    async def all_of(self, path: str, **query: Any) -> list[Any]:
        """All pages of a list."""
        page = await self.get(path, limit=100, **query)
        items = list(page["items"])
        while page.get("next"):
            page = await self.get(path, limit=100, after=page["next"], **query)
            items += page["items"]
        return items

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        browser = self._browser
        assert browser is not None, "nobody has signed in"
        url = (await self.says(event="the desk serves"))["url"]
        answer = await trio.to_thread.run_sync(lambda: browser.request(method, f"{url}{path}", **options))
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    @asynccontextmanager
    async def hand(self, pbx: str) -> AsyncIterator[PbxControl]:
        """A hand on a simulated PBX."""
        async with control_of(self.data / "pbx" / f"{pbx}.sock") as control:
            yield control

    # --- what it has kept

    def ledger(self, router: str) -> dict[str, Line]:
        """A router's own ledger, by call."""
        path = self.data / "routers" / router / "ledger.jsonl"
        lines = [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
        by_call = {line["call_id"]: line for line in lines}
        assert len(by_call) == len(lines), "a call has two lines"
        return by_call

    async def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of the database, whose address is the one that every process of ours finds."""
        address = embedded.address(PostgresSettings(self.data / "postgres", None))

        async def ask() -> list[dict[str, Any]]:
            connection = await asyncpg.connect(address)
            try:
                return [dict(row) for row in await connection.fetch(query)]
            finally:
                await connection.close()

        return await trio.to_thread.run_sync(lambda: asyncio.run(ask()))

    async def value(self, query: str) -> Any:
        """The only value of a query."""
        ((value,),) = [tuple(row.values()) for row in await self.rows(query)]
        return value

    async def figure(self, router: str, name: str) -> float:
        """A figure of a router's `/metrics`; 0 where it has none yet."""

        def ask() -> float:
            with httpx.Client(trust_env=False, timeout=10) as client:
                lines = client.get(f"{self._metrics_of(client, router)}/metrics").text.splitlines()
            found = [float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name]
            return found[0] if found else 0.0

        return await trio.to_thread.run_sync(ask)

    def _metrics_of(self, client: httpx.Client, router: str) -> str:
        """Where the router's figures are: they are at any free port, and each says whose they are."""
        for line in reversed(self.said(event="figures are served")):
            address = str(line["url"]).removesuffix("/metrics")
            with suppress(httpx.HTTPError):
                if client.get(f"{address}/readyz").json().get("router") == router:
                    return address
        raise AssertionError(f"the figures of {router} are nowhere")


def _environment(**more: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("KOMMUTATOR_")}
    return {**clean, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT}", **more}


def _configuration(stack: Stack, routers: tuple[str, ...], asterisk: Asterisk | None) -> str:
    parts = [
        f'data = "{stack.data}"',
        '[log]\nform = "json"',
        '[desk]\nlisten = "127.0.0.1:0"',
        f'[notices.sms]\nkind = "smpp"\nhost = "127.0.0.1"\nport = {stack.smsc.port}\nsystem_id = "kt"\n'
        'password = "secret"\nsender = "Romashka"',
        f'[notices.email]\nkind = "smtp"\nhost = "127.0.0.1"\nport = {stack.mailbox.port}\nsecurity = "none"\n'
        'sender = "kommutator@example.test"',
    ]
    for name in routers:
        parts.append(f'[routers.{name}]\nmetrics = "127.0.0.1:0"\n[routers.{name}.pbx]')
        if asterisk is None:
            parts.append('kind = "simulated"')
        else:
            parts.append(
                f'kind = "asterisk"\nurl = "{asterisk.ari_url}"\nuser = "{asterisk.ari_user}"\n'
                f'password = "{asterisk.ari_password}"\nsilence_s = 2'
            )
    return "\n".join(parts) + "\n"

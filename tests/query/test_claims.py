"""Processes of queries, each with a floor of its own: nobody is rung for two calls at once (invariant 5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.query.server import Client
from tests.router.house import Process

pytestmark = pytest.mark.services

CALLS, CLIENTS = 1_000, 50
DID = "+74951112233"
_COMPANY = f"""
company: {{name: One, timezone: Europe/London, country: RU, language: en}}
employees:
  anna: {{name: Anna, department: sales, rank: 1, endpoint: PJSIP/101}}
departments: {{sales: {{name: Sales}}}}
prompts: {{sorry: {{say: "Nobody is free.", seconds: 1}}}}
numbers: {{"{DID}": {{scheme: main}}}}
schemes:
  main:
    start: team
    responsible: sales
    nodes:
      team: {{kind: ring, ring: [{{department: sales}}], seconds: 20, exits: {{no_answer: note}}}}
      note: {{kind: task, assign: sales, title: "Call {{caller}} back", exits: {{done: bye}}}}
      bye:  {{kind: hangup, prompt: sorry}}
"""


@pytest.fixture
def queries(tmp_path: Path) -> Iterator[Process]:
    company = tmp_path / "company.yaml"
    company.write_text(_COMPANY, encoding="utf-8")
    arguments = ("query", str(company), "--listen", "127.0.0.1:0", "--processes", "2", "--log", "json")
    process = Process(tmp_path / "log", *arguments, "--data", str(tmp_path / "data"))
    process.start()
    yield process
    process.end()


@pytest.mark.trio
async def test_a_thousand_calls_of_two_processes_never_ring_an_employee_twice_at_once(
    queries: Process, tmp_path: Path
) -> None:
    said = await queries.says("ready", 2)
    host, port = str(said["listening"]).rsplit(":", 1)
    holding: set[str] = set()
    actions: Counter[str] = Counter()

    async def call_often(place: int) -> None:
        client = Client(await trio.open_tcp_stream(host, int(port)))
        async with client.stream:
            for number in range(CALLS // CLIENTS):
                call_id = f"call-{place}-{number}"
                turn = await client.ask("/v1/calls", {"did": DID, "caller": "89161230099", "call_id": call_id})
                actions[turn["action"]["type"]] += 1
                if turn["action"]["type"] == "ring":
                    # She is this call's from before this answer until after the next question.
                    holding.add(call_id)
                    assert holding == {call_id}
                    await trio.lowlevel.checkpoint()
                    assert holding == {call_id}
                    holding.discard(call_id)
                ended = await client.ask(
                    "/v1/calls/step", {"state": turn["state"], "event": {"type": "caller_hung_up"}}
                )
                assert ended["action"]["type"] == "end"

    async with trio.open_nursery() as nursery:
        for place in range(CLIENTS):
            nursery.start_soon(call_often, place)
    assert actions.total() == CALLS
    # Each process has answered some, and she was rung again after she was let go.
    assert (tmp_path / "data/2/spool.jsonl").stat().st_size > 0 < (tmp_path / "data/spool.jsonl").stat().st_size
    assert actions["ring"] > 1
    assert set(actions) == {"ring", "wait"}
    spools = (tmp_path / "data/spool.jsonl").read_text() + (tmp_path / "data/2/spool.jsonl").read_text()
    assert '"type":"taken"' in spools, "the processes met"

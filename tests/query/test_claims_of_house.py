"""Two routers of a house that are asked for the same employee, by HTTP and by SIP: one call gets her at a time (invariant 5)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
import trio

from kommutator.exchange.claims import HOLDS_S
from tests.exchange.conftest import TestClock
from tests.query.server import PATIENCE_S, Client
from tests.query.sip_words import Answer
from tests.query.sip_words import request as sip_request
from tests.router.conftest import build  # noqa: F401 - a fixture
from tests.router.house import DID, House

pytestmark = [pytest.mark.trio, pytest.mark.services]

CALLS, CLIENTS = 1_000, 12
HOLD_S = 0.1
BETWEEN_S = {"west": 0.02, "east": 0.5}
"""So long a client waits between two calls. East has her at home: who asks there wins every race."""
COMPANY = f"""
company: {{name: Two, timezone: Europe/London, country: RU, language: en}}
employees:
  anna: {{name: Anna, department: sales, rank: 1, endpoint: PJSIP/101, pbx: east}}
departments: {{sales: {{name: Sales}}}}
prompts: {{sorry: {{say: "Nobody is free.", seconds: 0.2}}}}
numbers: {{"{DID}": {{scheme: main}}}}
schemes:
  main:
    start: team
    responsible: sales
    nodes:
      team: {{kind: ring, ring: [{{department: sales}}], seconds: 1, exits: {{no_answer: note}}}}
      note: {{kind: task, assign: sales, title: "Call {{caller}} back", exits: {{done: bye}}}}
      bye:  {{kind: hangup, prompt: sorry}}
"""
QUERY = '[routers.{name}.query]\nlisten = "127.0.0.1:0"\n'
REDIRECT = (
    '[routers.{name}.redirect]\nlisten = "127.0.0.1:0"\nphone = "sip:{{name}}@pbx.example"\n'
    f'number = "sip:{{{{number}}}}@carrier.example"\nhold_s = {HOLD_S}\n'
)


@dataclass
class Offered:
    """Whose Anna is."""

    by: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    _of: dict[str, float] = field(default_factory=dict)

    def take(self, router: str, call_id: str, until: float = float("inf")) -> None:
        """A router has offered her to a call, whose she is until that moment."""
        now = time.monotonic()
        others = {other for other, end in self._of.items() if end > now} - {call_id}
        assert not others or until <= now, f"{router} offers her to {call_id}, and she is offered to {others}"
        self._of[call_id] = until
        self.by[router] += 1

    def give_back(self, call_id: str) -> None:
        """The call needs her no more."""
        self._of.pop(call_id, None)


async def test_an_employee_is_offered_to_one_call_at_a_time_whichever_router_is_asked(build: Any) -> None:  # noqa: F811
    house: House = build("west", "east")
    sections = "".join(form.format(name=name) for name in house.routers for form in (QUERY, REDIRECT))
    house.config.write_text(house.config.read_text() + sections)
    west = house.routers["west"]
    async with running(house):
        offered, numbers = Offered(), count()

        def enough() -> bool:
            met = west.figure("kommutator_claims_refused_total") > 0
            return met and len(offered.by) == 4 and min(offered.by.values()) >= 2 and offered.calls.total() >= CALLS

        async def call_often(router: str) -> None:
            async with client_of(house, router) as client:
                while not done.is_set():
                    call_id = f"{router}-{next(numbers)}"
                    turn = await arrive(client, call_id)
                    offered.calls[f"{router} query"] += 1
                    if turn["action"]["type"] == "ring":
                        offered.take(f"{router} query", call_id)
                        await trio.lowlevel.checkpoint()
                        offered.give_back(call_id)
                    await hang_up(client, turn)
                    await trio.sleep(BETWEEN_S[router])

        async def invite_often(router: str) -> None:
            with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
                await sock.connect(sip_address(house, router))
                while not done.is_set():
                    sent = time.monotonic()
                    number = next(numbers)
                    await sock.send(sip_request("INVITE", f"sip:{DID}@kommutator.example", branch=f"z9hG4bK{number}"))
                    answer = Answer.read(await sock.recv(65536))
                    offered.calls[f"{router} redirect"] += 1
                    assert answer.status in (302, 480)
                    if answer.status == 302:
                        assert [uri for uri, _ in answer.contacts] == ["sip:101@pbx.example"]
                        offered.take(f"{router} redirect", f"sip-{number}", until=sent + HOLD_S)
                    await trio.sleep(BETWEEN_S[router])

        done = trio.Event()
        with trio.fail_after(2 * PATIENCE_S):
            async with trio.open_nursery() as nursery:
                for _ in range(CLIENTS // 2):
                    for router in house.routers:
                        nursery.start_soon(call_often, router)
                        nursery.start_soon(invite_often, router)
                while not await trio.to_thread.run_sync(enough):
                    await trio.sleep(0.1)
                done.set()

        async with client_of(house, "west") as at_west, client_of(house, "east") as at_east:
            # Without the exchange she is at home, and unreachable from elsewhere.
            await trio.to_thread.run_sync(house.nats.kill)
            await west.until(lambda: west.figure("kommutator_exchange_connected") == 0)
            await until_rung(at_east, "at home")
            assert (await arrive(at_west, "away"))["action"]["type"] != "ring"

            await trio.to_thread.run_sync(house.nats.start)
            held = await until_rung(at_west, "again", hangs_up=False)
            assert (await arrive(at_east, "meanwhile"))["action"]["type"] == "wait"

            # A router that dies holds nobody for longer than a claim holds.
            west.end()
            assert (await arrive(at_east, "killed"))["action"]["type"] == "wait"
            later_ms = TestClock().now_ms() + round(HOLDS_S * 1000) + 1
            assert (await arrive(at_east, "later", at=later_ms))["action"]["type"] == "ring", held


@asynccontextmanager
async def running(house: House) -> AsyncIterator[None]:
    """The house's processes, routing by the company."""
    house.nats.start()
    for process in (*house.pbxs.values(), *house.routers.values()):
        process.start()
    async with house.desk() as desk:
        await desk.start()
        await desk.activate(house.version("1", COMPANY))
        for router in house.routers.values():
            await router.ready()
        async with client_of(house, "west") as client:
            await until_rung(client, "first")  # her phone is known to be free there
        yield


@asynccontextmanager
async def client_of(house: House, router: str) -> AsyncIterator[Client]:
    """A client of a router's queries."""
    said = await house.routers[router].says("queries are answered")
    host, port = str(said["listening"]).rsplit(":", 1)
    client = Client(await trio.open_tcp_stream(host, int(port)))
    async with client.stream:
        yield client


def sip_address(house: House, router: str) -> tuple[str, int]:
    """Where a router takes INVITEs."""
    said, *_ = house.routers[router].said("redirects are answered")
    host, port = str(said["listening"][0]).rsplit(":", 1)
    return host, int(port)


async def arrive(client: Client, call_id: str, **more: object) -> Any:
    """A call comes."""
    return await client.ask("/v1/calls", {"did": DID, "caller": "89161230099", "call_id": call_id, **more})


async def hang_up(client: Client, turn: Any) -> None:
    """Its caller hangs up."""
    ended = await client.ask("/v1/calls/step", {"state": turn["state"], "event": {"type": "caller_hung_up"}})
    assert ended["action"]["type"] == "end"


async def until_rung(client: Client, call_id: str, *, hangs_up: bool = True, **more: object) -> Any:
    """Calls come until one rings; its turn."""
    with trio.fail_after(2 * PATIENCE_S):
        numbers = count()
        while True:
            turn = await arrive(client, f"{call_id}-{next(numbers)}", **more)
            rings = turn["action"]["type"] == "ring"
            if hangs_up or not rings:
                await hang_up(client, turn)
            if rings:
                return turn
            await trio.sleep(0.05)

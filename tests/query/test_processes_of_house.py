"""A router of a house whose queries and redirects are answered by processes beside its own: one call rings an employee at a
time, whichever process decides; what dies is begun anew; health and figures tell of all."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Any

import psutil
import pytest
import trio

from kommutator.pbx.simulated.behaviour import PhoneAct
from kommutator.pbx.simulated.codec import Place
from kommutator.pbx.simulated.control import PbxControl
from tests.query.server import PATIENCE_S, Client
from tests.query.sip_words import Answer
from tests.query.sip_words import request as sip_request
from tests.query.test_claims_of_house import COMPANY, arrive, client_of, hang_up, sip_address, until_rung
from tests.router.conftest import build  # noqa: F401 - a fixture
from tests.router.house import DID, House, Router

pytestmark = [pytest.mark.trio, pytest.mark.services]

PROCESSES, CLIENTS, CONNECTIONS, CALLS = 2, 8, 5, 30
LONG = "+74951112234"
AT_HOME = (
    COMPANY.replace(", pbx: east", "").replace(f'numbers: {{"{DID}"', f'numbers: {{"{LONG}": {{scheme: long}}, "{DID}"')
    + """
  long:
    start: team
    responsible: sales
    nodes:
      team: {kind: ring, ring: [{department: sales}], seconds: 120, exits: {no_answer: note}}
      note: {kind: task, assign: sales, title: "Call {caller} back", exits: {done: bye}}
      bye:  {kind: hangup, prompt: sorry}
"""
)
SECTIONS = f"""
[routers.office.query]
listen = "127.0.0.1:0"
processes = {PROCESSES}
[routers.office.redirect]
listen = "127.0.0.1:0"
phone = "sip:{{name}}@pbx.example"
number = "sip:{{number}}@carrier.example"
hold_s = 0.1
processes = {PROCESSES}
"""


async def test_processes_beside_a_router_agree_with_it_and_with_each_other(build: Any) -> None:  # noqa: F811
    house: House = build("office")
    house.config.write_text(house.config.read_text() + SECTIONS)
    office, pbx = house.routers["office"], house.pbxs["office"]
    house.nats.start()
    pbx.start()
    office.start()
    async with house.desk() as desk, house.hand("office") as hand:
        await desk.start()
        await desk.activate(house.version("1", AT_HOME))
        await office.until(lambda: is_ready(office))
        facts = json.loads(office.get("/readyz")[1])["processes"]
        assert {place: each["version"] for place, each in facts.items()} == {"1": "1", "2": "1"}

        asked = await asked_by_many(house)
        by_place = [f'{{process="{place}"}}' for place in range(1, PROCESSES + 1)]
        await office.until(lambda: [office.figure(f"kommutator_query_arrivals{place}") for place in by_place] != [0, 0])
        await office.until(
            lambda: sum(office.figure(f"kommutator_query_arrivals{place}") for place in by_place) == asked["query"]
        )
        await office.until(
            lambda: sum(office.figure(f"kommutator_sip_calls{place}") for place in by_place) == asked["redirect"]
        )
        assert min(office.figure(f"kommutator_query_arrivals{place}") for place in by_place) > 0
        # All of it was told to the exchange.
        await office.until(lambda: all(office.figure(f"kommutator_spool_entries{place}") == 0 for place in by_place))

        async with client_of(house, "office") as client:
            # Whom a query's call has does not ring for a call of the PBX.
            held = await until_rung(client, "held", hangs_up=False, did=LONG)
            refused = office.figure("kommutator_claims_refused_total")
            call_id = await hand.place(Place(LONG))
            await office.until(lambda: office.figure("kommutator_claims_refused_total") > refused)
            assert [phone.line for phone in await hand.phones()] == ["idle"]
            # When that lets her go, she rings for the caller who waits, although the round in which she was taken goes on.
            await hand.behave("PJSIP/101", [PhoneAct("silent")])
            await hang_up(client, held)
            with trio.fail_after(PATIENCE_S):
                while not await rings(hand, call_id):
                    await trio.sleep(0.02)
            await hand.hang_up(call_id)

            # Who rings for a call of the PBX is nobody's whom another process rings.
            await until_rung(client, "before")
            call_id = await until_rings(hand)
            for number in range(4 * PROCESSES):
                async with client_of(house, "office") as other:
                    turn = await arrive(other, f"meanwhile-{number}")
                    assert turn["action"]["type"] == "wait"
                    await hang_up(other, turn)
            await hand.hang_up(call_id)
            await until_rung(client, "after")

        for child in psutil.Process(office.pid).children():
            child.send_signal(signal.SIGKILL)
            await office.until(partial(is_replaced, office, child.pid))
            await office.until(lambda: is_ready(office))
            for number in range(2 * PROCESSES):
                async with client_of(house, "office") as client:
                    turn = await arrive(client, f"again-{child.pid}-{number}")
                    assert turn["action"]["type"] in ("ring", "wait")
                    await hang_up(client, turn)
        assert office.end(signal.SIGTERM) == 0

        # With one process, the others' folders are brought to their end, and the router answers by itself.
        house.config.write_text(house.config.read_text().replace(f"processes = {PROCESSES}", "processes = 1"))
        assert any((office.data / "processes").iterdir())
        office.start()
        await office.until(lambda: is_ready(office) and not any((office.data / "processes").iterdir()))
        async with client_of(house, "office") as client:
            await until_rung(client, "alone")
        assert office.figure("kommutator_query_arrivals") > 0


async def until_rings(hand: PbxControl) -> str:
    """Callers come to the PBX until the phone rings for one; the call, which goes on."""
    with trio.fail_after(PATIENCE_S):
        while True:
            call_id = await hand.place(Place(LONG))
            for _ in range(100):
                if await rings(hand, call_id):
                    return call_id
                await trio.sleep(0.02)
            await hand.hang_up(call_id)


async def rings(hand: PbxControl, call_id: str) -> bool:
    """Whether a phone rings for a call."""
    return any(phone.call_id == call_id and phone.line == "ringing" for phone in await hand.phones())


async def asked_by_many(house: House) -> Counter[str]:
    """Queries and INVITEs at once, on many connections; how many. Nobody is offered to two calls at once."""
    holding: set[str] = set()
    asked: Counter[str] = Counter()
    numbers = count()

    async def call_often() -> None:
        # The kernel deals connections to processes: each gets some of so many.
        for _ in range(CONNECTIONS):
            async with client_of(house, "office") as client:
                await call_by(client)

    async def call_by(client: Client) -> None:
        for _ in range(CALLS // CONNECTIONS):
            call_id = f"q{next(numbers)}"
            turn = await arrive(client, call_id)
            asked["query"] += 1
            if turn["action"]["type"] == "ring":
                holding.add(call_id)
                await trio.lowlevel.checkpoint()
                assert holding == {call_id}
                holding.discard(call_id)
            await hang_up(client, turn)

    async def invite_often() -> None:
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
            await sock.connect(sip_address(house, "office"))
            for _ in range(CALLS):
                branch = f"z9hG4bK{os.getpid()}-{next(numbers)}"
                await sock.send(sip_request("INVITE", f"sip:{DID}@kommutator.example", branch=branch))
                assert Answer.read(await sock.recv(65536)).status in (302, 480)
                asked["redirect"] += 1

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            for _ in range(CLIENTS):
                nursery.start_soon(call_often)
                nursery.start_soon(invite_often)
    return asked


def is_ready(router: Router) -> bool:
    """Whether it and all its processes say that they route."""
    with suppress(OSError):
        return bool(router.said("figures are served")) and router.get("/readyz")[0] == 200
    return False


def is_replaced(router: Router, pid: int) -> bool:
    """Whether another process is there for that one."""
    there = children(router)
    return pid not in there and len(there) == PROCESSES + 1


def children(router: Router) -> list[int]:
    """The processes of a router."""
    return [child.pid for child in psutil.Process(router.pid).children()]

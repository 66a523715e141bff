"""The SIP endpoint over real sockets: one datagram for another, the journal, questions, and a router of the house."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from kommutator import Engine
from kommutator.app.process import SystemClock
from kommutator.company import load
from kommutator.errors import AddressTaken
from kommutator.query.decisions import Decisions
from kommutator.query.sip import SipEndpoint, SipSettings
from kommutator.routing.entries import SpoolEntry, Turned, read
from kommutator.routing.turn import Event
from tests.query.sip_words import Answer, request
from tests.router.house import House

COMPANY = Path(__file__).with_name("company.yaml")
PATIENCE_S = 30.0
TEMPLATES: dict[str, Any] = {
    "phone": "sip:{name}@pbx.example",
    "number": "sip:{number}@carrier.example",
    "media": "sip:{did}@pbx.example",
}


class Memory:
    """A desk that knows whose client calls, and answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = trio.Event()

    async def owner(self, caller: str) -> Event:
        self.asked.append(caller)
        await self.answers.wait()
        return {"type": "owner", "employee": "anna"}

    async def history(self, caller: str, days: int | None) -> Event:
        return {"type": "failed"}


class Stage:
    """An endpoint that runs, and a client's socket."""

    def __init__(self, endpoint: SipEndpoint, data: Path, memory: Memory, engine: Engine) -> None:
        self.endpoint, self.data, self.memory, self.engine = endpoint, data, memory, engine
        self.address = endpoint.addresses[0]
        family = socket.AF_INET6 if ":" in str(self.address[0]) else socket.AF_INET
        self.client = trio.socket.socket(family, socket.SOCK_DGRAM)

    async def send(self, datagram: bytes) -> None:
        await self.client.sendto(datagram, self.address)

    def spool(self) -> list[SpoolEntry]:
        """The entries that the spool has at this moment."""
        file = self.data / "spool.jsonl"
        return [read(line) for line in file.read_bytes().splitlines()] if file.exists() else []

    async def ledger(self, calls: int) -> list[dict[str, Any]]:
        """The ledger, when it has so many lines."""
        file = self.data / "ledger.jsonl"
        await until(lambda: len(file.read_bytes().splitlines()) >= calls)
        return [json.loads(line) for line in file.read_bytes().splitlines()]

    async def answer(self) -> bytes:
        with trio.fail_after(PATIENCE_S):
            datagram: bytes = await self.client.recv(65_536)
            return datagram

    async def ask(self, datagram: bytes) -> Answer:
        await self.send(datagram)
        return Answer.read(await self.answer())


@asynccontextmanager
async def serving(
    data: Path, listen: str = "127.0.0.1:0", decisions: Decisions | None = None, **options: Any
) -> AsyncIterator[Stage]:
    memory, engine = Memory(), Engine.load(COMPANY)
    settings = SipSettings(listen=[listen], **{**TEMPLATES, **options})
    endpoint = SipEndpoint(settings, engine, decisions or Decisions(data), memory)
    async with trio.open_nursery() as nursery:
        stage = Stage(endpoint, data, memory, engine)
        nursery.start_soon(endpoint.run)
        with stage.client:
            yield stage
        nursery.cancel_scope.cancel()


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.01)


def test_the_compiled_document_is_that_of_the_company() -> None:
    kept = json.loads(COMPANY.with_suffix(".json").read_bytes())
    assert kept == json.loads(load(COMPANY).engine_json), "run `kommutator compile company.yaml -o company.json`"


@pytest.mark.trio
async def test_a_call_is_answered_with_its_contacts_and_is_in_the_journal_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as stage:
        invite = request()
        await stage.send(invite)
        first = await stage.answer()
        answer = Answer.read(first)
        assert (answer.status, answer.contacts) == (
            302,
            [("sip:101@pbx.example", "1.0"), ("sip:102@pbx.example", "1.0")],
        )
        await stage.send(invite)
        assert await stage.answer() == first
        (line,) = await stage.ledger(1)
        assert line["call_id"] == f"sip-{answer.to_tag}"
        assert (line["disposition"], line["did"]) == ("transferred", "+74951112201")
        assert stage.endpoint.counts()["again"] == 1


@pytest.mark.trio
async def test_a_refused_call_ends_as_the_engine_says_and_leaves_its_effects(tmp_path: Path) -> None:
    async with serving(tmp_path) as stage:
        answer = await stage.ask(request(uri="sip:+74951112206@x"))
        assert (answer.status, answer.one("Reason")) == (486, 'Q.850;cause=17;text="User busy"')
        (line,) = await stage.ledger(1)
        turns = [entry for entry in stage.spool() if isinstance(entry, Turned)]
        assert [each.event for each in turns] == [None, {"type": "hung_up"}]
        assert {effect["type"] for each in turns for effect in each.turn.effects} == {"task", "missed_call"}
        assert line["disposition"] == "unavailable"


@pytest.mark.trio
async def test_the_desk_is_asked_whose_client_it_is_and_others_are_answered_meanwhile(tmp_path: Path) -> None:
    async with serving(tmp_path) as stage:
        invite = request(uri="sip:+74951112205@x")
        await stage.send(invite)
        await until(lambda: stage.memory.asked)
        await stage.send(invite)
        assert (await stage.ask(request(uri="sip:+74951112206@x"))).status == 486
        stage.memory.answers.set()
        answer = Answer.read(await stage.answer())
        assert answer.contacts == [("sip:101@pbx.example", "1.0")]
        assert stage.memory.asked == ["+79161234567"]


@pytest.mark.trio
async def test_a_desk_that_does_not_answer_in_time_holds_nobody_up(tmp_path: Path) -> None:
    async with serving(tmp_path) as stage:
        answer = await stage.ask(request(uri="sip:+74951112205@x"))
        assert answer.contacts == [("sip:103@pbx.example", "1.0")]


@pytest.mark.trio
async def test_whom_an_answer_rings_is_free_again_after_a_while(tmp_path: Path) -> None:
    async with serving(tmp_path, hold_s=0.2) as stage:
        await stage.ask(request())
        await until(lambda: not stage.engine.claims(SystemClock().now_ms()))
        assert len((await stage.ask(request())).contacts) == 2


@pytest.mark.trio
async def test_it_answers_over_ipv6(tmp_path: Path) -> None:
    async with serving(tmp_path, "[::1]:0") as stage:
        answer = await stage.ask(request(uri="sip:+74951112206@[::1]", via="SIP/2.0/UDP [::1];rport;branch=z9hG4bK6"))
        assert answer.status == 486
        assert answer.one("Via").endswith(";received=::1")


@pytest.mark.trio
async def test_a_flood_of_requests_is_answered_one_by_one(tmp_path: Path) -> None:
    async with serving(tmp_path, hold_s=0) as stage:
        for burst in range(5):  # a socket's own buffer holds about a hundred answers
            sent = {f"call-{burst}-{n}" for n in range(40)}
            for call_id in sent:
                await stage.send(request(call_id=call_id))
            assert {Answer.read(await stage.answer()).one("Call-ID") for _ in sent} == sent
        assert len(await stage.ledger(200)) == 200


def test_an_address_that_cannot_be_had_is_named() -> None:
    with pytest.raises(AddressTaken, match=r"192\.0\.2\.1:5060"):
        SipEndpoint(SipSettings(listen=["192.0.2.1:5060"], **TEMPLATES), Engine.load(COMPANY), None, Memory())


@pytest.mark.services
@pytest.mark.trio
async def test_a_router_of_the_house_answers_with_what_its_version_says(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    house = House(tmp_path, "west")
    with house.config.open("a", encoding="utf-8") as config:
        config.write(f'[routers.west.redirect]\nlisten = "127.0.0.1:{port}"\n')
        config.writelines(f'{key} = "{value}"\n' for key, value in TEMPLATES.items())
    router = house.routers["west"]
    try:
        house.nats.start()
        house.pbxs["west"].start()
        router.start()
        async with house.desk() as desk:
            await desk.start()
            await desk.activate(house.version("v1", COMPANY.read_text(encoding="utf-8")))
            await router.ready()
            with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, trio.fail_after(PATIENCE_S):
                await client.sendto(request(), ("127.0.0.1", port))
                answer = Answer.read(await client.recv(65_536))
            assert answer.contacts == [("sip:101@pbx.example", "1.0"), ("sip:102@pbx.example", "1.0")]
            ledger = house.data / "routers/west/redirect/ledger.jsonl"
            await router.until(lambda: f"sip-{answer.to_tag}" in ledger.read_text())
            assert json.loads(ledger.read_text())["disposition"] == "transferred"
            await router.until(lambda: router.figure("kommutator_calls_begun_total") == 1)
            await router.until(lambda: router.figure("kommutator_sip_calls") == 1)
    finally:
        house.close()

"""Missed calls by the whole way: a router's spool, the stream, the ledger writer, PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from kommutator.app.desk import now
from kommutator.crm import calls, clients, doings, effects, missed, recordings, tasks
from kommutator.crm.ledger import Ledger
from kommutator.crm.pool import Database
from kommutator.engine import Engine
from kommutator.exchange.embedded import EmbeddedNats
from kommutator.exchange.messages import CallBatch, encode
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.ledger_writer import LedgerWriter
from kommutator.exchange.settings import ExchangeSettings
from kommutator.routing.doings import CalledBack, Held
from kommutator.routing.entries import Began, CallEntry, Ended, Turned
from kommutator.routing.ledger import FileJournal
from kommutator.routing.turn import End, Turn
from tests.desk_services.conftest import activate, until
from tests.desk_services.router import COMPANY, play

pytestmark = pytest.mark.anyio
SALES, MAILBOX, PLAIN = "+74951110001", "+74951110002", "+74951110003"
CLIENT = "+79161234567"


class Told:
    """A router's telling, through the exchange."""

    def __init__(self, exchange: Exchange, writer: LedgerWriter, engine: Engine, folder: Path) -> None:
        self._exchange = exchange
        self._writer = writer
        self._engine = engine
        self._folder = folder
        self._told = 0

    async def entries(self, *entries: CallEntry) -> None:
        """Tell these; returns when they are in the ledger."""
        raw = tuple(msgspec.Raw(msgspec.json.encode(entry)) for entry in entries)
        batch = CallBatch("r1", "spool", self._told + 1, raw, "pbx")
        self._told += len(entries)
        await self._exchange.connection.append("kt.calls.r1", encode(batch))
        await until(lambda: self._writer.written + self._writer.refused >= self._told)

    async def call(
        self, call_id: str, did: str, caller: str | None, at_ms: int | None = None, *, answered: bool = False
    ) -> list[CallEntry]:
        """Play a call and tell of it."""
        journal = FileJournal(self._folder / call_id)
        play(journal, self._engine, call_id, did, caller, at_ms or round(time.time() * 1000), answered)
        journal.close()
        lines = (self._folder / call_id / "spool.jsonl").read_bytes().splitlines()
        read = msgspec.json.Decoder(CallEntry).decode
        entries = [read(line) for line in lines]
        await self.entries(*entries)
        return entries


@asynccontextmanager
async def telling(db: Database, nats: EmbeddedNats, folder: Path) -> AsyncIterator[Told]:
    address = nats.address
    exchange = Exchange(ExchangeSettings((address.url,), address.user, address.password), "test")
    writer = LedgerWriter(exchange, Ledger(db))
    running = asyncio.create_task(exchange.run())
    try:
        await exchange.ready()
        yield Told(exchange, writer, Engine.load(COMPANY), folder)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def waiting(db: Database) -> dict[str, missed.MissedCall]:
    async with db.transaction() as tx:
        return {each.call_id: each for each in await missed.waiting(tx)}


async def test_a_missed_call_is_its_clients_owners_until_he_is_reached(
    db: Database, nats: EmbeddedNats, tmp_path: Path
) -> None:
    number = await activate(db)
    async with telling(db, nats, tmp_path) as told:
        await told.call("unknown", PLAIN, CLIENT)
        assert (await waiting(db))["unknown"].owner == "anna", "the last who was rung"
        await told.entries(*await told.call("withheld", PLAIN, None))  # told twice
        assert set(await waiting(db)) == {"unknown", "withheld"}
        async with db.transaction() as tx:
            assert (await calls.story(tx, "unknown")).call.version == number
            await clients.create(tx, clients.Draft(numbers=("+79160000001",), owner="anna"), now())
        await told.call("of-client", SALES, "+79160000001")
        assert (await waiting(db))["of-client"].owner == "anna"

        await told.call("reached", PLAIN, CLIENT, answered=True)
        assert set(await waiting(db)) == {"withheld", "of-client"}
        (settled,) = [each for each in await _all(db) if each.call_id == "unknown"]
        assert (settled.outcome, settled.closed_by) == ("reached", "system")


async def _all(db: Database) -> list[missed.MissedCall]:
    async with db.transaction() as tx:
        rows = await tx.fetch("select id from missed_calls where company_id = $1")
        return [await missed.get(tx, row["id"]) for row in rows]


async def test_a_call_back_that_is_answered_settles_it_whatever_is_told_first(
    db: Database, nats: EmbeddedNats, tmp_path: Path
) -> None:
    at_ms = round(time.time() * 1000)

    def back(order: str, state: str, later_s: int) -> CalledBack:
        return CalledBack(f"back-{order}", at_ms + later_s * 1000, "anna", "8 916 123-45-67", state)  # type: ignore[arg-type]

    async with telling(db, nats, tmp_path) as told:
        await told.call("early", PLAIN, CLIENT, at_ms)
        await told.entries(back("1", "ringing", 60), back("1", "calling", 70), back("1", "over", 90))
        assert set(await waiting(db)) == {"early"}, "he did not answer"
        await told.entries(back("2", "calling", 120), back("2", "talking", 130), back("2", "over", 200))
        assert await waiting(db) == {}
        await told.call("told-late", PLAIN, CLIENT, at_ms + 30_000)
        assert await waiting(db) == {}
        await told.call("after", PLAIN, CLIENT, at_ms + 300_000)
        assert set(await waiting(db)) == {"after"}
        async with db.transaction() as tx:
            assert [each.facts["state"] for each in await doings.of_call(tx, "back-2")] == [
                "calling",
                "talking",
                "over",
            ]
            assert await calls.going_on(tx) == [], "a call back is no line of the ledger"


async def test_what_is_done_with_a_call_is_told_once(db: Database, nats: EmbeddedNats, tmp_path: Path) -> None:
    async with telling(db, nats, tmp_path) as told:
        held = Held("c1", round(time.time() * 1000), "anna", True)
        await told.entries(held, held)
        await told.entries(held)
        async with db.transaction() as tx:
            (done,) = await doings.of_call(tx, "c1")
        assert (done.kind, done.facts["by"], done.facts["held"]) == ("held", "anna", True)


async def test_a_call_that_failed_without_a_word_of_the_engine_is_missed_too(
    db: Database, nats: EmbeddedNats, tmp_path: Path
) -> None:
    at_ms = round(time.time() * 1000)
    async with telling(db, nats, tmp_path) as told:
        await told.entries(
            Began("ours", PLAIN, CLIENT, at_ms),
            Ended("ours", at_ms, "failed", "ours"),
            Began("unallocated", "+74950000000", CLIENT, at_ms),
            Ended("unallocated", at_ms, "failed", "caller"),
        )
        found = await waiting(db)
        assert set(found) == {"ours"}, "a number that serves no scheme is nobody's missed call"
        assert (found["ours"].caller, found["ours"].owner) == (CLIENT, None)


async def test_the_engines_own_word_takes_the_place_of_the_net(
    db: Database, nats: EmbeddedNats, tmp_path: Path
) -> None:
    async with telling(db, nats, tmp_path) as told:
        at_ms = round(time.time() * 1000)
        journal = FileJournal(tmp_path / "spool")
        play(journal, Engine.load(COMPANY), "c1", PLAIN, CLIENT, at_ms)
        journal.close()
        read = msgspec.json.Decoder(CallEntry).decode
        entries = [read(line) for line in (tmp_path / "spool" / "spool.jsonl").read_bytes().splitlines()]
        turns = [entry for entry in entries if isinstance(entry, Turned)]
        await told.entries(*(entry for entry in entries if not isinstance(entry, Turned)))
        assert (await waiting(db))["c1"].id == "c1:unheard"
        await told.entries(*turns)
        (only,) = await _all(db)
        assert only.id != "c1:unheard" and only.owner == "anna"


async def test_a_task_of_a_missed_call_and_the_call_are_done_together(
    db: Database, nats: EmbeddedNats, tmp_path: Path
) -> None:
    async with telling(db, nats, tmp_path) as told:
        at_ms = round(time.time() * 1000)
        engine = Engine.load(COMPANY)
        for call_id in ("one", "two"):
            journal = FileJournal(tmp_path / f"{call_id}-spool")
            turn = engine.arrive(call_id, PLAIN, CLIENT, at_ms)
            journal.began(call_id, PLAIN, CLIENT, at_ms)
            journal.turned(call_id, at_ms, None, Turn.of(turn))
            gone = Turn.of(engine.handle(turn.state, {"type": "caller_hung_up"}, at_ms))
            journal.turned(call_id, at_ms, {"type": "caller_hung_up"}, gone)
            assert isinstance(gone.action, End)
            journal.ended(call_id, at_ms, gone.action.disposition, gone.action.fault)
            journal.close()
            read = msgspec.json.Decoder(CallEntry).decode
            lines = (tmp_path / f"{call_id}-spool" / "spool.jsonl").read_bytes().splitlines()
            await told.entries(*(read(line) for line in lines))
        found = await waiting(db)
        async with db.transaction("anna") as tx:
            before = {task.call_id: task for task in await tasks.waiting(tx, ["anna", "sales"])}
            assert set(before) == set(found) == {"one", "two"}
            await tasks.close(tx, before["one"].id, now())
            await missed.handle(tx, found["two"].id, now())
            assert await tasks.waiting(tx, ["anna", "sales"]) == []
        assert await waiting(db) == {}
        assert {each.outcome for each in await _all(db)} == {"handled"}


async def test_every_message_is_somebodys(db: Database, nats: EmbeddedNats, tmp_path: Path) -> None:
    """A voicemail that no e-mail takes and that nobody is assigned to is a task of everybody."""
    async with telling(db, nats, tmp_path) as told:
        at_ms = round(time.time() * 1000)
        await told.call("mailed", MAILBOX, CLIENT, at_ms)
        entries = await told.call("other", MAILBOX, CLIENT, at_ms + 1)
        async with db.transaction() as tx:
            assert await tasks.waiting(tx, [""]) == []
        effect = {"type": "voicemail", "id": "x:1", "recording": "x-1", "seconds": 3.0, "email": [], "assign": None}
        async with db.transaction() as tx:
            await effects.write(tx, [effects.Effects("x", now(), (effect,))])
            (task,) = await tasks.waiting(tx, [""])
        assert (task.kind, task.call_id) == ("voicemail", "x")
        assert entries


async def test_sound_that_comes_before_the_ledger_finds_its_recording(db: Database) -> None:
    async with db.transaction() as tx:
        assert await recordings.stored(tx, "call_1-4", "call_1-4.wav", 100, "audio/wav", now()) is None
        assert await recordings.expect(tx, "call/1-4", "voicemail", "call/1", 3.0, now())
        found = await recordings.get(tx, "call/1-4")
        assert (found.location, found.bytes) == ("call_1-4.wav", 100)
        assert await recordings.awaited(tx) == []
        assert not await recordings.expect(tx, "call/1-4", "voicemail", "call/1", 3.0, now() + timedelta(seconds=1))
        later = await recordings.stored(tx, "call_1-4", "call_1-4.wav", 100, "audio/wav", now())
        assert later is not None and later.name == "call/1-4"

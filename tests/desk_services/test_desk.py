"""The desk process: what it waits for, what it tells routers, what it says of itself, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest

from kommutator.app.desk import now
from kommutator.crm import clients, embedded, outbox, people
from kommutator.crm.embedded import PostgresSettings
from kommutator.crm.pool import Database, DatabaseSettings
from kommutator.exchange.bundle import unpack
from kommutator.exchange.embedded import EmbeddedNats
from kommutator.exchange.messages import (
    ACTIVE,
    CHANGED_SUBJECT,
    CHANGES,
    COMPANY,
    HISTORY_SUBJECT,
    OWNER_SUBJECT,
    REFUSED,
    Activation,
    CallBatch,
    FactsChanged,
    HistoryAsked,
    LookupAnswer,
    OwnerAsked,
    decode,
    encode,
    token,
)
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.settings import ExchangeSettings
from tests.desk_services.conftest import Configure, activate, until
from tests.desk_services.router import COMPANY as DOCUMENT

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def exchange(nats: EmbeddedNats) -> AsyncIterator[Exchange]:
    """The exchange as another process sees it."""
    address = nats.address
    settings = ExchangeSettings((address.url,), address.user, address.password, retry_s=(0.02, 0.1))
    made = Exchange(settings, "test")
    running = asyncio.create_task(made.run())
    try:
        await made.ready()
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    """Where a supervisor hears what its children say."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)
        yield heard


async def hears(supervisor: socket.socket, words: str) -> None:
    async with asyncio.timeout(60):
        while words not in (await asyncio.get_running_loop().sock_recv(supervisor, 4096)).decode():
            pass


async def test_it_waits_for_a_database_and_an_exchange_that_come_later(
    server_folder: Path, configure: Configure, supervisor: socket.socket, tmp_path: Path
) -> None:
    desk = configure()
    desk.data = server_folder / "late"
    desk.start(NOTIFY_SOCKET=str(tmp_path / "notify"))
    await hears(supervisor, "STATUS=waiting for the database")
    settings = PostgresSettings(data=desk.data / "postgres", options={"fsync": "off"})
    database = await asyncio.to_thread(embedded.start, settings)
    try:
        await hears(supervisor, "READY=1")
        await desk.serving()
        assert (await desk.get("/healthz")).status_code == 200
        answer = await desk.get("/readyz")
        assert answer.status_code == 503
        assert "exchange" in answer.json()["checks"]
        nats = EmbeddedNats(desk.data / "nats")
        await asyncio.to_thread(nats.start)
        try:
            await desk.ready()
        finally:
            await asyncio.to_thread(nats.stop)
        assert desk.end(signal.SIGTERM) == 0
        await hears(supervisor, "STOPPING=1")
    finally:
        desk.stop()
        await asyncio.to_thread(database.stop)


async def test_one_desk_a_data_folder(dsn: str, configure: Configure) -> None:
    desk, other = configure(postgres={"dsn": dsn}), configure(postgres={"dsn": dsn})
    desk.start()
    await desk.serving()
    other.start()
    child = other._child
    assert child is not None
    assert await asyncio.to_thread(child.process.wait, 30) == 5
    assert "another desk works here" in desk.log.read_text()


async def test_an_address_that_somebody_has_is_named_and_taken_when_it_is_free(dsn: str, configure: Configure) -> None:
    desk = configure(postgres={"dsn": dsn})
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        address = f"127.0.0.1:{somebody.getsockname()[1]}"
        desk.start(KOMMUTATOR_DESK__LISTEN=address)
        await until(lambda: f"desk.listen: cannot listen at {address}" in desk.said())
    assert await desk.serving() == f"http://{address}"
    assert "Traceback" not in desk.said()


async def test_routers_are_told_the_active_version_and_whose_owner_changed(
    db: Database, dsn: str, nats: EmbeddedNats, configure: Configure
) -> None:
    desk = configure(postgres={"dsn": dsn})
    desk.start()
    await desk.ready()
    async with exchange(nats) as routers:
        number = await activate(db)

        async def told(number: int) -> bool:
            update = await routers.connection.get(COMPANY, ACTIVE)
            return update is not None and decode(update.value or b"", Activation).version == str(number)

        await until(lambda: told(number))
        stored = await routers.connection.fetch(COMPANY, token(str(number)), 5)
        assert stored is not None
        assert set(unpack(stored).prompts) == {"leave-message", "sorry"}

        told_owners: list[tuple[str, str | None]] = []

        async def follow() -> None:
            async for each in routers.connection.follow(CHANGES, CHANGED_SUBJECT, 0):
                told_owners.extend(decode(each.payload, FactsChanged).owners)

        following = asyncio.create_task(follow())
        async with db.transaction() as tx:
            await clients.create(tx, clients.Draft(numbers=("+79161230099",), owner="anna"), now())
        await until(lambda: ("+79161230099", "anna") in told_owners)

        async def owner(number: str) -> LookupAnswer:
            return decode(await routers.connection.request(OWNER_SUBJECT, encode(OwnerAsked(number))), LookupAnswer)

        assert await owner("+79161230099") == LookupAnswer("owner", "anna")
        assert await owner("+79161230000") == LookupAnswer("no_owner")
        history = await routers.connection.request(HISTORY_SUBJECT, encode(HistoryAsked("+79161230099")))
        assert decode(history, LookupAnswer) == LookupAnswer("never_called")
        following.cancel()

        figures = (await desk.get("/metrics")).text
        assert 'kommutator_lookups_total{outcome="found",question="owner"} 1.0' in figures
        assert 'kommutator_lookups_total{outcome="unknown",question="owner"} 1.0' in figures
        assert "kommutator_exchange_connected 1.0" in figures


async def test_what_changed_while_the_exchange_was_away_is_told_after(
    db: Database, dsn: str, nats: EmbeddedNats, configure: Configure
) -> None:
    desk = configure(postgres={"dsn": dsn})
    desk.start()
    await desk.ready()
    await activate(db)

    async def waiting() -> int:
        async with db.transaction() as tx:
            found: int = await tx.value("select count(*) from number_changes where company_id = $1")
            return found

    async def none() -> bool:
        return await waiting() == 0

    await until(none)
    os.kill(nats.pid, signal.SIGKILL)
    assert await asyncio.to_thread(nats.wait, 10)

    async def missed() -> bool:
        return (await desk.get("/readyz")).status_code == 503

    await until(missed)
    async with db.transaction() as tx:
        await clients.create(tx, clients.Draft(numbers=("+79161230055",), owner="anna"), now())
    assert await waiting() == 1
    await asyncio.to_thread(nats.start)
    await until(none)
    async with exchange(nats) as routers:

        async def told() -> bool:
            last = await routers.connection.last(CHANGES, CHANGED_SUBJECT)
            return last is not None and ("+79161230055", "anna") in decode(last.payload, FactsChanged).owners

        await until(told)


async def test_an_entry_that_no_ledger_can_take_is_put_aside_and_the_others_are_written(
    db: Database, dsn: str, nats: EmbeddedNats, configure: Configure
) -> None:
    desk = configure(postgres={"dsn": dsn})
    desk.start()
    await desk.ready()
    began = '{"kind":"began","call":"%s","did":"%s","caller":null,"at":1795000000000}'
    entries = [began % (f"call-{number}", "1\\u0000" if number == 3 else "1") for number in range(8)]
    batch = CallBatch("r1", "spool", 1, tuple(msgspec.Raw(entry.encode()) for entry in entries), "pbx")
    async with exchange(nats) as routers:
        await routers.connection.append("kt.calls.r1", encode(batch))

        async def written() -> bool:
            async with db.transaction() as tx:
                rows = await tx.fetch("select call_id from calls where company_id = $1")
            return {row["call_id"] for row in rows} == {f"call-{number}" for number in range(8) if number != 3}

        await until(written)
        aside = await routers.connection.last(REFUSED, "kt.refused.r1")
        assert aside is not None
        assert b'"call-3"' in aside.payload
        first, last = await routers.connection.last_sequence(REFUSED)
        assert last - first == 0
    figures = (await desk.get("/metrics")).text
    assert 'kommutator_ledger_entries_total{result="written"} 7.0' in figures
    assert 'kommutator_ledger_entries_total{result="refused"} 1.0' in figures


async def test_letters_bear_the_name_of_the_version_that_is_active(
    db: Database, dsn: str, nats: EmbeddedNats, configure: Configure, data: Path, tmp_path: Path
) -> None:
    assert nats.alive()
    desk = configure(postgres={"dsn": dsn}, **{"notices.email": {"kind": "file"}})
    desk.start()
    await desk.ready()
    sent = data / "desk" / "sent"

    async def letter(id: str) -> str:
        async with db.transaction() as tx:
            await outbox.enqueue(tx, id, "email", f"{id}@example.test", {"text": "т", "subject": None}, now())
        await until(lambda: any(f"{id}@" in file.name for file in sent.glob("*.eml")))
        return next(file for file in sent.glob("*.eml") if f"{id}@" in file.name).read_text()

    await activate(db)
    async with db.transaction() as tx:
        assert (await people.company(tx)).name == "Ромашка"
    renamed = tmp_path / "renamed.yaml"
    renamed.write_text(
        DOCUMENT.read_text().replace("name: Ромашка", "name: Daisy").replace("language: ru}", "language: en}", 1)
    )
    await activate(db, renamed)
    for number in range(100):
        if "From: Daisy" in await letter(f"n{number}"):
            return
    raise AssertionError("letters keep the old name")


async def test_a_signal_ends_it_in_time_also_when_nothing_answers(dsn: str, configure: Configure) -> None:
    """The exchange is away, a mail server never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        smtp = {
            "kind": "smtp",
            "host": "127.0.0.1",
            "port": silent.getsockname()[1],
            "security": "none",
            "sender": "a@b.test",
        }
        desk = configure(postgres={"dsn": dsn}, **{"notices.email": smtp})
        desk.start()
        await desk.serving()
        async with Database.opened(DatabaseSettings(dsn, connections=2)) as db, db.transaction() as tx:
            await outbox.enqueue(tx, "n1", "email", "a@example.test", {"text": "т"}, now())
        silent.settimeout(30)
        connection, _ = await asyncio.to_thread(silent.accept)
        assert await asyncio.to_thread(desk.end, signal.SIGTERM) == 0, "it waits no longer than the test does"
        connection.close()
    async with Database.opened(DatabaseSettings(dsn, connections=2)) as db, db.transaction() as tx:
        row = await tx.one("select state, doubts from outbox where company_id = $1")
        assert row is not None and row["state"] == "waiting"


async def test_a_gateway_tells_of_a_delivery_by_http(db: Database, dsn: str, configure: Configure) -> None:
    gateway = {"kind": "http", "url": "http://127.0.0.1:9/send", "body": '{"to": "{to}"}', "provider_id": "/id"}
    receipts = {"token": "t0ken", "id": "msg", "state": "status", "delivered": ["D"], "undelivered": ["U"]}
    desk = configure(postgres={"dsn": dsn}, **{"notices.sms": gateway, "notices.sms.receipts": receipts})
    async with db.transaction() as tx:
        for id in ("n1", "n2", "n3"):
            await outbox.enqueue(tx, id, "sms", f"+7916123456{id[1]}", {"text": "т"}, now())
        for claim in await outbox.claim(tx, "sms", "test", outbox.OutboxSettings(), now()):
            await outbox.sent(tx, claim, now(), [f"gw-{claim.id}"])
    desk.start()
    url = f"{await desk.serving()}/hooks/sms"
    async with httpx.AsyncClient(trust_env=False) as client:
        good = {"token": "t0ken", "msg": "gw-n1", "status": "D"}
        assert (await client.get(url, params={**good, "token": "guess"})).status_code == 403
        assert (await client.get(url, params=good)).status_code == 200
        assert (await client.post(url, data={**good, "msg": "gw-n2"})).status_code == 200
        assert (await client.post(url, json={**good, "msg": "gw-n3", "status": "U"})).status_code == 200
        assert (await client.post(url, json=["not", "a", "receipt"])).status_code == 403
        assert (await client.post(url, content=b"{", headers={"Content-Type": "application/json"})).status_code == 400
    async with db.transaction() as tx:
        states = [(await outbox.get(tx, id)).state for id in ("n1", "n2", "n3")]
    assert states == ["delivered", "delivered", "undelivered"]
    assert "t0ken" not in desk.said(), "a secret is in no log"

"""Presence by pages: gone for a minute is offline; the test's minute is shorter."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from kommutator.app.desk import now
from kommutator.crm import accounts, attendance
from kommutator.crm.pool import Database
from kommutator.desk.background.topics import Topics
from kommutator.desk.live.attendance import COMES_BACK
from kommutator.desk.live.hub import Hub
from kommutator.exchange.embedded import EmbeddedNats
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.settings import ExchangeSettings
from tests.api.conftest import NOW, PASSWORD, SETTINGS
from tests.desk_services.conftest import until

pytestmark = [pytest.mark.anyio, pytest.mark.services]

MINUTE_S = 1.0


class Desk:
    """A desk's live part, as its process has it."""

    def __init__(self, db: Database, nats: EmbeddedNats) -> None:
        address = nats.address
        self.database = db
        self.exchange = Exchange(ExchangeSettings((address.url,), address.user, address.password), "desk")
        self.topics = Topics(db)
        self.hub = Hub(db, self.exchange, self.topics, now, SETTINGS, absent_after_s=MINUTE_S)

    def presence(self, employee: str) -> str | None:
        """As this desk sees it."""
        facts = {(each.kind, each.employee): each.value for each in self.hub.floor.facts()}
        return facts.get(("presence", employee))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the process lives; at the end it is killed, and tells nobody."""
        tasks = [asyncio.create_task(work()) for work in (self.exchange.run, self.topics.run, self.hub.run)]
        try:
            await self.exchange.ready()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @asynccontextmanager
    async def page(self, session: accounts.User, token: str, tab: str | None = None) -> AsyncIterator[None]:
        """A page, while it is open."""
        stream = self.hub.stream(tab or str(uuid.uuid4()), session, token)
        begun = asyncio.Event()

        async def read() -> None:
            async for _ in stream:
                begun.set()

        reading = asyncio.create_task(read())
        await begun.wait()
        try:
            yield
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
            await stream.aclose()  # type: ignore[attr-defined]


@pytest.fixture
async def anna(db: Database) -> accounts.User:
    async with db.transaction("test") as tx:
        await tx.run(
            "insert into employees (company_id, id, name, endpoint, position) values ($1, 'anna', 'Анна', 'PJSIP/101', 0)"
        )
        return await accounts.create_user(tx, "anna", "Анна", "operator", PASSWORD, NOW, SETTINGS, employee="anna")


async def token(db: Database) -> str:
    """A session of hers."""
    return (await accounts.sign_in(db, "anna", PASSWORD, "127.0.0.1", now(), SETTINGS))[0]


async def test_offline_when_the_last_page_is_gone_and_back_as_she_was(
    db: Database, nats: EmbeddedNats, anna: accounts.User
) -> None:
    desk, session = Desk(db, nats), await token(db)
    async with desk.running():
        async with desk.page(anna, session), desk.page(anna, session):
            await desk.hub.floor.presence("anna", "away", 1)
            await until(lambda: desk.presence("anna") == "away")
        async with desk.page(anna, session, "reloaded"):  # within the minute: nothing happens
            await asyncio.sleep(2 * MINUTE_S)
            assert desk.presence("anna") == "away"
        await until(lambda: desk.presence("anna") == "offline")
        async with desk.page(anna, session):
            await until(lambda: desk.presence("anna") == "away")


async def test_what_was_said_by_hand_stays(db: Database, nats: EmbeddedNats, anna: accounts.User) -> None:
    desk, session = Desk(db, nats), await token(db)
    async with desk.running():
        async with desk.page(anna, session):
            await desk.hub.floor.presence("anna", "present", 1)
            await until(lambda: desk.presence("anna") == "present")
        await until(lambda: desk.presence("anna") == "offline")
        async with db.transaction("test") as tx:  # as the API does when a supervisor says so
            await attendance.returned(tx, "anna")
            await desk.hub.floor.presence("anna", "offline", 2)
        async with desk.page(anna, session):
            await desk.hub.attendance.sweep()
            assert desk.presence("anna") == "offline"


async def test_who_signs_in_is_present_unless_he_went_as_away(
    db: Database, nats: EmbeddedNats, anna: accounts.User
) -> None:
    desk, session = Desk(db, nats), await token(db)

    async def signs_in() -> None:
        async with db.transaction("anna") as tx:  # as the API does
            await attendance.arrived(tx, "anna", now(), now() - COMES_BACK)

    async with desk.running():
        await signs_in()
        assert desk.presence("anna") is None
        async with desk.page(anna, session):
            await until(lambda: desk.presence("anna") == "present")
            await desk.hub.floor.presence("anna", "away", 1)
            await until(lambda: desk.presence("anna") == "away")
            await signs_in()  # in another browser
            async with desk.page(anna, session):
                await desk.hub.attendance.sweep()
                assert desk.presence("anna") == "away"
        await until(lambda: desk.presence("anna") == "offline")
        await signs_in()
        async with desk.page(anna, session):
            await until(lambda: desk.presence("anna") == "away")


async def test_another_desk_keeps_her_presence_when_hers_is_killed(
    db: Database, nats: EmbeddedNats, anna: accounts.User
) -> None:
    one, other, session = Desk(db, nats), Desk(db, nats), await token(db)
    async with AsyncExitStack() as never_closed, other.running():
        async with one.running():
            await one.hub.floor.presence("anna", "present", 1)
            await until(lambda: other.presence("anna") == "present")
            await never_closed.enter_async_context(one.page(anna, session, "page"))
        async with other.page(anna, session, "page"):
            await asyncio.sleep(2 * MINUTE_S)
            assert other.presence("anna") == "present"
        await until(lambda: other.presence("anna") == "offline")

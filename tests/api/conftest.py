"""The API on a real database, as the desk process has it; where a test needs it, with a real exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from quart import Quart, Response
from quart.typing import TestClientProtocol

import kommutator
from kommutator.crm import accounts, versions
from kommutator.crm.accounts import AccountSettings, Role
from kommutator.crm.pool import Database
from kommutator.crm.versions import read_draft
from kommutator.desk import app as desk
from kommutator.desk.background.topics import Topics
from kommutator.desk.live.hub import Hub
from kommutator.desk.services import Services
from kommutator.exchange.embedded import EmbeddedNats
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.floor import DeskFloor
from kommutator.exchange.settings import ExchangeSettings
from tests.crm.conftest import anyio_backend, db, dsn, server, server_folder

__all__ = ["anyio_backend", "db", "dsn", "server", "server_folder"]

NOW = datetime(2026, 11, 18, 9, tzinfo=UTC)
PASSWORD = "correct horse"
SETTINGS = AccountSettings(
    failures_of_login=3,
    failures_of_address=20,
    throttle_s=300,
    hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1),
)
COMPANY = Path(kommutator.__file__).parent / "sample" / "company" / "company.yaml"


@dataclass
class Clock:
    """A clock that stands until it is set."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Stage:
    """The parts of a desk, and the application on them."""

    services: Services
    app: Quart
    clock: Clock
    changes: list[str] = field(default_factory=list)
    """What `versions_changed` was called for."""

    async def user(self, login: str, role: Role, employee: str | None = None) -> accounts.User:
        """Makes an account."""
        async with self.services.database.transaction("admin") as tx:
            return await accounts.create_user(
                tx, login, login.title(), role, PASSWORD, NOW, SETTINGS, employee=employee
            )

    async def token(self, *scopes: str) -> str:
        """Makes a token."""
        async with self.services.database.transaction("admin") as tx:
            return (await accounts.create_token(tx, "machine", scopes, NOW))[0]

    async def signed_in(self, login: str) -> Browser:
        """A browser in which this user has signed in."""
        browser = Browser(self.app.test_client())
        answer = await browser.post("/api/sign-in", {"login": login, "password": PASSWORD})
        assert answer.status_code == 200, await answer.get_data(as_text=True)
        browser.csrf = (await answer.get_json())["csrf"]
        return browser

    async def company(self) -> None:
        """Imports and activates the sample company."""
        draft = read_draft(COMPANY, round(NOW.timestamp() * 1000))
        async with self.services.database.transaction("admin") as tx:
            number, _ = await versions.add(tx, draft, "", NOW)
            await versions.activate(tx, number, "", NOW)


class Browser:
    """A browser with cookies, and the script of our page in it."""

    def __init__(self, client: TestClientProtocol) -> None:
        self.client = client
        self.csrf = ""

    async def ask(
        self, method: str, path: str, body: Any = None, *, revision: int | None = None, **options: Any
    ) -> Response:
        """One request."""
        headers = dict(options.pop("headers", {}))
        if self.csrf and method != "GET":
            headers.setdefault("X-CSRF-Token", self.csrf)
        if revision is not None:
            headers["If-Match"] = f'"{revision}"'
        if body is not None:
            options["json"] = body
        answer = await self.client.open(path, method=method, headers=headers, **options)
        assert isinstance(answer, Response)
        return answer

    def cookie(self, name: str) -> str:
        """What the browser keeps under this name."""
        jar = getattr(self.client, "cookie_jar")  # noqa: B009 - not of the protocol
        return str(next(each.value for each in jar if each.name == name))

    async def get(self, path: str, **options: Any) -> Response:
        """Reads."""
        return await self.ask("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Response:
        """Makes or does."""
        return await self.ask("POST", path, body, **options)

    async def put(self, path: str, body: Any = None, **options: Any) -> Response:
        """Writes over."""
        return await self.ask("PUT", path, body, **options)

    async def json(self, path: str, status: int = 200, **options: Any) -> Any:
        """What an address tells."""
        answer = await self.get(path, **options)
        assert answer.status_code == status, await answer.get_data(as_text=True)
        return await answer.get_json()


@pytest.fixture
def staged(tmp_path: Path) -> Callable[..., Stage]:
    """Makes a desk on a database; its exchange cannot be reached, unless one is given."""

    def make(database: Database, exchange: Exchange | None = None, *, secure: bool = False) -> Stage:
        clock, changes = Clock(), list[str]()
        hub = None if exchange is None else Hub(database, exchange, Topics(database), clock, SETTINGS)
        exchange = exchange or Exchange(ExchangeSettings(("nats://127.0.0.1:9",)), "test")

        async def changed() -> None:
            changes.append("version")

        recordings = tmp_path / "recordings"
        recordings.mkdir()
        services = Services(
            database=database,
            exchange=exchange,
            floor=DeskFloor(exchange, lambda _: None) if hub is None else hub.floor,
            live=hub,
            clock=clock,
            accounts=SETTINGS,
            recordings=recordings,
            checks={},
            secure=secure,
            versions_changed=changed,
        )
        return Stage(services, desk.create(services), clock, changes)

    return make


@pytest.fixture
async def stage(db: Database, staged: Callable[..., Stage]) -> AsyncIterator[Stage]:
    """A desk whose exchange cannot be reached."""
    yield staged(db)


@pytest.fixture
async def live(db: Database, staged: Callable[..., Stage], tmp_path: Path) -> AsyncIterator[Stage]:
    """A desk that is connected to a real exchange."""
    nats = EmbeddedNats(tmp_path / "nats")
    address = await asyncio.to_thread(nats.start)
    exchange = Exchange(ExchangeSettings((address.url,), address.user, address.password), "test")
    made = staged(db, exchange)
    assert made.services.live is not None
    running = [asyncio.create_task(work()) for work in (exchange.run, made.services.live.run)]
    await exchange.ready()
    yield made
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    await asyncio.to_thread(nats.stop)


@pytest.fixture
async def admin(stage: Stage) -> Browser:
    """An administrator who has signed in."""
    await stage.user("root", "administrator")
    return await stage.signed_in("root")

"""The live desk whole: the desk process, a router and a simulated PBX as processes, and pages that listen over real HTTP."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from kommutator.app.desk import now
from kommutator.crm import accounts, versions
from kommutator.crm.accounts import Role
from kommutator.crm.pool import Database
from kommutator.exchange.embedded import EmbeddedNats
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.control_asyncio import control_of
from tests.api.conftest import PASSWORD, SETTINGS
from tests.crm.conftest import anyio_backend, db, dsn, server, server_folder
from tests.desk_services.conftest import Child, Configure, Desk, configure, data, nats, until

__all__ = ["anyio_backend", "configure", "data", "db", "dsn", "nats", "server", "server_folder"]

COMPANY = Path(__file__).parent / "company.yaml"
DID = "+74951112201"
PHONES = {"anna": "PJSIP/101", "olga": "PJSIP/102", "boris": "PJSIP/103", "vera": "PJSIP/104"}
PATIENCE_S = 30.0

Event = tuple[str, dict[str, Any]]


class Page:
    """A page of the desk: it listens, and asks."""

    def __init__(self, client: httpx.AsyncClient, tab: str) -> None:
        self.client = client
        self.tab = tab
        self.events: list[Event] = []
        self.ended = asyncio.Event()
        self._came = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        """One request."""
        given = {"X-CSRF-Token": self.client.cookies.get("kommutator-csrf") or "", **headers}
        answer = await self.client.request(method, path, json=body, headers=given)
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    async def order(self, call_id: str, kind: str, **more: Any) -> dict[str, Any]:
        """Have something done with a call."""
        body = {"order": str(uuid.uuid4()), "kind": kind, **more}
        done: dict[str, Any] = await self.ask("POST", f"/api/calls/{call_id}/orders", body)
        return done

    async def listen(self) -> dict[str, Any]:
        """Begin to listen; the first snapshot."""
        await self.leave()
        self.events.clear()
        self.ended.clear()
        self._listening = asyncio.create_task(self._listen())
        return await self.hears("snapshot")

    async def leave(self) -> None:
        """The page is closed."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    async def hears(self, name: str, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """Wait for an event, or find it among those that came and were not looked at; those before it are looked at."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for place, (kind, told) in enumerate(self.events):
                    if kind == name and wanted(told):
                        del self.events[: place + 1]
                        return told
                assert not self.ended.is_set(), f"the stream has ended: {self.events}"
                self._came.clear()
                await self._came.wait()

    async def card(self, state: str, call_id: str | None = None, **values: Any) -> dict[str, Any]:
        """Wait for a card in this state."""

        def fits(card: dict[str, Any]) -> bool:
            return (
                card["state"] == state
                and call_id in (None, card["call_id"])
                and all(card[key] == value for key, value in values.items())
            )

        return await self.hears("call", fits)

    async def consults(self, state: str) -> dict[str, Any]:
        """Wait for a card whose consultation is in this state."""
        return await self.hears("call", lambda card: (card["consultation"] or {}).get("state") == state)

    async def _listen(self) -> None:
        try:
            async with self.client.stream("GET", "/api/events", params={"tab": self.tab}, timeout=None) as answer:
                assert answer.status_code == 200, await answer.aread()
                name = ""
                async for line in answer.aiter_lines():
                    if line.startswith("event: "):
                        name = line[7:]
                    elif line.startswith("data: "):
                        self.events.append((name, json.loads(line[6:])))
                        self._came.set()
        except httpx.HTTPError:
            pass
        finally:
            self.ended.set()
            self._came.set()


class Stack:
    """The processes of one house, and hands on them."""

    def __init__(self, desk: Desk, database: Database) -> None:
        self.desk = desk
        self.database = database
        self.socket = desk.data / "pbx" / "main.sock"
        self.pages: list[Page] = []
        self._children: list[Child] = []
        self._named: dict[str, Child] = {}

    def run(self, *arguments: str) -> Child:
        """Run a command on the house's configuration."""
        log = self.desk.data.parent / f"{arguments[0]}.log"
        child = Child(log, "kommutator", *arguments, "--config", str(self.desk.config), "--data", str(self.desk.data))
        self._children.append(child)
        self._named[arguments[0]] = child
        return child

    def kill(self, command: str) -> None:
        """Kill what was run last by this command."""
        self._named[command].end()

    async def routes(self) -> None:
        """Wait until the router has the PBX."""

        async def there() -> bool:
            if not self.socket.exists():
                return False
            async with control_of(self.socket) as control:
                glance = await control.ask(codec.About(), codec.Glance)
                return bool(glance.router and glance.sounds.numbers)

        await until(there)

    async def by_hand(self) -> None:
        """Nobody picks phones up but the test."""
        async with control_of(self.socket) as control:
            for endpoint in PHONES.values():
                await control.ask(codec.Behave(endpoint, ()))

    async def pbx(self, what: codec.ControlOperation, kind: Any = None) -> Any:
        """A hand on the PBX."""
        async with control_of(self.socket) as control:
            return await control.ask(what, kind)

    async def calls(self, caller: str | None = "+79161234567") -> str:
        """A client calls; the call's id."""
        call_id: str = await self.pbx(codec.Place(DID, caller), str)
        return call_id

    async def picks_up(self, employee: str) -> None:
        """Somebody picks his phone up, once it rings."""
        await self._when_it_rings(employee, codec.PickUp(PHONES[employee]))

    async def declines(self, employee: str) -> None:
        """Somebody declines, once his phone rings."""
        await self._when_it_rings(employee, codec.Decline(PHONES[employee]))

    async def _when_it_rings(self, employee: str, what: codec.ControlOperation) -> None:
        async def rings() -> bool:
            phones = await self.pbx(codec.Phones(), list[codec.PhoneThere])
            return any(each.endpoint == PHONES[employee] and each.line == "ringing" for each in phones)

        await until(rings)
        await self.pbx(what)

    async def user(self, login: str, role: Role = "operator", *, employee: bool = True) -> None:
        """Makes an account, of the employee of the same name."""
        async with self.database.transaction("test") as tx:
            await accounts.create_user(
                tx, login, login.title(), role, PASSWORD, now(), SETTINGS, employee=login if employee else None
            )

    async def page(self, login: str, url: str | None = None) -> Page:
        """A page in which this user has signed in."""
        client = httpx.AsyncClient(base_url=url or self.desk.url or "", trust_env=False, timeout=20)
        page = Page(client, str(uuid.uuid4()))
        self.pages.append(page)
        await page.ask("POST", "/api/sign-in", {"login": login, "password": PASSWORD})
        return page

    async def listening(self, login: str) -> Page:
        """A page that listens."""
        page = await self.page(login)
        await page.listen()
        return page

    async def end(self) -> None:
        """End everything."""
        for page in self.pages:
            await page.leave()
            await page.client.aclose()
        for child in self._children:
            child.end()


@asynccontextmanager
async def standing(configure: Configure, dsn: str, db: Database) -> AsyncIterator[Stack]:
    """The whole house, with nobody in it but the company's people."""
    desk = configure(**{"postgres": {"dsn": dsn}, "routers.main.pbx": {"kind": "simulated"}})
    draft = await asyncio.to_thread(versions.read_draft, COMPANY, round(time.time() * 1000))
    async with db.transaction("test") as tx:
        number, _ = await versions.add(tx, draft, "", now())
        await versions.activate(tx, number, "", now())
    stack = Stack(desk, db)
    try:
        stack.run("pbx", "main")
        stack.run("route", "main")
        desk.start()
        await desk.ready()
        await stack.routes()
        await stack.by_hand()
        yield stack
    finally:
        await stack.end()


@pytest.fixture
async def stack(configure: Configure, dsn: str, db: Database, nats: EmbeddedNats) -> AsyncIterator[Stack]:
    """The whole house: a desk, a router, a PBX, with accounts of everybody."""
    assert nats.address
    async with standing(configure, dsn, db) as made:
        for login in ("anna", "olga"):
            await made.user(login)
        for login in ("boris", "vera"):
            await made.user(login, "manager")
        yield made

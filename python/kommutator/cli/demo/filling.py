"""The sample company and its clients into an empty record."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from kommutator import sample
from kommutator.crm import accounts, clients, interactions, interests, versions
from kommutator.crm.accounts import AccountSettings, Role
from kommutator.crm.pool import Database, DatabaseSettings, Tx
from kommutator.crm.versions import read_draft
from kommutator.errors import ExchangeTimeout
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.floor import DeskFloor
from kommutator.exchange.settings import ExchangeSettings

PASSWORD: Final = "romashka"
USERS: Final[tuple[tuple[str, str, Role, str | None], ...]] = (
    ("operator", "Анна Смирнова", "operator", "anna"),
    ("manager", "Вера Павлова", "manager", "vera"),
    ("supervisor", "Виктор Лавров", "supervisor", "viktor"),
    ("admin", "Администратор", "administrator", None),
)
"""Login, name, role, and the employee whose phone it is."""
_NOT_PRESENT: Final = {"rita": "away", "lev": "offline"}
_ACTOR: Final = "demo"
_EXCHANGE_S: Final = 10.0


def sample_clients() -> list[dict[str, Any]]:
    """The clients as they are written."""
    entries: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(sample.CLIENTS.read_text(encoding="utf-8"))
    return entries


async def fill(settings: DatabaseSettings, company: Path, comment: str) -> bool:
    """Fill a record in which no version is active, all or nothing; False: one is, and everything stays as it is.

    Raises `CompanyUnreadable`, `Refused` and `DatabaseUnreachable`.
    """
    now = datetime.now(UTC)
    async with Database.opened(settings) as database:
        async with database.transaction(_ACTOR) as tx:
            if await versions.active(tx) is not None:
                return False
        draft = read_draft(company, round(now.timestamp() * 1000))
        async with database.transaction(_ACTOR) as tx:
            number, _ = await versions.add(tx, draft, comment, now)
            await versions.activate(tx, number, comment, now)
            for login, name, role, employee in USERS:
                await accounts.create_user(
                    tx, login, name, role, PASSWORD, now, AccountSettings(), employee=employee
                )  # fmt: skip
            for place, entry in enumerate(sample_clients()):
                await _client(tx, entry, f"sample:{place}", now)
    return True


async def tell_presence(settings: ExchangeSettings, employees: Iterable[str]) -> None:
    """Let everybody be at the workplace, but for a few. Raises `ExchangeError`."""
    exchange = Exchange(settings, "demo")
    floor = DeskFloor(exchange, lambda _fact: None)
    connecting = asyncio.create_task(exchange.run())
    try:
        async with asyncio.timeout(_EXCHANGE_S):
            await exchange.ready()
        at_ms = round(datetime.now(UTC).timestamp() * 1000)
        for employee in employees:
            await floor.presence(employee, _NOT_PRESENT.get(employee, "present"), at_ms)
    except TimeoutError as error:
        raise ExchangeTimeout(f"no connection within {_EXCHANGE_S:g} s") from error
    finally:
        connecting.cancel()
        await asyncio.wait([connecting])


async def _client(tx: Tx, entry: dict[str, Any], key: str, now: datetime) -> None:
    contacts, wishes = entry.pop("contacts", []), entry.pop("interests", [])
    entry["numbers"] = tuple(entry["numbers"])
    made = await clients.create(tx, clients.Draft(**entry), now - timedelta(days=30))
    for contact in sorted(contacts, key=lambda each: -each["ago"]):
        at = now - timedelta(hours=contact.pop("ago"))
        await interactions.add(tx, made.id, contact.pop("kind"), at, **contact)
    for place, wish in enumerate(wishes):
        at = now - timedelta(hours=wish.pop("ago"))
        due_at = now + timedelta(hours=wish.pop("due")) if "due" in wish else None
        await interests.create(tx, made.id, interests.Draft(**wish, due_at=due_at), f"{key}:{place}", at)

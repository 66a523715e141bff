"""The desk's side of company versions: the database's active version, told to all routers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from kommutator.errors import ExchangeMoved, ExchangeRefused
from kommutator.exchange.bundle import pack, unpack
from kommutator.exchange.messages import ACTIVE, COMPANY, Activation, CompanyVersion, decode, encode, token
from kommutator.exchange.nats.client import Connection, Exchange

_STORE_S = 30.0
_TRIES = 5

Active = Callable[[], Awaitable[tuple[Activation, CompanyVersion] | None]]
"""Reads from the database which version is active; None: there is none yet."""


class DeskVersions:
    """Attached to the exchange, it brings what the exchange says in line with the database on every connection."""

    def __init__(self, exchange: Exchange, active: Active) -> None:
        self._exchange = exchange
        self._active = active
        self._log = structlog.get_logger()
        exchange.attach("telling the active version", self._tell_and_stay)

    async def announce(self) -> None:
        """The active version has changed. Raises `ExchangeError`; the next connection makes up for it."""
        await self._tell(self._exchange.connection)

    async def _tell_and_stay(self, connection: Connection) -> None:
        await self._tell(connection)
        await connection.lost.wait()

    async def _tell(self, connection: Connection) -> None:
        """The key's revision is read before the database: a desk that read earlier cannot write over one that read
        later."""
        for _ in range(_TRIES):
            told = await connection.get(COMPANY, ACTIVE)
            active = await self._active()
            if active is None:
                return
            activation, version = active
            if told is not None and told.value and decode(told.value, Activation) == activation:
                return
            await self._store(connection, version)
            revision = await connection.last(f"KV_{COMPANY}", f"$KV.{COMPANY}.{ACTIVE}")
            expected = 0 if revision is None else revision.sequence
            if expected != (0 if told is None else told.revision):
                continue
            try:
                await connection.append(f"$KV.{COMPANY}.{ACTIVE}", encode(activation), expected)
            except ExchangeMoved:
                continue
            self._log.info("the active version was told", version=activation.version)
            return
        raise ExchangeMoved("other desks tell of active versions all the time")

    async def _store(self, connection: Connection, version: CompanyVersion) -> None:
        """Store a version, once and for ever."""
        name, content = token(version.version), pack(version)
        stored = await connection.fetch(COMPANY, name, _STORE_S)
        if stored is None:
            await connection.store(COMPANY, name, content, _STORE_S)
        elif stored != content and unpack(stored) != version:
            raise ExchangeRefused(f"another version is stored as {version.version}: a version never changes")

"""The desk's side of owners and callers: changes into their stream, tables into the object store, and who asks for new ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from kommutator.errors import ExchangeError
from kommutator.exchange.messages import (
    CHANGED_SUBJECT,
    CHANGES,
    CURRENT,
    DESKS,
    MADE_SUBJECT,
    TABLES,
    TABLES_SUBJECT,
    FactsChanged,
    TablesMade,
    TablesWanted,
    decode,
    encode,
)
from kommutator.exchange.nats.client import Connection, Exchange

_STORE_S: Final = 60.0
_STORED_PER_S: Final = 2e6
"""Bytes that the slowest server is to take in a second."""


class DeskTables:
    """Attached to the exchange, it hears which routers want new tables. Its methods raise `ExchangeError`."""

    def __init__(self, exchange: Exchange, wanted: Callable[[], None]) -> None:
        self._exchange = exchange
        self._wanted = wanted
        self._log = structlog.get_logger()
        exchange.attach("hearing who wants tables", lambda c: c.serve(TABLES_SUBJECT, self._hear, DESKS, 4))

    @property
    def connection(self) -> Connection:
        """The connection. Raises `ExchangeUnreachable` when there is none."""
        return self._exchange.connection

    async def ready(self) -> None:
        """Wait for a connection, as long as it takes."""
        await self._exchange.ready()

    async def tell(self, changed: FactsChanged) -> None:
        """Add changes to their stream."""
        await self.connection.append(CHANGED_SUBJECT, encode(changed))

    async def last(self) -> FactsChanged | None:
        """The changes that were told last; None where none can be read."""
        stored = await self.connection.last(CHANGES, CHANGED_SUBJECT)
        try:
            return None if stored is None else decode(stored.payload, FactsChanged)
        except ExchangeError as error:
            self._log.error("what was told last cannot be read", reason=str(error))
            return None

    async def place(self) -> int:
        """The last message of the stream of changes."""
        return (await self.connection.last_sequence(CHANGES))[1]

    async def made(self) -> TablesMade | None:
        """The tables made last; None where there are none, or none that can be read."""
        return await made_last(self.connection)

    async def publish(self, path: Path, made: TablesMade, before: TablesMade | None) -> None:
        """Put a file of tables into the store and tell of it; those before stay, and none that are older."""
        connection = self.connection
        with path.open("rb") as file:
            await connection.store_file(TABLES, made.name, file, _STORE_S + made.bytes / _STORED_PER_S)
        await connection.put(TABLES, CURRENT, encode(made))
        await connection.append(MADE_SUBJECT, encode(made))
        if before is not None and before.before is not None:
            await connection.remove(TABLES, before.before)

    async def _hear(self, payload: bytes) -> bytes:
        asked = decode(payload, TablesWanted)
        self._log.warning("a router wants new tables", router=asked.router, reason=asked.reason)
        self._wanted()
        return b""


async def made_last(connection: Connection) -> TablesMade | None:
    """The tables made last; None where there are none, or none that can be read."""
    update = await connection.get(TABLES, CURRENT)
    try:
        return None if update is None or not update.value else decode(update.value, TablesMade)
    except ExchangeError as error:
        structlog.get_logger().error("which tables were made last cannot be read", reason=str(error))
        return None

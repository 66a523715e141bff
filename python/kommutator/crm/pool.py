"""Connections to the database, and transactions of one company.

Repositories take a `Tx`. Nothing on the path of a call waits for this.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Self

import asyncpg
import orjson
import structlog
from asyncpg.pool import PoolConnectionProxy

from kommutator.errors import DatabaseUnreachable

Connection = asyncpg.Connection | PoolConnectionProxy
Row = asyncpg.Record

_LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.ConnectionDoesNotExistError,
    asyncpg.TooManyConnectionsError,
    asyncpg.DeadlockDetectedError,
)
UNREACHED: Final = (
    OSError,
    *_LOST,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    # asyncpg's own error of an address is one, and that of a port in it is Python's.
    ValueError,
)
"""Why no connection is made: besides a server that is away, one that knows no such user, password or database."""


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """How the database is used."""

    dsn: str
    company: int = 1
    connections: int = 10
    """The most that one process opens; who needs one more waits."""
    statement_deadline_s: float = 15.0
    """Of one statement; then it is cancelled in the server too."""


@dataclass(frozen=True, slots=True)
class Tx:
    """One transaction of one company."""

    connection: Connection
    company: int
    actor: str
    """Who acts, for histories and the audit: a login, `system`, or the name of an API token."""

    async def fetch(self, query: str, *arguments: object) -> list[Row]:
        """All rows. `$1` of every query is the company."""
        return await self.connection.fetch(query, self.company, *arguments)

    async def one(self, query: str, *arguments: object) -> Row | None:
        """The first row, or None."""
        return await self.connection.fetchrow(query, self.company, *arguments)

    async def value(self, query: str, *arguments: object) -> Any:
        """The first column of the first row, or None."""
        return await self.connection.fetchval(query, self.company, *arguments)

    async def run(self, query: str, *arguments: object) -> int:
        """Executes; the number of rows that it concerned."""
        status = await self.connection.execute(query, self.company, *arguments)
        last = str(status).rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0

    async def tell(self, topic: str, **facts: object) -> None:
        """Tell every listener of this company, when the transaction commits; at most 8,000 bytes of JSON.

        A telling is a hint that makes screens fast, and is lost when nobody listens: what must not be lost is in a
        table.
        """
        payload = orjson.dumps({"topic": topic, **facts}, default=str).decode()
        await self.connection.execute("select pg_notify($1, $2)", _channel(self.company), payload)


class Database:
    """The pool of connections of one process."""

    def __init__(self, pool: asyncpg.Pool, settings: DatabaseSettings) -> None:
        self._pool = pool
        self.settings = settings

    @classmethod
    @asynccontextmanager
    async def opened(cls, settings: DatabaseSettings) -> AsyncIterator[Self]:
        """A pool for as long as the context lasts. Connections come back by themselves after the server was gone.

        Raises `DatabaseUnreachable`.
        """
        try:
            pool = await asyncpg.create_pool(
                settings.dsn,
                min_size=1,
                max_size=settings.connections,
                command_timeout=settings.statement_deadline_s,
                init=prepare,
                server_settings={"application_name": "kommutator", "timezone": "UTC"},
            )
        except UNREACHED as error:
            raise DatabaseUnreachable(str(error)) from error
        try:
            yield cls(pool, settings)
        finally:
            await _close(pool)

    @property
    def connections(self) -> tuple[int, int]:
        """How many connections are open, and how many of them are idle."""
        return self._pool.get_size(), self._pool.get_idle_size()

    @asynccontextmanager
    async def transaction(self, actor: str = "system") -> AsyncIterator[Tx]:
        """A transaction that commits at the end, unless an exception leaves the context.

        Raises `DatabaseUnreachable` when the connection is lost: then nothing happened, except when it was lost
        during the very commit;
        whoever repeats must be idempotent.
        """
        async with self.session() as connection, connection.transaction():
            yield Tx(connection, self.settings.company, actor)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[PoolConnectionProxy]:
        """A connection, for whoever begins and ends transactions himself. Raises as `transaction`."""
        connection = await self._acquire()
        try:
            yield connection
        except (ConnectionError, *_LOST) as error:
            raise DatabaseUnreachable(str(error)) from error
        except TimeoutError as error:
            raise DatabaseUnreachable(
                f"a statement took longer than {self.settings.statement_deadline_s:g} s"
            ) from error
        finally:
            with suppress(ConnectionError, *_LOST):
                await self._pool.release(connection)

    async def _acquire(self) -> PoolConnectionProxy:
        deadline_s = self.settings.statement_deadline_s
        try:
            return await self._pool.acquire(timeout=deadline_s)
        except TimeoutError as error:
            raise DatabaseUnreachable(f"no connection is free or to be had within {deadline_s:g} s") from error
        except (*UNREACHED, asyncpg.InterfaceError) as error:
            raise DatabaseUnreachable(str(error)) from error

    async def listen(self, heard: Callable[[dict[str, Any]], None], connected: Callable[[], None]) -> None:
        """Hear what transactions of this company `tell`, until cancelled.

        `connected` is called whenever listening (re)starts: what was told before may have been missed, so read again
        then.
        """
        log = structlog.get_logger()
        while True:
            ended = asyncio.Event()
            try:
                connection = await asyncpg.connect(self.settings.dsn, timeout=self.settings.statement_deadline_s)
            except UNREACHED as error:
                log.warning("cannot listen to the database", reason=str(error))
                await asyncio.sleep(1)
                continue
            try:
                connection.add_termination_listener(lambda _connection, ended=ended: ended.set())
                await connection.add_listener(
                    _channel(self.settings.company), lambda _c, _pid, _channel, payload: heard(orjson.loads(payload))
                )
                connected()
                await ended.wait()
            except (OSError, *_LOST) as error:
                log.warning("the database is lost while listening", reason=str(error))
            finally:
                connection.terminate()


def where(*conditions: tuple[str, object]) -> tuple[str, list[object]]:
    """The conditions whose value is not None, as SQL that begins with `and`, and their values from `$2` on.

    `{}` stands for the value; a tuple has as many of them as it is long. A condition that does not matter is left out of the text, not
    made true by it, so that the plan of each combination can use its own index.
    """
    written, values = "", list[object]()
    for text, value in conditions:
        if value is not None:
            mine = value if isinstance(value, tuple) else (value,)
            written += " and " + text.format(
                *(f"${place}" for place in range(len(values) + 2, len(values) + 2 + len(mine)))
            )
            values += mine
    return written, values


async def prepare(connection: Connection) -> None:
    """Gives a connection the types that the repositories use: `jsonb` as Python's values."""
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        format="binary",
        encoder=lambda value: b"\x01" + orjson.dumps(value, default=str),
        decoder=lambda raw: orjson.loads(raw[1:]),
    )


def _channel(company: int) -> str:
    return f"kommutator_{company}"


async def _close(pool: asyncpg.Pool) -> None:
    with suppress(OSError, *_LOST, asyncpg.InterfaceError):
        try:
            async with asyncio.timeout(5):
                await pool.close()
        except TimeoutError:
            pool.terminate()

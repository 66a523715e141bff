"""Transactions and listening."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from kommutator.crm import audit
from kommutator.crm.pool import Database, DatabaseSettings
from kommutator.errors import DatabaseUnreachable

pytestmark = pytest.mark.anyio


async def test_an_exception_takes_everything_back(db: Database) -> None:
    with pytest.raises(KeyError):
        async with db.transaction("anna") as tx:
            await audit.record(tx, "x", "thing", 1, {"a": [1, None, "ё"]})
            raise KeyError
    async with db.transaction("anna") as tx:
        assert await audit.read(tx) == []
        await audit.record(tx, "x", "thing", 1, {"a": [1, None, "ё"]})
        (entry,) = await audit.read(tx, subject="thing", subject_id=1)
        assert (entry.actor, entry.details) == ("anna", {"a": [1, None, "ё"]})


async def test_what_is_told_is_heard_after_the_commit_also_when_the_connection_was_lost(db: Database, dsn: str) -> None:
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    connected: asyncio.Queue[None] = asyncio.Queue()
    listening = asyncio.create_task(db.listen(heard.put_nowait, lambda: connected.put_nowait(None)))
    await asyncio.wait_for(connected.get(), 10)
    async with db.transaction() as tx:
        await tx.tell("interest", id=1)
        assert heard.empty()
    assert await asyncio.wait_for(heard.get(), 10) == {"topic": "interest", "id": 1}
    admin = await asyncpg.connect(dsn)
    await admin.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )
    await admin.close()
    await asyncio.wait_for(connected.get(), 10)
    for _ in range(2):  # the pool's connections were ended too: each tells so at most once
        try:
            async with db.transaction() as tx:
                await tx.tell("interest", id=2)
            break
        except DatabaseUnreachable:
            continue
    assert await asyncio.wait_for(heard.get(), 10) == {"topic": "interest", "id": 2}
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening


async def test_who_finds_no_connection_free_is_told_so(dsn: str) -> None:
    async with (
        Database.opened(DatabaseSettings(dsn, connections=1, statement_deadline_s=0.3)) as database,
        database.transaction(),
    ):
        with pytest.raises(DatabaseUnreachable, match="no connection is free"):
            async with database.transaction():
                raise AssertionError("two transactions on one connection")


async def test_a_statement_that_takes_too_long_is_cancelled(dsn: str) -> None:
    async with Database.opened(DatabaseSettings(dsn, connections=1, statement_deadline_s=0.3)) as database:
        with pytest.raises(DatabaseUnreachable, match="longer than"):
            async with database.transaction() as tx:
                await tx.connection.execute("select pg_sleep(30)")
        async with database.transaction() as tx:
            assert await tx.value("select id from companies where id = $1") == 1

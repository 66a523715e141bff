"""Migrations: applied once, in order, by one of several, and refused when they are not ours."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from kommutator.crm.embedded import Server
from kommutator.crm.migrate import Migration, migrate, migrations
from kommutator.crm.pool import Database, DatabaseSettings
from kommutator.errors import DatabaseUnreachable, MigrationRefused

pytestmark = pytest.mark.anyio


async def _empty(server: Server, name: str) -> str:
    admin = await asyncpg.connect(server.dsn.replace("/migrated?", "/postgres?"))
    await admin.execute(f"create database {name}")
    await admin.close()
    return server.dsn.replace("/migrated?", f"/{name}?")


async def test_several_processes_at_once_apply_each_migration_once(server: Server) -> None:
    dsn = await _empty(server, "at_once")
    applied = await asyncio.gather(*(migrate(dsn) for _ in range(4)))
    assert sorted(len(each) for each in applied) == [0, 0, 0, len(migrations())]
    assert await migrate(dsn) == []


async def test_a_migration_changed_after_it_was_applied_is_refused(dsn: str) -> None:
    first, *rest = migrations()
    with pytest.raises(MigrationRefused, match="changed after"):
        await migrate(dsn, [Migration(first.number, first.name, first.sql + "-- more"), *rest])


async def test_a_database_newer_than_the_program_is_refused(dsn: str) -> None:
    with pytest.raises(MigrationRefused, match="newer"):
        await migrate(dsn, migrations()[:-1])


async def test_a_migration_that_fails_leaves_nothing_of_itself(dsn: str) -> None:
    with pytest.raises(asyncpg.PostgresSyntaxError):
        await migrate(dsn, [*migrations(), Migration(9999, "broken", "create table half (id int); nonsense")])
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("select to_regclass('half')") is None
    await connection.close()
    assert await migrate(dsn) == []


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    with pytest.raises(DatabaseUnreachable):
        await migrate("postgresql://nobody@/none?host=%2Fnonexistent&port=5432")


@pytest.mark.parametrize(
    ("there", "not_there", "told"),
    [("//kommutator@", "//stranger@", "stranger"), ("port=5432", "port=many", "many"), ("/migrated", "/none", "none")],
    ids=["user", "port", "database"],
)
async def test_an_address_with_a_fault_is_unreachable_and_named(
    server: Server, there: str, not_there: str, told: str
) -> None:
    assert there in server.dsn
    address = server.dsn.replace(there, not_there, 1)
    for connect in (migrate, _opened):
        with pytest.raises(DatabaseUnreachable, match=told):
            await connect(address)


async def _opened(address: str) -> object:
    async with Database.opened(DatabaseSettings(address)) as database:
        return database

"""Tables of owners and callers as the desk's process makes them, also when it dies at it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from kommutator.app.desk import now
from kommutator.crm import clients
from kommutator.crm.pool import Database
from kommutator.exchange.embedded import EmbeddedNats
from kommutator.exchange.messages import TABLES, TablesMade
from kommutator.exchange.nats.client import Connection
from kommutator.exchange.nats.tables import made_last
from kommutator.exchange.tables_file import Counts, TablesFile
from tests.desk_services.conftest import Configure, activate, until
from tests.desk_services.test_desk import exchange

pytestmark = [pytest.mark.anyio, pytest.mark.services]


async def test_a_desk_that_dies_while_it_makes_tables_leaves_none_and_the_next_one_makes_them(
    db: Database, dsn: str, nats: EmbeddedNats, configure: Configure, tmp_path: Path
) -> None:
    await activate(db)
    async with db.transaction() as tx:
        await clients.create(tx, clients.Draft(numbers=("+79161230099",), owner="anna"), now())
        await tx.run(
            "insert into callers (company_id, number, first_call_at, last_call_at, calls) values ($1, '+79161230099', $2, $2, 1)",
            datetime(2026, 11, 18, tzinfo=UTC),
        )
        # Nothing is left to log: who logs would read the locked table too, and the tables would wait before they begin.
        await tx.run("delete from number_changes where company_id = $1")
    desk = configure(postgres={"dsn": dsn})
    part = desk.data / "desk" / "tables" / "tables.part"
    holding = await asyncpg.connect(dsn)
    async with exchange(nats) as routers:
        async with holding.transaction():
            await holding.execute("lock table callers in access exclusive mode")
            desk.start()
            await until(part.exists)  # it has begun, and cannot end
            desk.end()
        await holding.close()
        assert part.exists()
        assert await made_last(routers.connection) is None
        desk.start()
        await desk.ready()

        async def made() -> bool:
            return await made_last(routers.connection) is not None

        await until(made)
        await until(lambda: not part.exists())
        last = await made_last(routers.connection)
        assert last is not None
        assert (last.owners, last.callers) == (1, 1)
        await fetched(routers.connection, last, tmp_path / "fetched")


async def fetched(connection: Connection, made: TablesMade, path: Path) -> None:
    with path.open("wb") as file:
        assert await connection.fetch_file(TABLES, made.name, file, 30)
    file_ = TablesFile(path)
    file_.verify()
    assert (file_.counts, file_.header.sequence, file_.bytes) == (Counts(1, 1), made.sequence, made.bytes)

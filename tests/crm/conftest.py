"""A real server for the whole run, and a database of its own for every test.

The server lives in a folder that its unprivileged user can enter; each database is a copy of one that was migrated
once.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from kommutator.crm import embedded, people
from kommutator.crm.embedded import PostgresSettings, Server
from kommutator.crm.migrate import migrate
from kommutator.crm.pool import Database, DatabaseSettings
from tests.crm.companies import COMPANY

_TEMPLATE = "migrated"
_names = itertools.count(1)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The memory is asyncio's."""
    return "asyncio"


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder under /tmp that anybody can pass through, as pytest's own cannot be."""
    folder = Path(tempfile.mkdtemp(prefix="kt-pg-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def server(server_folder: Path) -> Iterator[Server]:
    """The embedded server, with a migrated template. Nothing of it must outlive the run, so it need not reach the
    disk."""
    settings = PostgresSettings(
        data=server_folder / "shared",
        database=_TEMPLATE,
        options={"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"},
    )
    running = embedded.start(settings)
    asyncio.run(migrate(running.dsn))
    yield running
    running.stop()


@pytest.fixture
async def dsn(server: Server) -> AsyncIterator[str]:
    """The address of an empty migrated database."""
    name = f"test_{next(_names)}"
    admin = await asyncpg.connect(server.dsn.replace(f"/{_TEMPLATE}?", "/postgres?"))
    await admin.execute(f"create database {name} template {_TEMPLATE}")
    yield server.dsn.replace(f"/{_TEMPLATE}?", f"/{name}?")
    await admin.execute(f"drop database {name} with (force)")
    await admin.close()


@pytest.fixture
async def db(dsn: str) -> AsyncIterator[Database]:
    """A pool on an empty migrated database."""
    async with Database.opened(DatabaseSettings(dsn, connections=4)) as database:
        yield database


@pytest.fixture
def dsn_of_company(server: Server) -> Iterator[str]:
    """The address of a database with a company's people, for tests that are not asyncio's."""
    name = f"company_{next(_names)}"

    async def admin(statement: str) -> None:
        connection = await asyncpg.connect(server.dsn.replace(f"/{_TEMPLATE}?", "/postgres?"))
        await connection.execute(statement)
        await connection.close()

    async def project(dsn: str) -> None:
        async with Database.opened(DatabaseSettings(dsn, connections=1)) as db, db.transaction() as tx:
            await people.project(tx, COMPANY)

    asyncio.run(admin(f"create database {name} template {_TEMPLATE}"))
    dsn = server.dsn.replace(f"/{_TEMPLATE}?", f"/{name}?")
    asyncio.run(project(dsn))
    yield dsn
    asyncio.run(admin(f"drop database {name} with (force)"))

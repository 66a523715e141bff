"""The launcher: real servers, killed and found again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from kommutator.crm import binaries, embedded
from kommutator.crm.embedded import PostgresSettings, Server
from kommutator.crm.migrate import migrate
from kommutator.crm.pool import Database, DatabaseSettings
from kommutator.errors import DatabaseUnreachable, PostgresBusy, PostgresFailed, PostgresNotFound

pytestmark = pytest.mark.anyio

LAUNCHER = """
import sys, time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from kommutator.crm import embedded
server = embedded.start(embedded.PostgresSettings(Path(sys.argv[1]), options={"fsync": "off"}))
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that an unprivileged user can enter. Whatever server is left in it is stopped."""
    with tempfile.TemporaryDirectory(prefix="kt-pg-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
        if (Path(name) / "cluster").exists():
            embedded.start(PostgresSettings(Path(name))).stop()


@pytest.fixture
def settings(folder: Path) -> PostgresSettings:
    """A server that need not survive the machine."""
    return PostgresSettings(folder, options={"fsync": "off"})


@pytest.fixture
async def killed_launcher(folder: Path) -> AsyncIterator[int]:
    """The pid of a server whose launcher was killed."""
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert launcher.stdout is not None
    pid = int(launcher.stdout.readline())
    launcher.kill()
    launcher.wait()
    launcher.stdout.close()
    yield pid


async def _kept(server: Server) -> list[int]:
    connection = await asyncpg.connect(server.dsn)
    try:
        await connection.execute("create table if not exists kept (id int)")
        await connection.execute("insert into kept select count(*) from kept")
        return [row["id"] for row in await connection.fetch("select id from kept order by id")]
    finally:
        await connection.close()


async def test_a_server_is_made_stopped_and_started_with_what_it_kept(settings: PostgresSettings) -> None:
    server = embedded.start(settings)
    assert not server.found
    assert await _kept(server) == [0]
    server.stop()
    assert not server.alive()
    server = embedded.start(settings)
    assert await _kept(server) == [0, 1]
    server.stop()


async def test_a_server_outlives_its_killed_launcher_and_is_found(
    settings: PostgresSettings, killed_launcher: int
) -> None:
    server = embedded.start(settings)
    assert (server.found, server.pid) == (True, killed_launcher)
    assert await _kept(server) == [0]
    server.stop()
    assert not server.alive()
    assert not (settings.data / "cluster" / "postmaster.pid").exists()


async def test_a_folder_has_one_launcher(settings: PostgresSettings) -> None:
    server = embedded.start(settings)
    with pytest.raises(PostgresBusy):
        embedded.start(settings)
    with embedded.attached(settings) as dsn:
        assert dsn == server.dsn
    assert server.alive()
    server.stop()
    with embedded.attached(settings) as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.close()
    with pytest.raises(OSError):
        await asyncpg.connect(dsn)


async def test_a_killed_server_is_started_again_and_recovers(settings: PostgresSettings) -> None:
    server = embedded.start(settings)
    assert await _kept(server) == [0]
    os.kill(server.pid, signal.SIGKILL)
    assert server.wait(10)
    server.release()
    server = embedded.start(settings)
    assert not server.found
    assert await _kept(server) == [0, 1]
    server.stop()


async def test_a_pool_comes_back_after_its_server_was_killed(settings: PostgresSettings) -> None:
    server = embedded.start(settings)
    await migrate(server.dsn)
    async with Database.opened(DatabaseSettings(server.dsn, connections=2)) as database:
        async with database.transaction() as tx:
            await tx.run("update companies set name = 'kept' where id = $1")
        with pytest.raises(DatabaseUnreachable):
            async with database.transaction() as tx:
                await tx.run("update companies set name = 'lost' where id = $1")
                os.kill(server.pid, signal.SIGKILL)
                assert server.wait(10)
        with pytest.raises(DatabaseUnreachable):
            async with database.transaction():
                raise AssertionError("there is no server")
        server.release()
        server = embedded.start(settings)
        async with database.transaction() as tx:
            assert await tx.value("select name from companies where id = $1") == "kept"
    server.stop()


async def test_a_creation_that_was_interrupted_begins_anew(settings: PostgresSettings) -> None:
    (settings.data / "cluster.new").mkdir()
    (settings.data / "cluster.new" / "PG_VERSION").write_text("1")
    server = embedded.start(settings)
    assert await _kept(server) == [0]
    server.stop()


async def test_a_pid_file_that_names_another_process_is_not_believed(settings: PostgresSettings) -> None:
    embedded.start(settings).stop()
    stale = settings.data / "cluster" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{settings.data / 'cluster'}\n0\n5432\n{settings.data / 'run'}\n\n0 0\nready\n")
    server = embedded.start(settings)
    assert not server.found and server.pid != os.getpid()
    server.stop()


async def test_a_long_path_has_its_socket_elsewhere(folder: Path) -> None:
    deep = folder / ("d" * 60) / ("e" * 60)
    server = embedded.start(PostgresSettings(deep, options={"fsync": "off"}))
    (sockets,) = parse_qs(urlsplit(server.dsn).query)["host"]
    assert Path(sockets).is_dir() and not Path(sockets).is_relative_to(folder)
    assert await _kept(server) == [0]
    server.stop()
    assert not Path(sockets).exists()


async def test_a_cluster_of_another_version_is_left_alone(settings: PostgresSettings) -> None:
    embedded.start(settings).stop()
    version = settings.data / "cluster" / "PG_VERSION"
    written = version.read_text()
    version.write_text("14\n")
    with pytest.raises(PostgresFailed, match="was made by PostgreSQL 14"):
        embedded.start(settings)
    version.write_text(written)


async def test_what_the_server_says_when_it_cannot_start_is_told(settings: PostgresSettings) -> None:
    embedded.start(settings).stop()
    bad = PostgresSettings(settings.data, options={"shared_buffers": "nonsense"})
    with pytest.raises(PostgresFailed, match="shared_buffers"):
        embedded.start(bad)


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PostgresFailed, match="Not a directory"):
        embedded.start(PostgresSettings(tmp_path / "file" / "postgres"))


async def test_programs_are_where_they_are_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(PostgresNotFound, match="no postgres"):
        binaries.find({"PGBIN": str(tmp_path)})
    found = binaries.find({})
    assert binaries.find({"PGBIN": str(found.folder)}) == found
    assert found.major >= binaries.OLDEST_MAJOR

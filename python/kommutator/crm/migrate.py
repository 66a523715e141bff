"""Brings a database to the schema of this program: numbered SQL files, each applied once, in one transaction, and
never changed after.

Several processes may start at once: one migrates under an advisory lock, the others wait and find it done.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from typing import Final

import asyncpg

from kommutator.crm.pool import UNREACHED, Connection
from kommutator.errors import DatabaseUnreachable, MigrationRefused

_LOCK: Final = 0x6B6F6D6D75746174
"""Our own key among the advisory locks of the database: `kommutat` in ASCII."""
_NAME: Final = re.compile(r"(\d{4})-([a-z0-9-]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of its text, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations() -> list[Migration]:
    """The migrations that come with this program, in order."""
    found = []
    for file in resources.files("kommutator.crm").joinpath("migrations").iterdir():
        if matched := _NAME.fullmatch(file.name):
            found.append(Migration(int(matched[1]), matched[2], file.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.number)


async def migrate(dsn: str, steps: list[Migration] | None = None) -> list[Migration]:
    """Applies what is missing, and returns it.

    Waits for another process that migrates. Raises `MigrationRefused`, and then changes nothing, when an applied
    migration has another text now, or when the database has one that this program does not know; `DatabaseUnreachable`.
    """
    try:
        connection = await asyncpg.connect(dsn)
    except UNREACHED as error:
        # An embedded server takes connections a moment before it has our database.
        raise DatabaseUnreachable(str(error)) from error
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK)
        return await _apply(connection, migrations() if steps is None else steps)
    finally:
        await connection.close()


async def _apply(connection: Connection, steps: list[Migration]) -> list[Migration]:
    await connection.execute(
        "create table if not exists schema_migrations (number integer primary key, name text not null, "
        "checksum text not null, applied_at timestamptz not null default now())"
    )
    applied = {
        row["number"]: row for row in await connection.fetch("select number, name, checksum from schema_migrations")
    }
    known = {step.number: step for step in steps}
    for number, row in sorted(applied.items()):
        if number not in known:
            raise MigrationRefused(
                f"the database has migration {number:04} {row['name']}: it is newer than this program"
            )
        if known[number].checksum != row["checksum"]:
            raise MigrationRefused(
                f"migration {number:04} {row['name']} was changed after it was applied to this database"
            )
    missing = [step for step in steps if step.number not in applied]
    if missing and applied and missing[0].number < max(applied):
        raise MigrationRefused(f"migration {missing[0].number:04} {missing[0].name} comes before one that is applied")
    for step in missing:
        async with connection.transaction():
            await connection.execute(step.sql)
            await connection.execute(
                "insert into schema_migrations (number, name, checksum) values ($1, $2, $3)",
                step.number, step.name, step.checksum,
            )  # fmt: skip
    return missing

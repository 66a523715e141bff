"""`kommutator versions`: what has been imported, and what is active."""

from __future__ import annotations

from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Table

from kommutator.cli.memory import database_options, with_database
from kommutator.crm import versions
from kommutator.crm.pool import Database
from kommutator.crm.versions import Version


@click.command("versions")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 10_000), help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a version.")
@database_options
def command(limit: int, as_json: bool, data: Path, dsn: str | None) -> None:
    """List the versions of the company, the newest first.

    Exit code: 0; 6 the database cannot be had.
    """
    found = with_database(data, dsn, lambda database: _read(database, limit))
    if as_json:
        for version in found:
            click.echo(orjson.dumps(version))
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("version", "", "author", "imported", "comment"):
        table.add_column(heading)
    for version in found:
        state = "active" if version.active else "" if version.ok else "has errors"
        table.add_row(
            str(version.number), state, version.author, f"{version.created_at:%Y-%m-%d %H:%M} UTC", version.comment
        )
    Console(highlight=False).print(table if found else "no version yet: kommutator import COMPANY")


async def _read(database: Database, limit: int) -> list[Version]:
    async with database.transaction() as tx:
        return await versions.listed(tx, limit=limit)

"""`kommutator diff`: what is different between two versions."""

from __future__ import annotations

from pathlib import Path

import click
import orjson

from kommutator.cli.memory import database_options, with_database
from kommutator.crm import diff
from kommutator.crm.diff import Diff
from kommutator.crm.pool import Database


@click.command("diff")
@click.argument("old", type=int)
@click.argument("new", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print the values that differ, one JSON object a value.")
@database_options
def command(old: int, new: int, as_json: bool, data: Path, dsn: str | None) -> None:
    """Show what is different from version OLD to version NEW: lines of files, or values.

    \b
    Examples:
      kommutator diff 3 4
      kommutator diff 3 4 --json | jq .at

    Exit code: 0; 1 there is no such version; 6 the database cannot be had.
    """

    async def work(database: Database) -> Diff:
        async with database.transaction() as tx:
            return await diff.diff(tx, old, new)

    found = with_database(data, dsn, work)
    if as_json:
        for change in found.changes:
            click.echo(orjson.dumps(change))
    else:
        click.echo(found.text, nl=False)

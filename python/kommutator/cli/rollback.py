"""`kommutator rollback`: back to the version before."""

from __future__ import annotations

from pathlib import Path

import click

from kommutator.cli.activate import telling_errors
from kommutator.cli.memory import author_option, database_options, now, with_database
from kommutator.crm import versions
from kommutator.crm.pool import Database
from kommutator.crm.versions import Activation


@click.command("rollback")
@click.option("--comment", default="", help="Why, for the history.")
@author_option
@database_options
def command(comment: str, author: str, data: Path, dsn: str | None) -> None:
    """Go back to the version that was active before the present one; again, and it goes back further.

    Exit code: 0; 1 there is nothing to go back to, or that version's check has errors by now; 6 the database cannot
    be had.
    """

    async def work(database: Database) -> Activation:
        async with database.transaction(author) as tx:
            return await versions.rollback(tx, comment, now())

    with telling_errors():
        done = with_database(data, dsn, work)
    click.echo(f"version {done.version} is active")

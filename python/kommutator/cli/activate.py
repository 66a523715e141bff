"""`kommutator activate`: new calls begin on another version."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from kommutator.cli.check import show
from kommutator.cli.inputs import EXIT_INVALID
from kommutator.cli.memory import author_option, database_options, now, with_database
from kommutator.company import CheckReport
from kommutator.crm import versions
from kommutator.crm.pool import Database
from kommutator.crm.versions import Activation
from kommutator.errors import CompanyInvalid


@click.command("activate")
@click.argument("version", type=int)
@click.option("--comment", default="", help="Why, for the history.")
@author_option
@database_options
def command(version: int, comment: str, author: str, data: Path, dsn: str | None) -> None:
    """Make VERSION the active one, after a check as of now.

    Calls that go on finish on the version they began on.

    Exit code: 0 activated; 1 refused: its check has errors, it is active already, or there is no such version; 6 the
    database cannot be had.
    """

    async def work(database: Database) -> Activation:
        async with database.transaction(author) as tx:
            return await versions.activate(tx, version, comment, now())

    with telling_errors():
        with_database(data, dsn, work)
    click.echo(f"version {version} is active")


class telling_errors:
    """Shows what a refused version's check found, and ends the command."""

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, CompanyInvalid):
            show(CheckReport(error.findings, {}), Console(highlight=False, soft_wrap=True, stderr=True))
            click.echo("Error: nothing was activated", err=True)
            raise SystemExit(EXIT_INVALID)

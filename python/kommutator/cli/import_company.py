"""`kommutator import`: a company document becomes a version."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from kommutator.cli.check import show
from kommutator.cli.inputs import EXIT_INVALID, EXIT_UNREADABLE, fail, now_ms
from kommutator.cli.memory import author_option, database_options, now, with_database
from kommutator.cli.words import counted
from kommutator.crm import versions
from kommutator.crm.pool import Database
from kommutator.crm.versions import Draft, read_draft
from kommutator.errors import CompanyUnreadable, Refused


@click.command("import")
@click.argument("company", type=click.Path(path_type=Path))
@click.option("--comment", default="", help="What is different, for the history.")
@click.option("--activate", is_flag=True, help="Activate it too, when its check finds no error.")
@author_option
@database_options
def command(company: Path, comment: str, activate: bool, author: str, data: Path, dsn: str | None) -> None:
    """Keep a company document as the next version.

    COMPANY is a YAML file, or a folder whose *.yaml and *.yml files are merged; the prompts and lists that it names
    are kept too. A document equal to the newest version makes no new one. One with errors is kept, and cannot be
    activated.

    \b
    Examples:
      kommutator import company.yaml --comment "hours of the holidays"
      kommutator import company/ --activate

    Exit code: 0 kept, 1 kept with errors, 2 the document cannot be read, 6 the database cannot be had.
    """
    try:
        draft = read_draft(company, now_ms())
    except CompanyUnreadable as error:
        fail(str(error), EXIT_UNREADABLE)
    except Refused as error:
        fail(str(error), EXIT_INVALID)
    number, new = with_database(data, dsn, lambda database: _keep(database, draft, comment, author, activate))
    if not draft.report.ok:
        show(draft.report, Console(highlight=False, soft_wrap=True, stderr=True))
    state = "kept" if new else "is this document already"
    click.echo(
        f"version {number} {state}: {counted(len(draft.files), 'file')}"
        + (", activated" if activate and draft.report.ok else "")
    )
    if not draft.report.ok:
        raise SystemExit(EXIT_INVALID)


async def _keep(database: Database, draft: Draft, comment: str, author: str, activate: bool) -> tuple[int, bool]:
    async with database.transaction(author) as tx:
        number, new = await versions.add(tx, draft, comment, now())
    if activate and draft.report.ok:
        async with database.transaction(author) as tx:
            if await versions.active(tx) != number:
                await versions.activate(tx, number, comment, now())
    return number, new

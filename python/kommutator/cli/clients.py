"""`kommutator clients`: the clients of the company, from a file and into one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast, get_args

import click
from rich.console import Console
from rich.status import Status

from kommutator.cli.groups import Sentences
from kommutator.cli.inputs import EXIT_INVALID, EXIT_UNREADABLE, fail
from kommutator.cli.memory import author_option, database_options, now, with_database
from kommutator.cli.words import counted
from kommutator.crm import bulk, client_csv, people
from kommutator.crm.bulk import Taken
from kommutator.crm.client_csv import FIELDS, ClientTable, Dialect, Encoding, Field
from kommutator.crm.clients import country
from kommutator.crm.pool import Database, Tx
from kommutator.errors import ClientsInvalid, ClientsUnreadable

_TOLD = 100
"""Of the rows that cannot be taken, so many are shown."""


@click.group("clients", cls=Sentences)
def command() -> None:
    """Bring clients in from a CSV file, or write them into one."""


def _column_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for name in reversed(FIELDS):
        function = click.option(
            f"--{name}-column", f"{name}_column", multiple=name == "numbers", metavar="NAME",
            help=f"The column of the {name}" + ("; may be given several times." if name == "numbers" else "."),
        )(function)  # fmt: skip
    return function


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@_column_options
@click.option("--encoding", type=click.Choice(get_args(Encoding)), default="utf-8", show_default=True)
@click.option("--skip-bad", is_flag=True, help="Take the other rows when some cannot be taken.")
@author_option
@database_options
def take(
    file: Path,
    encoding: Encoding,
    skip_bad: bool,
    author: str,
    data: Path,
    dsn: str | None,
    **columns: str | Sequence[str] | None,
) -> None:
    """Take clients from a CSV file, all or none.

    The columns are name, kind (person or company), company, numbers, email, owner (an employee's id or name) and
    notes; number_1, number_2 and so on count as numbers too. Numbers are read in any spelling, several separated by
    semicolons or spaces. What the file leaves empty stays as it is.

    A row means the client here with the same name and a number or the e-mail address in common, or the one at that
    number who has no name; anybody else is new. So a file can be imported again, and changes nothing.

    \b
    Examples:
      kommutator clients import clients.csv
      kommutator clients import 1c.csv --encoding windows-1251 --name-column ФИО --numbers-column Телефон

    Exit code: 0 taken; 1 rows cannot be taken, and none was; 2 the file cannot be read; 6 the database cannot be had.
    """
    dialect = Dialect(
        encoding,
        {
            cast(Field, option.removesuffix("_column")): (given,) if isinstance(given, str) else given
            for option, given in columns.items()
            if given
        },
    )
    console = Console(stderr=True, highlight=False, soft_wrap=True)

    async def work(database: Database, status: Status) -> Taken:
        async with database.transaction(author) as tx:
            with file.open("rb") as raw:
                table = ClientTable(raw, dialect, await country(tx), await _employees(tx))
                if table.ignored:
                    console.print(f"columns not read: {', '.join(table.ignored)}", markup=False)
                return await bulk.take(
                    tx, table, now(), skip_bad=skip_bad, progress=lambda what, done: status.update(f"{what} {done:,}")
                )

    try:
        with console.status("reading") as status:
            taken = with_database(data, dsn, lambda database: work(database, status))
    except ClientsUnreadable as error:
        fail(f"{file}: {error}", EXIT_UNREADABLE)
    except ClientsInvalid as error:
        _tell(console, error.problems)
        fail(
            f"{counted(error.rows, 'row')} cannot be taken, and none was: mend what is wrong, or leave it out with --skip-bad",
            EXIT_INVALID,
        )
    _tell(console, taken.problems)
    click.echo(
        f"{counted(taken.rows, 'row')}: {counted(taken.new, 'new client')}, {taken.changed} changed, "
        f"{taken.same} as they were" + (f"; {counted(taken.skipped, 'row')} skipped" if taken.skipped else "")
    )


@command.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--excel", is_flag=True, help="With semicolons and a mark of the encoding, for a Russian Excel.")
@click.option("--force", is_flag=True, help="Write over a file that exists.")
@database_options
def give(file: Path, excel: bool, force: bool, data: Path, dsn: str | None) -> None:
    """Write all clients as CSV, which `clients import` reads; `-` is the standard output.

    Interactions, interests, and whose employee a client is, are not in it.

    Exit code: 0; 1 the file exists; 2 it cannot be written; 6 the database cannot be had.
    """
    if str(file) == "-":
        with_database(data, dsn, lambda database: _write(database, sys.stdout, excel))
        return
    if file.exists() and not force:
        fail(f"{file} exists: --force writes over it", EXIT_INVALID)
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with aside.open("w", encoding="utf-8-sig" if excel else "utf-8", newline="") as target:
            written = with_database(data, dsn, lambda database: _write(database, target, excel))
        aside.replace(file)
    except OSError as error:
        fail(f"{file}: {error.strerror}", EXIT_UNREADABLE)
    finally:
        aside.unlink(missing_ok=True)
    click.echo(f"{written} clients")


async def _write(database: Database, target: Any, excel: bool) -> int:
    written = 0
    async with database.transaction() as tx:
        await tx.connection.execute("set transaction isolation level repeatable read, read only")
        client_csv.write(target, [], header=True, excel=excel)
        async for batch in bulk.every(tx):
            client_csv.write(target, batch, header=False, excel=excel)
            written += len(batch)
    return written


async def _employees(tx: Tx) -> Callable[[str], str | None]:
    """How an employee is found: by id, whoever it was, or by the name of the only one here who has it."""
    everybody = await people.employees(tx, everybody=True)
    named: dict[str, list[str]] = {}
    for each in everybody:
        if each.active:
            named.setdefault(each.name.casefold(), []).append(each.id)
    found = {name: ids[0] for name, ids in named.items() if len(ids) == 1} | {each.id: each.id for each in everybody}
    return lambda written: found.get(written) or found.get(written.casefold())


def _tell(console: Console, problems: Sequence[str]) -> None:
    for problem in problems[:_TOLD]:
        console.print(problem, markup=False)
    if len(problems) > _TOLD:
        console.print("and more")

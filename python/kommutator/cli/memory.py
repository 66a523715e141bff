"""How commands reach the company's memory: options, and one database for as long as a command lasts."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from kommutator.cli.inputs import EXIT_INVALID, fail
from kommutator.crm import embedded
from kommutator.crm.embedded import PostgresSettings
from kommutator.crm.migrate import migrate
from kommutator.crm.pool import Database, DatabaseSettings
from kommutator.errors import DatabaseError, NotFound, Refused

EXIT_DATABASE = 6

T = TypeVar("T")


data_option = click.option(
    "--data",
    default="kommutator-data",
    show_default=True,
    envvar="KOMMUTATOR_DATA",
    type=click.Path(file_okay=False, path_type=Path),
    help="The data folder, with the embedded database.",
)
"""`--data`."""


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--data` and `--dsn`, which the command hands to `with_database`."""
    for option in (
        click.option(
            "--dsn",
            envvar="KOMMUTATOR_DSN",
            metavar="URL",
            help="A PostgreSQL server to use, postgresql://user:password@host/database; default: the embedded one.",
        ),
        data_option,
    ):
        command = option(command)
    return command


def author_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--author`, who is named in the history."""
    option = click.option(
        "--author", envvar="KOMMUTATOR_AUTHOR", default=getpass.getuser, help="Who does it; default: the user."
    )
    return option(command)


def postgres_settings(data: Path, dsn: str | None) -> PostgresSettings:
    """The embedded server of a data folder, or the server that the address names."""
    return PostgresSettings(data=data / "postgres", dsn=dsn)


def with_database(data: Path, dsn: str | None, work: Callable[[Database], Awaitable[T]]) -> T:
    """Does work on the migrated database. An embedded server that runs is used; one that does not is started, and
    stopped at the end.

    Refusals end the command with exit code 1, a database that cannot be had with 6.
    """
    with ExitStack() as stack:
        try:
            address = stack.enter_context(embedded.attached(postgres_settings(data, dsn)))
            return asyncio.run(_work(address, work))
        except (NotFound, Refused) as error:
            fail(str(error), EXIT_INVALID)
        except DatabaseError as error:
            fail(str(error), EXIT_DATABASE)


def now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


async def _work(address: str, work: Callable[[Database], Awaitable[T]]) -> T:
    await migrate(address)
    async with Database.opened(DatabaseSettings(address, connections=2)) as database:
        return await work(database)

"""How commands reach the company's memory: options, and one database for as long as a command lasts."""

from __future__ import annotations

import asyncio
import functools
import getpass
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from kommutator.cli.configured import config_options
from kommutator.cli.inputs import EXIT_INVALID, fail
from kommutator.crm import embedded
from kommutator.crm.embedded import PostgresSettings
from kommutator.crm.migrate import migrate
from kommutator.crm.pool import Database, DatabaseSettings
from kommutator.errors import DatabaseError, DatabaseUnreachable, NotFound, Refused
from kommutator.settings import Settings

EXIT_DATABASE = 6

T = TypeVar("T")


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--config`, `--data` and `--dsn`; the command is called with `data` and `dsn`, for `with_database`."""

    @functools.wraps(command)
    def on_a_database(*arguments: Any, settings: Settings, dsn: str | None, **others: Any) -> Any:
        postgres = settings.configuration.postgres
        if dsn is None and postgres.dsn is not None:
            dsn = postgres.dsn.get_secret_value()
        return command(*arguments, data=settings.configuration.data, dsn=dsn, **others)

    option = click.option(
        "--dsn",
        metavar="URL",
        callback=_address,
        help="A PostgreSQL server to use, postgresql://user:password@host/database; default: the configuration's, else "
        "the embedded one.",
    )
    return config_options(option(on_a_database))


def _address(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.startswith(("postgresql://", "postgres://")):
        raise click.BadParameter("should be an address that begins with postgresql:// or postgres://")
    return value


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
        except DatabaseUnreachable as error:
            fail(f"the database cannot be reached: {error}", EXIT_DATABASE)
        except DatabaseError as error:
            fail(str(error), EXIT_DATABASE)


def now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


async def _work(address: str, work: Callable[[Database], Awaitable[T]]) -> T:
    await migrate(address)
    async with Database.opened(DatabaseSettings(address, connections=2)) as database:
        return await work(database)

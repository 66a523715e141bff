"""`kommutator user`: who may sign in."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from kommutator.cli.groups import Sentences
from kommutator.cli.memory import author_option, database_options, now, with_database
from kommutator.crm import accounts
from kommutator.crm.accounts import AccountSettings, Role, User
from kommutator.crm.pool import Database
from kommutator.errors import NotFound

_password = click.option(
    "--password", envvar="KOMMUTATOR_PASSWORD", prompt=True, hide_input=True, confirmation_prompt=True,
    help="Asked for, unless KOMMUTATOR_PASSWORD has it.",
)  # fmt: skip


@click.group("user", cls=Sentences)
def command() -> None:
    """Keep the accounts of the desk: the first administrator is made here."""


@command.command("add")
@click.argument("login")
@click.option("--role", type=click.Choice(get_args(Role)), required=True)
@click.option("--name", default=None, help="Default: the login.")
@click.option("--employee", help="The employee of the active version who this is.")
@_password
@author_option
@database_options
def add(
    login: str,
    role: Role,
    name: str | None,
    employee: str | None,
    password: str,
    author: str,
    data: Path,
    dsn: str | None,
) -> None:
    """Make an account.

    \b
    Example:
      kommutator user add vera --role administrator --name "Вера Ильина"

    Exit code: 0; 1 refused: the login is taken, the employee unknown, or the password too short; 6 the database cannot be had.
    """

    async def work(database: Database) -> User:
        async with database.transaction(author) as tx:
            return await accounts.create_user(
                tx, login, name or login, role, password, now(), AccountSettings(), employee=employee
            )

    made = with_database(data, dsn, work)
    click.echo(f"{made.login}: {made.role}")


@command.command("password")
@click.argument("login")
@_password
@author_option
@database_options
def password(login: str, password: str, author: str, data: Path, dsn: str | None) -> None:
    """Set another password; the user is signed out everywhere.

    Exit code: 0; 1 there is no such user, or the password is too short; 6 the database cannot be had.
    """

    async def work(database: Database) -> None:
        async with database.transaction(author) as tx:
            for user in await accounts.users(tx):
                if user.login == login.strip().casefold():
                    await accounts.set_password(tx, user.id, password, AccountSettings())
                    return
        raise NotFound("user", login)

    with_database(data, dsn, work)
    click.echo(f"{login}: another password, signed out everywhere")


@command.command("list")
@database_options
def show(data: Path, dsn: str | None) -> None:
    """List the accounts."""

    async def work(database: Database) -> list[User]:
        async with database.transaction() as tx:
            return await accounts.users(tx)

    for user in with_database(data, dsn, work):
        click.echo(
            f"{user.login}\t{user.role}\t{user.employee or '-'}\t{user.name}" + ("" if user.active else "\tclosed")
        )

"""`kommutator softphones`: the PBX's side of telephones in the browser."""

from __future__ import annotations

import click

from kommutator.app.desk import softphones
from kommutator.cli.configured import config_options
from kommutator.cli.inputs import EXIT_INVALID, fail
from kommutator.cli.memory import with_database
from kommutator.crm import people
from kommutator.crm.people import Employee
from kommutator.crm.pool import Database
from kommutator.desk.softphone.servers import SoftphoneServer, user_of
from kommutator.settings import Settings


@click.command("softphones")
@click.option("--router", metavar="NAME", help="Of whose PBX; needed where several take softphones.")
@config_options
def command(router: str | None, settings: Settings) -> None:
    """Print the pjsip.conf sections of all employees whose phone is the browser, with their passwords.

    Employees are those of the active version whose card says `softphone: true`; passwords are made from the secret in
    the configuration's `[routers.NAME.pbx.softphones]`. The sections stand on the templates of `deploy/asterisk/pjsip.conf`.
    Run it again when somebody comes or goes, and reload the PBX: who is no longer printed can no longer register.

    \b
    Example:
      kommutator softphones > /etc/asterisk/pjsip_softphones.conf && asterisk -rx 'module reload res_pjsip.so'

    Exit code: 0; 1 there is no such router; 2 the configuration cannot be used; 6 the database cannot be had.
    """
    configuration = settings.configuration
    known = softphones(configuration)
    if router is None and len(known.servers) == 1:
        router = next(iter(known.servers))
    if router is None or router not in known.servers:
        names = ", ".join(known.servers) or "none has [routers.NAME.pbx.softphones]"
        fail(f"name the router with --router: {names}", EXIT_INVALID)
    server = known.servers[router]
    dsn = None if configuration.postgres.dsn is None else configuration.postgres.dsn.get_secret_value()
    everybody = with_database(configuration.data, dsn, _read)
    click.echo(f"; Telephones in the browser at {router}, printed by `kommutator softphones`. Here are passwords.")
    for employee in everybody:
        if not employee.softphone or known.of(employee.pbx) is not server:
            continue
        user = user_of(employee.endpoint)
        if user is None:
            click.echo(f"{employee.id}: {employee.endpoint} is no PJSIP/NAME, so no browser can be it", err=True)
            continue
        click.echo(sections(server, user), nl=False)


def sections(server: SoftphoneServer, user: str) -> str:
    """The three sections of one softphone."""
    return (
        f'\n[{user}](softphone)\naors = {user}\nauth = {user}-auth\ncallerid = "{user}" <{user}>\n'
        f"[{user}](phone-aor)\n"
        f"[{user}-auth](phone-auth)\nusername = {user}\npassword = {server.password(user)}\n"
    )


async def _read(database: Database) -> list[Employee]:
    async with database.transaction() as tx:
        return await people.employees(tx)

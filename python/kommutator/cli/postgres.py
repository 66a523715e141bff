"""`kommutator postgres`: the embedded database, in the foreground."""

from __future__ import annotations

import asyncio
import signal

import click

from kommutator import readiness
from kommutator.cli.configured import config_options
from kommutator.cli.inputs import EXIT_INVALID, fail
from kommutator.cli.memory import EXIT_DATABASE, postgres_settings
from kommutator.crm import embedded
from kommutator.crm.migrate import migrate
from kommutator.errors import DatabaseError, PostgresBusy
from kommutator.settings import Settings

_LOOK_S = 0.2


@click.command("postgres")
@config_options
def command(settings: Settings) -> None:
    """Run the embedded PostgreSQL until SIGTERM or SIGINT, and keep its schema up to date.

    The server listens on a Unix socket in the data folder only. A server whose launcher was killed is found again and
    taken over. Its address is printed when it is ready.

    \b
    Example:
      kommutator postgres --data /var/lib/kommutator

    Exit code: 0 told to stop, 1 another launcher holds the folder, 2 the configuration cannot be used, 6 the server
    cannot be started, or has ended by itself.
    """
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: told.append(number))
    readiness.status("starting the server")
    try:
        server = embedded.start(postgres_settings(settings.configuration.data, None))
    except PostgresBusy as error:
        fail(str(error), EXIT_INVALID)
    except DatabaseError as error:
        fail(str(error), EXIT_DATABASE)
    readiness.status("migrating")
    try:
        for step in asyncio.run(migrate(server.dsn)):
            click.echo(f"migrated: {step.number:04} {step.name}")
        click.echo(f"{'found' if server.found else 'started'}: {server.dsn}")
        readiness.ready(f"process {server.pid}")
        while not told:
            if server.wait(_LOOK_S):
                fail(f"the server has ended by itself; its log is {server.log}", EXIT_DATABASE)
    except DatabaseError as error:
        fail(str(error), EXIT_DATABASE)
    finally:
        readiness.stopping()
        server.stop()

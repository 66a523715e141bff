"""`kommutator desk`: the desk process."""

from __future__ import annotations

import asyncio

import click

from kommutator.app import desk
from kommutator.cli.configured import config_options
from kommutator.cli.inputs import EXIT_UNREADABLE, fail, made_folder
from kommutator.cli.memory import EXIT_DATABASE
from kommutator.errors import DataFolderBusy, MigrationRefused, SettingsInvalid
from kommutator.settings import Settings

EXIT_BUSY = 5


@click.command("desk")
@config_options
def command(settings: Settings) -> None:
    """Run the desk: the pages and the API, the ledger, answers to routers, and notices on their way out.

    It waits for the database, keeps its schema up to date, and serves on the configured address. The exchange may come and
    go. On SIGTERM or SIGINT it takes nothing more, gives what is under way five seconds, and ends; nothing is lost then, nor
    when it is killed.

    \b
    Example:
      kommutator desk --config /etc/kommutator.toml

    Exit code: 0 told to stop, 2 the configuration cannot be used, 5 another desk works in the data folder, 6 the
    database is newer than this program.
    """
    made_folder(settings.configuration.data / "desk")
    try:
        asyncio.run(desk.run(settings.configuration))
    except SettingsInvalid as error:
        fail(str(error), EXIT_UNREADABLE)
    except DataFolderBusy as error:
        fail(str(error), EXIT_BUSY)
    except MigrationRefused as error:
        fail(str(error), EXIT_DATABASE)

"""`kommutator up`: the whole, under one supervisor."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click
import trio

from kommutator import readiness
from kommutator.cli.configured import config_options
from kommutator.cli.inputs import fail, made_folder
from kommutator.cli.progress import Progress
from kommutator.configuration import Configuration, Simulated
from kommutator.errors import DataFolderBusy
from kommutator.settings import Settings
from kommutator.supervisor import Child, Supervisor

EXIT_BUSY = 5

_HOW_TO_ADD_A_ROUTER = """no router is configured: calls are routed when there is one. Add to the configuration:
  [routers.office.pbx]
  kind = "simulated"        # or "asterisk", with url, user and password"""


@click.command("up")
@config_options
def command(settings: Settings) -> None:
    """Run everything: database, exchange, desk, routers and simulated PBXs, each a process of its own.

    The database and the exchange are embedded unless the configuration has addresses of others. Whatever dies is
    started again. On SIGTERM or SIGINT all are stopped in order, within 10 s each; a second SIGINT kills them.

    \b
    Example:
      kommutator up --config kommutator.toml

    Exit code: 0 told to stop, 2 the configuration cannot be used, 5 `up` runs already on this data folder.
    """
    configuration = settings.configuration
    made_folder(configuration.data)
    children = children_of(configuration, settings.file)

    def at_ready() -> Iterable[str]:
        readiness.ready(f"{len(children)} processes")
        yield f"all is ready; the desk is at {desk_address(configuration)}"

    with Progress([child.name for child in children], configuration.log.form, at_ready) as screen:
        if not configuration.routers:
            for line in _HOW_TO_ADD_A_ROUTER.splitlines():
                screen.told(line)
        try:
            trio.run(Supervisor(children, configuration.data, screen, os.environ).run)
        except DataFolderBusy as error:
            busy = str(error)
        else:
            return
    fail(busy, EXIT_BUSY)


def children_of(configuration: Configuration, file: Path | None) -> list[Child]:
    """The processes of a configuration. They are stopped in the order that is the reverse of their `after`."""

    def child(name: str, *command: str, after: Iterable[str] = ()) -> Child:
        # -P: a folder `kommutator` where we happen to be is not the program.
        options = ["--data", str(configuration.data), *(["--config", str(file)] if file else [])]
        return Child(name, (sys.executable, "-P", "-m", "kommutator", *command, *options), tuple(after))

    servers = []
    if configuration.postgres.dsn is None:
        servers.append(child("postgres", "postgres"))
    if not configuration.exchange.urls:
        servers.append(child("nats", "nats"))
    children = [*servers, child("desk", "desk", after=[server.name for server in servers])]
    for name, router in configuration.routers.items():
        before = ["desk"]
        if isinstance(router.pbx, Simulated):
            children.append(child(f"pbx-{name}", "pbx", name))
            before.append(f"pbx-{name}")
        children.append(child(f"route-{name}", "route", name, after=before))
    return children


def desk_address(configuration: Configuration) -> str:
    """Where a browser on this machine finds the desk."""
    host, _, port = configuration.desk.listen.rpartition(":")
    if host in ("0.0.0.0", "[::]", ""):
        host = "localhost"
    return f"http://{host}:{port}/"

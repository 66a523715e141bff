"""`kommutator pbx`: the simulated PBX as a process of its own."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import click
import structlog
import trio

from kommutator import readiness
from kommutator.cli.configured import config_options
from kommutator.cli.inputs import EXIT_UNREADABLE, fail
from kommutator.configuration import Simulated
from kommutator.errors import DataFolderBusy
from kommutator.pbx.simulated.host import PbxHost
from kommutator.settings import Settings

EXIT_NO_SOCKET = 4
EXIT_BUSY = 5


@click.command("pbx")
@click.argument("name")
@config_options
def command(name: str, settings: Settings) -> None:
    """Run the simulated PBX of the router NAME: callers, phones and conversations without telephones.

    It serves on the socket DATA/pbx/NAME.sock, for its owner alone, and outlives its routers: their calls stay as they are
    while none is there. Who calls then is taken by the PBX itself, and leaves a message.

    \b
    The configuration names the router:
      [routers.main.pbx]
      kind = "simulated"
      calls_per_minute = 6      # callers who come by themselves; 0, or left out: none

    \b
    Example:
      kommutator pbx main --data /var/lib/kommutator

    Exit code: 0 told to stop, 2 no such router, 4 the socket cannot be made, 5 this PBX runs already.
    """
    configuration = settings.configuration
    router = configuration.routers.get(name)
    if router is None or not isinstance(router.pbx, Simulated):
        simulated = [each for each, other in configuration.routers.items() if isinstance(other.pbx, Simulated)]
        known = f"simulated PBXs are of: {', '.join(simulated)}" if simulated else "no router has a simulated PBX"
        fail(f'`{name}`: {known}; say `[routers.{name}.pbx] kind = "simulated"`', EXIT_UNREADABLE)
    socket = configuration.pbx_socket(name)
    try:
        trio.run(
            _serve, PbxHost(name, socket, router.pbx.calls_per_minute, router.pbx.callers, router.pbx.dials), socket
        )
    except DataFolderBusy as error:
        fail(str(error), EXIT_BUSY)
    except OSError as error:
        fail(f"{socket}: {error.strerror or error}", EXIT_NO_SOCKET)


async def _serve(host: PbxHost, socket: Path) -> None:
    log = structlog.get_logger().bind(pbx=host.name)
    failures: list[Exception] = []

    async def until_told(signals: AsyncIterator[int]) -> None:
        number = await anext(signals)
        log.info("stopping", signal=signal.Signals(number).name, calls=host.on_the_line)
        readiness.stopping()
        nursery.cancel_scope.cancel()

    def listening() -> None:
        log.info("serving", socket=str(socket))
        readiness.ready(f"{socket}")

    # Whoever sees the socket may tell us to stop: signals are heard before it is there.
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_told, signals)
            try:
                await host.run(listening)
            except (DataFolderBusy, OSError) as error:
                failures.append(error)
                nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]

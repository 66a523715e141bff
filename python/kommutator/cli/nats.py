"""`kommutator nats`: run the exchange's own server."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import FrameType

import click
import structlog

from kommutator import readiness
from kommutator.cli.configured import config_options
from kommutator.cli.inputs import fail, made_folder
from kommutator.errors import DataFolderBusy, ServerNotStarted
from kommutator.exchange.embedded import EmbeddedNats
from kommutator.settings import Settings

EXIT_NOT_STARTED = 3
EXIT_BUSY = 5
_PAUSES_S = (0.1, 10.0)
_STABLE_S = 30.0
_LOOKS_EVERY_S = 0.5
_VAIN_TRIES = 5


@click.command("nats")
@click.option("--port", type=click.IntRange(0, 65535), metavar="N",
              help="The server's port on 127.0.0.1; 0: one is chosen at the first start and kept.")  # fmt: skip
@click.option("--server", envvar="KOMMUTATOR_NATS_SERVER", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="The nats-server program; default: the one that is installed with Kommutator.")  # fmt: skip
@config_options
def command(settings: Settings, port: int | None, server: Path | None) -> None:
    """Run the exchange's server, and start it again when it dies.

    It listens on 127.0.0.1 only, with a password that is in DATA/nats. A server that was left running by a killed
    supervisor is taken over. On SIGTERM or SIGINT it is stopped in order.

    \b
    Example:
      kommutator nats --data /var/lib/kommutator --port 4222

    Exit code: 0 told to stop, 2 the configuration cannot be used, 3 the server cannot be started, 5 another supervisor has
    the folder.
    """
    configuration = settings.configuration
    nats = EmbeddedNats(
        made_folder(configuration.data / "nats"), configuration.exchange.port if port is None else port, server
    )
    told: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        told.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    readiness.status("starting the server")
    try:
        address = nats.start()
        click.echo(f"the exchange is at {address.url}", err=True)
        readiness.ready(address.url)
        _keep(nats, told)
    except ServerNotStarted as error:
        fail(str(error), EXIT_NOT_STARTED)
    except DataFolderBusy as error:
        fail(str(error), EXIT_BUSY)
    finally:
        readiness.stopping()
        nats.stop()


def _keep(nats: EmbeddedNats, told: list[int]) -> None:
    """Start the server again whenever it dies, and when its disk can be written again, until told to stop. Raises
    `ServerNotStarted` after a few vain tries in a row."""
    log = structlog.get_logger()
    pause_s, vain = _PAUSES_S[0], 0
    while not told:
        since = time.monotonic()
        refused: str | None = None
        while not told and not nats.wait(_LOOKS_EVERY_S):
            said = nats.store_failed()
            if said is not None and refused is None:
                log.error("the disk refused a message of the exchange", alarm="exchange", reason=said)
                readiness.status("the disk takes nothing")
            refused = refused or said
            if refused is not None and nats.can_store():
                log.warning("the disk takes messages again: nats-server is started anew", alarm="exchange")
                nats.end()
        if told:
            return
        if refused is None:
            log.error("nats-server died; it is started again", alarm="exchange")
            readiness.status("the server died")
        pause_s = _PAUSES_S[0] if time.monotonic() - since > _STABLE_S else min(2 * pause_s, _PAUSES_S[1])
        time.sleep(pause_s)
        try:
            readiness.status(nats.start().url)
            vain = 0
        except ServerNotStarted as error:
            vain += 1
            if vain >= _VAIN_TRIES:
                raise
            log.error("nats-server could not be started", alarm="exchange", reason=str(error))

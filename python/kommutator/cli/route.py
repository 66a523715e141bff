"""`kommutator route`: run the router against a PBX."""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path

import click
import structlog
import trio

from kommutator import app
from kommutator.cli.inputs import EXIT_INVALID, fail, read_company
from kommutator.config import RouterConfig
from kommutator.errors import CompanyInvalid, DataFolderBusy, PbxRefused, PromptNotMade
from kommutator.routing.prompts import DEFAULT_TTS

EXIT_PROMPT = 3
EXIT_PBX = 4
EXIT_BUSY = 5


@click.command("route")
@click.argument("company")
@click.option("--ari", "ari_url", required=True, metavar="URL", envvar="KOMMUTATOR_ARI_URL",
              help="Asterisk's REST interface, such as http://127.0.0.1:8088.")  # fmt: skip
@click.option("--user", required=True, envvar="KOMMUTATOR_ARI_USER", help="The user of ari.conf.")
@click.option("--password", required=True, envvar="KOMMUTATOR_ARI_PASSWORD",
              help="The user's password; better given as KOMMUTATOR_ARI_PASSWORD.")  # fmt: skip
@click.option("--data", default="kommutator-data", show_default=True, type=click.Path(file_okay=False, path_type=Path),
              help="Where ledger, spool, messages and prompts are; Asterisk must be able to read it.")  # fmt: skip
@click.option("--application", default="kommutator", show_default=True, help="The name in the dialplan's Stasis().")
@click.option("--trunk", default="PJSIP/{number}@trunk", show_default=True, help="How a telephone number is dialled.")
@click.option("--silence", "silence_s", default=5, show_default=True, type=click.IntRange(1, 60),
              help="So many seconds of silence end a message.")  # fmt: skip
@click.option("--tts", default=shlex.join(DEFAULT_TTS), show_default=True,
              help="The command that speaks: text on standard input, WAV into {output}.")  # fmt: skip
@click.option("--log", "log_form", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="The form of the log on standard error.")  # fmt: skip
def command(
    company: str,
    ari_url: str,
    user: str,
    password: str,
    data: Path,
    application: str,
    trunk: str,
    silence_s: int,
    tts: str,
    log_form: str,
) -> None:
    """Run the router against an Asterisk.

    COMPANY is a YAML file, or a folder whose *.yaml and *.yml files are merged.

    The router connects to Asterisk and stays connected. It stops on SIGTERM; calls that go on then stay in Asterisk,
    and the next router takes them over where they are. One line a call is written to DATA/ledger.jsonl.

    \b
    Example:
      KOMMUTATOR_ARI_PASSWORD=… kommutator route company.yaml --ari http://127.0.0.1:8088 --user kommutator

    Exit code: 0 told to stop, 1 errors in the document, 2 it cannot be read, 3 a prompt cannot be made, 4 Asterisk
    refuses the user or the password, 5 another router uses the data folder.
    """
    log_to_stderr(log_form)
    loaded = read_company(company)
    config = RouterConfig(
        company=Path(company),
        ari_url=ari_url,
        ari_user=user,
        ari_password=password,
        data=data,
        application=application,
        trunk=trunk,
        silence_s=silence_s,
        tts=tuple(shlex.split(tts)),
    )
    try:
        trio.run(app.route, config, loaded)
    except CompanyInvalid as error:
        fail(f"{error}\nkommutator check {company} says more.", EXIT_INVALID)
    except PromptNotMade as error:
        fail(str(error), EXIT_PROMPT)
    except PbxRefused as error:
        fail(str(error), EXIT_PBX)
    except DataFolderBusy as error:
        fail(str(error), EXIT_BUSY)


def log_to_stderr(form: str) -> None:
    """Structured lines with the call's id, for people or for machines."""
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info if form == "json" else structlog.processors.StackInfoRenderer(),
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )

"""`kommutator route`: run a router of the house, or one on a company document alone."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import trio
from click.core import ParameterSource
from pydantic import SecretStr

from kommutator.app import document, router
from kommutator.cli.configured import config_options, log_to_stderr
from kommutator.cli.inputs import EXIT_INVALID, EXIT_UNREADABLE, fail, read_company
from kommutator.configuration import Asterisk, Log
from kommutator.errors import (
    AddressTaken,
    CertificateUnusable,
    CompanyInvalid,
    DataFolderBusy,
    NoSuchRouter,
    PbxRefused,
    PromptNotMade,
)
from kommutator.routing.prompts import DEFAULT_TTS
from kommutator.settings import Settings

EXIT_PROMPT = 3
EXIT_PBX = 4
EXIT_BUSY = 5
_DATA = Path("kommutator-data")
_OF_A_DOCUMENT = ("user", "password", "application", "trunk", "silence_s", "tts", "log_form")


@click.command("route")
@click.argument("name", metavar="NAME|COMPANY")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="The configuration; default: $KOMMUTATOR_CONFIG, else ./kommutator.toml where there is one.")  # fmt: skip
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="The data folder; default: the configuration's, else kommutator-data. With --ari, where ledger, spool, "
                   "messages and prompts are: Asterisk must be able to read it.")  # fmt: skip
@click.option("--ari", "ari_url", metavar="URL", envvar="KOMMUTATOR_ARI_URL",
              help="Route by a document: Asterisk's REST interface, such as http://127.0.0.1:8088.")  # fmt: skip
@click.option("--user", envvar="KOMMUTATOR_ARI_USER", help="With --ari: the user of ari.conf.")
@click.option("--password", envvar="KOMMUTATOR_ARI_PASSWORD",
              help="With --ari: the user's password; better given as KOMMUTATOR_ARI_PASSWORD.")  # fmt: skip
@click.option("--application", default="kommutator", show_default=True,
              help="With --ari: the name in the dialplan's Stasis().")  # fmt: skip
@click.option("--trunk", default="PJSIP/{number}@trunk", show_default=True,
              help="With --ari: how a telephone number is dialled.")  # fmt: skip
@click.option("--silence", "silence_s", default=5, show_default=True, type=click.IntRange(1, 60),
              help="With --ari: so many seconds of silence end a message.")  # fmt: skip
@click.option("--tts", default=shlex.join(DEFAULT_TTS), show_default=True,
              help="With --ari: the command that speaks: text on standard input, WAV into {output}.")  # fmt: skip
@click.option("--log", "log_form", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="With --ari: the form of the log on standard error.")  # fmt: skip
@click.pass_context
def command(
    context: click.Context,
    name: str,
    config: Path | None,
    data: Path | None,
    ari_url: str | None,
    user: str | None,
    password: str | None,
    application: str,
    trunk: str,
    silence_s: int,
    tts: str,
    log_form: str,
) -> None:
    """Run a router.

    NAME is a router of the configuration: it routes by the version that is active in the company's memory, and starts and
    goes on when exchange, desk and database are away. Before there is any version it waits, and the PBX's own fallback
    takes the calls.

    With --ari, COMPANY is a document instead, a YAML file or a folder whose *.yaml and *.yml files are merged, and there
    is nothing else: one line a call is written to DATA/ledger.jsonl.

    The router connects to its PBX and stays connected. It stops on SIGTERM; calls that go on then stay in the PBX, and
    the next router takes them over where they are.

    \b
    Examples:
      kommutator route office --config kommutator.toml
      KOMMUTATOR_ARI_PASSWORD=… kommutator route company.yaml --ari http://127.0.0.1:8088 --user kommutator

    Exit code: 0 told to stop, 1 errors in the document, 2 the document or the configuration cannot be read, or has no
    such router, 3 a prompt cannot be made, 4 Asterisk refuses the user or the password, 5 another router uses the data
    folder, or the address of queries cannot be had.
    """
    in_environment = context.get_parameter_source("ari_url") is ParameterSource.ENVIRONMENT
    if ari_url is None or (config is not None and in_environment):
        given = [
            parameter for parameter in _OF_A_DOCUMENT
            if context.get_parameter_source(parameter) is ParameterSource.COMMANDLINE
        ]  # fmt: skip
        if given:
            option = given[0].removesuffix("_s").removesuffix("_form")
            raise click.UsageError(f"--{option} goes with --ari; a router of the configuration has it there", context)
        _by_name(name, config=config, data=data)
        return
    if config is not None:
        raise click.UsageError("--config and --ari exclude each other", context)
    for value, where in ((user, "--user"), (password, "KOMMUTATOR_ARI_PASSWORD, or --password")):
        if value is None:
            raise click.UsageError(f"--ari needs the user of ari.conf and the password: give {where}", context)
    pbx = Asterisk(
        kind="asterisk",
        url=ari_url,
        user=user or "",
        password=SecretStr(password or ""),
        application=application,
        trunk=trunk,
        silence_s=silence_s,
    )
    _by_document(name, pbx, data or _DATA, tuple(shlex.split(tts)), Log(form="json" if log_form == "json" else "text"))


@config_options
def _by_name(name: str, settings: Settings) -> None:
    try:
        router.serve(settings.configuration, name)
    except (NoSuchRouter, CertificateUnusable) as error:
        fail(str(error), EXIT_UNREADABLE)
    except PbxRefused as error:
        fail(str(error), EXIT_PBX)
    except (DataFolderBusy, AddressTaken) as error:
        fail(str(error), EXIT_BUSY)


def _by_document(path: str, pbx: Asterisk, data: Path, tts: tuple[str, ...], log: Log) -> None:
    log_to_stderr(log)
    company = read_company(path)

    async def route() -> None:
        await document.route(company, pbx, data, tts=tts)

    try:
        trio.run(route)
    except CompanyInvalid as error:
        fail(f"{error}\nkommutator check {path} says more.", EXIT_INVALID)
    except PromptNotMade as error:
        fail(str(error), EXIT_PROMPT)
    except PbxRefused as error:
        fail(str(error), EXIT_PBX)
    except DataFolderBusy as error:
        fail(str(error), EXIT_BUSY)

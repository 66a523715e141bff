"""`kommutator redirect`: answer SIP by a company document alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click
from pydantic import ValidationError

from kommutator.app.redirect import redirect
from kommutator.cli.configured import log_to_stderr
from kommutator.cli.inputs import EXIT_INVALID, fail, read_company
from kommutator.configuration import Log, Redirect
from kommutator.errors import AddressTaken, CompanyInvalid, DataFolderBusy

EXIT_BUSY = 5
EXIT_LISTEN = 6


@click.command("redirect")
@click.argument("company", metavar="COMPANY")
@click.option(
    "--listen", multiple=True, required=True, metavar="HOST:PORT", help="Where requests come; may be repeated."
)
@click.option("--phone", required=True, metavar="URI", help="The contact of a phone: sip:{name}@pbx.example.")
@click.option("--number", required=True, metavar="URI", help="The contact of a number: sip:{number}@carrier.example.")
@click.option("--media", metavar="URI", help="Who takes calls that need a voice: sip:{did}@pbx.example.")
@click.option("--from", "sources", multiple=True, metavar="NETWORK", help="Who may ask; default: this machine.")
@click.option("--identity-from", multiple=True, metavar="NETWORK", help="Whose P-Asserted-Identity counts.")
@click.option("--calls-per-second", type=click.IntRange(min=1), metavar="N", help="The most of one address.")
@click.option("--hold", "hold_s", type=click.FloatRange(0, 60), metavar="SECONDS",
              help="How long nobody else rings those whom an answer names.")  # fmt: skip
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="The folder of the ledger; without it, calls are in none.")  # fmt: skip
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 256),
              help="So many processes share the addresses.")  # fmt: skip
@click.option("--log", "log_form", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="The form of the log on standard error.")  # fmt: skip
def command(company: str, data: Path | None, processes: int, log_form: Literal["text", "json"], **options: Any) -> None:
    """Answer INVITEs by UDP with where the call should go, by the document COMPANY: a YAML file or a folder.

    This is for trying a company out, and for dialplans that need no more. A router of the configuration does the same
    with `[routers.NAME.redirect]`, and knows besides who is there, who owns a client and who has called before.

    \b
    Example:
      kommutator redirect company.yaml --listen 127.0.0.1:5090 \\
        --phone 'sip:{name}@192.0.2.10' --number 'sip:{number}@192.0.2.20'

    Exit code: 0 told to stop, 1 errors in the document, 2 the document cannot be read, or an option is wrong, 5 another
    process uses the folder, 6 an address cannot be had.
    """
    log_to_stderr(Log(form=log_form))
    given = {name: value for name, value in options.items() if value not in ((), None)}
    try:
        form = Redirect.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise click.BadParameter(
            first["msg"].removeprefix("Value error, "), param_hint=f"--{first['loc'][0]}"
        ) from None
    loaded = read_company(company)
    try:
        redirect(loaded, form, data, processes)
    except CompanyInvalid as error:
        fail(f"{error}\nkommutator check {company} says more.", EXIT_INVALID)
    except DataFolderBusy as error:
        fail(str(error), EXIT_BUSY)
    except AddressTaken as error:
        fail(str(error), EXIT_LISTEN)

"""`kommutator query`: answer routing queries over HTTP by a company document alone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from kommutator.app import query
from kommutator.cli.configured import log_to_stderr
from kommutator.cli.inputs import EXIT_INVALID, EXIT_UNREADABLE, fail, read_company
from kommutator.cli.route import EXIT_BUSY
from kommutator.configuration import Log
from kommutator.engine import Engine
from kommutator.errors import AddressTaken, CertificateUnusable, CompanyInvalid, DataFolderBusy
from kommutator.query.http import HttpSettings
from kommutator.query.listening import is_local, server_tls

EXIT_ADDRESS = 4


@click.command("query")
@click.argument("company", metavar="COMPANY")
@click.option("--listen", "address", default="127.0.0.1:8070", show_default=True, metavar="ADDRESS",
              help="host:port or unix:PATH.")  # fmt: skip
@click.option("--token", "tokens", multiple=True, envvar="KOMMUTATOR_QUERY_TOKENS", metavar="TOKEN",
              help="Who may ask, by `Authorization: Bearer TOKEN`; several times for several. Better given as "
                   "KOMMUTATOR_QUERY_TOKENS, with spaces between. Needed where other machines can ask.")  # fmt: skip
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="Serve by https, with this chain (PEM).")  # fmt: skip
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="With --certificate: its key, where it is in a file of its own.")  # fmt: skip
@click.option("--clients", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE",
              help="With --certificate: clients must have a certificate of these authorities (PEM).")  # fmt: skip
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 256),
              help="So many processes share the address.")  # fmt: skip
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Where spool and ledger are kept; without it, calls are in no ledger.")  # fmt: skip
@click.option("--log", "log_form", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="The form of the log on standard error.")  # fmt: skip
def command(
    company: str,
    address: str,
    tokens: tuple[str, ...],
    certificate: Path | None,
    key: Path | None,
    clients: Path | None,
    processes: int,
    data: Path | None,
    log_form: Literal["text", "json"],
) -> None:
    """Answer routing queries.

    COMPANY is a document: a YAML file, or a folder whose *.yaml and *.yml files are merged. Whoever asks performs the
    actions himself and tells what became of them.

    \b
      POST /v1/calls        {"did": "+74951112233", "caller": "89161230099"}
      POST /v1/calls/step   {"state": "…", "event": {"type": "no_answer"}}
      POST /v1/calls/batch  a list of both

    Every answer is a turn: state, action, effects, trace. It stops on SIGTERM, when the requests are answered that are on
    their way.

    \b
    Examples:
      kommutator query company.yaml
      kommutator query company.yaml --listen unix:/run/kommutator/query.sock --data /var/lib/kommutator --processes 4

    Exit code: 0 told to stop, 1 errors in the document, 2 the document or the certificate cannot be read, 4 the address
    cannot be had, 5 another router uses the data folder.
    """
    log_to_stderr(Log(form=log_form))
    if not (tokens or clients or is_local(address)):
        raise click.UsageError("where other machines can ask, a --token or --clients is needed")
    if certificate is None and (key or clients):
        raise click.UsageError("--key and --clients go with --certificate")
    try:
        tls = server_tls(certificate, key, clients) if certificate is not None else None
        engine = Engine.of(read_company(company))
        query.answer(engine, query.Queries(address, HttpSettings(tokens=tokens), tls, data), processes)
    except CompanyInvalid as error:
        fail(f"{error}\nkommutator check {company} says more.", EXIT_INVALID)
    except AddressTaken as error:
        fail(str(error), EXIT_ADDRESS)
    except DataFolderBusy as error:
        fail(str(error), EXIT_BUSY)
    except CertificateUnusable as error:
        fail(str(error), EXIT_UNREADABLE)

"""`kommutator compile`: the engine document of a company."""

from __future__ import annotations

from pathlib import Path

import click

from kommutator.cli.inputs import EXIT_INVALID, fail, read_company


@click.command("compile")
@click.argument("company")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write there, not to the screen.")
def command(company: str, output: Path | None) -> None:
    """Print what the engine makes its decisions from, as JSON.

    It is the company document with everything filled in that only the outside can tell: the lengths of prompts, the
    rows of list files (of long ones the numbers, packed), the ranges of the numbering plan, the dates of calendars.
    Equal input gives equal bytes.

    \b
    Examples:
      kommutator compile company.yaml | jq .schedules
      kommutator compile company/ -o company.json

    Exit code: 0; 1 when an item is refused (it is a hole in the output; `kommutator check` proves the rest);
    2 the document cannot be read.
    """
    loaded = read_company(company)
    if output is None:
        click.echo(loaded.engine_json)
    else:
        try:
            output.write_bytes(loaded.engine_json + b"\n")
        except OSError as error:
            fail(f"{output}: {error.strerror}", EXIT_INVALID)
    for finding in loaded.findings:
        click.echo(f"{finding['file']}:{finding['line']}: {finding['message']} [{finding['code']}]", err=True)
    if loaded.findings:
        raise SystemExit(EXIT_INVALID)

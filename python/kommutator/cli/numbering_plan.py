"""`kommutator numbering-plan`: the regulator's ranges of numbers, for regions of callers."""

from __future__ import annotations

from pathlib import Path

import click

from kommutator.cli.groups import Sentences
from kommutator.cli.inputs import EXIT_INVALID, fail
from kommutator.company.numbering_plan import PLAN_FILE, import_files
from kommutator.errors import NumberingPlanInvalid


@click.group("numbering-plan", cls=Sentences)
def command() -> None:
    """Tell a caller's region by the published numbering plan."""


@command.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path(PLAN_FILE),
    show_default=True,
    help="Where to store the plan: a company reads it from its own folder.",
)
def import_plan(files: tuple[Path, ...], output: Path) -> None:
    """Import the Russian regulator's CSV files into one stored plan.

    FILES are the published tables, for geographic codes and for mobile ones (DEF), with the columns code; from; to;
    capacity; operator; region. All files that count are named in one go: the stored plan is replaced. A row that cannot
    be understood is named with its file and line, and nothing is stored.

    \b
    Example:
      kommutator numbering-plan import ABC-3xx.csv ABC-4xx.csv ABC-8xx.csv DEF-9xx.csv \\
        --output company/numbering-plan.csv.gz

    Regions of the company then name places of the plan:

    \b
      regions:
        urals: {name: Урал, plan: [Свердловская обл., Челябинская обл.]}

    Exit code: 0 stored, 1 refused, 2 a file is not there.
    """
    try:
        imported = import_files(files, output)
    except NumberingPlanInvalid as error:
        fail(f"nothing was stored:\n{error}", EXIT_INVALID)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", EXIT_INVALID)
    click.echo(f"{output}: {imported.rows} rows, {imported.ranges} ranges, {imported.regions} regions")

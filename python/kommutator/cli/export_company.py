"""`kommutator export`: a version becomes files again."""

from __future__ import annotations

from pathlib import Path

import click

from kommutator.cli.inputs import EXIT_INVALID, fail
from kommutator.cli.memory import database_options, with_database
from kommutator.crm import versions
from kommutator.crm.pool import Database
from kommutator.errors import NotFound


@click.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--version", "number", type=int, help="Which; default: the active one.")
@database_options
def command(folder: Path, number: int | None, data: Path, dsn: str | None) -> None:
    """Write the files of a version into FOLDER, byte for byte as they were imported.

    FOLDER must be empty, or not there.

    \b
    Examples:
      kommutator export company/
      kommutator export before/ --version 3

    Exit code: 0; 1 there is no such version, or the folder is not empty; 6 the database cannot be had.
    """
    if folder.is_dir() and any(folder.iterdir()):
        fail(f"{folder} is not empty", EXIT_INVALID)
    found, files = with_database(data, dsn, lambda database: _read(database, number))
    try:
        versions.write_files(files, folder)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}", EXIT_INVALID)
    click.echo(f"version {found}: {len(files)} files in {folder}")


async def _read(database: Database, number: int | None) -> tuple[int, dict[str, bytes]]:
    async with database.transaction() as tx:
        wanted = number if number is not None else await versions.active(tx)
        if wanted is None:
            raise NotFound("version", "that is active: name one with --version")
        return wanted, await versions.files(tx, wanted)

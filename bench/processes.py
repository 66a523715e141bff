"""Commands that a benchmark runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import Final

import click
from rich.console import Console

from bench.machine import ROOT

CONSOLE: Final = Console()


def run(*command: str, environment: Mapping[str, str] | None = None) -> None:
    """Runs a command, whose output is for the eyes. Its failure ends everything."""
    CONSOLE.print(f"[dim]{' '.join(command)}[/]", highlight=False, soft_wrap=True)
    if (
        code := subprocess.run(command, cwd=ROOT, env={**os.environ, **(environment or {})}, check=False).returncode
    ) != 0:
        raise click.ClickException(f"{command[0]} ended with {code}")

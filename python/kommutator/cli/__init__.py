"""The command line: one module a command, imported when that command is asked for."""

from __future__ import annotations

import importlib
from typing import Final

import click

from kommutator.cli.groups import Sentences

COMMANDS: Final[dict[str, str]] = {
    "up": "kommutator.cli.up",
    "config": "kommutator.cli.config",
    "check": "kommutator.cli.check",
    "trace": "kommutator.cli.trace",
    "what-if": "kommutator.cli.what_if",
    "call": "kommutator.cli.call",
    "demo": "kommutator.cli.demo",
    "compile": "kommutator.cli.compile",
    "route": "kommutator.cli.route",
    "query": "kommutator.cli.query",
    "redirect": "kommutator.cli.redirect",
    "desk": "kommutator.cli.desk",
    "import": "kommutator.cli.import_company",
    "export": "kommutator.cli.export_company",
    "versions": "kommutator.cli.versions",
    "diff": "kommutator.cli.diff",
    "activate": "kommutator.cli.activate",
    "rollback": "kommutator.cli.rollback",
    "postgres": "kommutator.cli.postgres",
    "user": "kommutator.cli.user",
    "clients": "kommutator.cli.clients",
    "nats": "kommutator.cli.nats",
    "pbx": "kommutator.cli.pbx",
    "softphones": "kommutator.cli.softphones",
    "simulate": "kommutator.cli.simulate",
    "load": "kommutator.cli.load",
    "numbering-plan": "kommutator.cli.numbering_plan",
}
"""Each command's module, which holds it under the name `command`."""


class _Commands(Sentences):
    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kommutator")
def main() -> None:
    """A self-hosted call router: describe how calls travel, prove it, and let it run.

    \b
    Begin with the check of a company document, then ask what a call would do:
      kommutator check company.yaml
      kommutator trace company.yaml --did +74951112233 --caller 89161230099
    """

"""Groups of commands, as their help lists them."""

from __future__ import annotations

from typing import Final

import click

_WHOLE: Final = 500


class Sentences(click.Group):
    """A group whose help has the whole first sentence of each command; click's own cuts it to a line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list."""
        found = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [(name, command.get_short_help_str(_WHOLE)) for name, command in found if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

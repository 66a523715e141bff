"""`kommutator demo`: the product on a sample company, alive, with no telephone needed."""

from __future__ import annotations

from pathlib import Path

import click

from kommutator.cli.configured import log_to_stderr
from kommutator.cli.demo.living import live
from kommutator.cli.demo.story import play
from kommutator.configuration import Log
from kommutator.lifeline import hold_lifeline


@click.command("demo")
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="The folder that keeps everything. Default: kommutator-demo; for a story, a new temporary one.")  # fmt: skip
@click.option("--language", type=click.Choice(["en", "ru"]), default="en", show_default=True, help="Of what is told.")
@click.option("--port", type=click.IntRange(1, 65535),
              help="Of the desk, or the next one that is free. Default: the folder's configuration, at first 8080.")  # fmt: skip
@click.option("--story", is_flag=True, help="Instead, play and narrate calls to each scheme in virtual time, and end.")
@click.option("--calls", type=click.IntRange(min=0), help="Of a story: play only so many of the calls.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True,
              help="Of a story: how fast it is told. Where the output is no terminal, nothing waits.")  # fmt: skip
def command(data: Path | None, language: str, port: int | None, story: bool, calls: int | None, speed: float) -> None:
    """Run the whole product on a sample company, with a simulated PBX.

    Database, exchange, desk, router and PBX are started as `kommutator up` starts them; callers come by themselves, a few
    a minute. What to look at and to try is told when all is there. Everything is kept in one folder, which the next start
    finds as it was. Ctrl-C stops.

    \b
    Examples:
      kommutator demo
      kommutator demo --story --language ru

    Exit code: 0 told to stop, or the story has been told; 1 the sample company cannot be loaded, or a story's call went
    otherwise than told; 2 the folder's configuration cannot be used; 5 the demo runs already in this folder.
    """
    hold_lifeline()
    log_to_stderr(Log(level="error"))
    if story:
        play(calls, speed, data, language)
        return
    if calls is not None:
        raise click.UsageError("--calls is of a --story")
    live(data or Path("kommutator-demo"), port, language)

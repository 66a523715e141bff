"""What all processes and commands with a configuration have in common: their options, their log, their lifeline."""

from __future__ import annotations

import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import structlog

from kommutator import settings as reading
from kommutator.cli.inputs import EXIT_UNREADABLE, fail
from kommutator.configuration import Log
from kommutator.errors import ConfigurationInvalid

LIFELINE = "KOMMUTATOR_LIFELINE"
"""The variable with the number of a file descriptor that stays open for as long as the supervisor lives."""
_LAST_GRACE_S = 20.0


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--config` and `--data`: the command is called with `settings`, after its log and its lifeline are set up.

    A configuration that cannot be used ends the command with exit code 2, and all that is wrong with it.
    """

    @functools.wraps(command)
    def configured(*arguments: Any, config: Path | None, data: Path | None, **others: Any) -> Any:
        try:
            settings = reading.read(config, os.environ).overridden("--data", data=data)
        except ConfigurationInvalid as error:
            fail(f"the configuration cannot be used:\n{error}", EXIT_UNREADABLE)
        for warning in settings.warnings:
            click.echo(f"Warning: {warning}", err=True)
        log_to_stderr(settings.configuration.log)
        hold_lifeline()
        return command(*arguments, settings=settings, **others)

    for option in (
        click.option("--data", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
                     help="The data folder; default: the configuration's, else kommutator-data."),
        click.option("--config", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
                     help="The configuration; default: $KOMMUTATOR_CONFIG, else ./kommutator.toml where there is one."),
    ):  # fmt: skip
        configured = option(configured)
    return configured


def log_to_stderr(log: Log) -> None:
    """Structured lines on standard error, for people or for machines. Tracebacks show no variables: they have secrets."""
    text: list[structlog.typing.Processor] = [
        structlog.processors.StackInfoRenderer(),
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        ),
    ]
    json: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(json if log.form == "json" else text),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[log.level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def hold_lifeline() -> None:
    """Stop this process when its supervisor is gone: as by SIGTERM, and by force after 20 s.

    The supervisor holds the other end of a pipe and never writes: its end is this pipe's, however it ended.
    """
    number = os.environ.pop(LIFELINE, "")
    if not number.isdigit():
        return
    line = int(number)
    os.set_inheritable(line, False)
    main = threading.main_thread().ident
    assert main is not None

    def watch() -> None:
        while os.read(line, 1):
            pass
        # To the main thread: it may wait in a call that only a signal of its own interrupts.
        signal.pthread_kill(main, signal.SIGTERM)
        threading.Event().wait(_LAST_GRACE_S)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()

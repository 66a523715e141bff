"""What all processes and commands with a configuration have in common: their options, their log, their lifeline."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import structlog

from kommutator import settings as reading
from kommutator.cli.inputs import EXIT_UNREADABLE, fail
from kommutator.configuration import Log
from kommutator.errors import ConfigurationInvalid
from kommutator.lifeline import hold_lifeline


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
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )

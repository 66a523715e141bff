"""Values of the command line that several commands read: companies, instants, JSON."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import orjson
import structlog

from kommutator.company import LoadedCompany, load
from kommutator.errors import CompanyUnreadable

EXIT_INVALID = 1
EXIT_UNREADABLE = 2


def read_company(path: str) -> LoadedCompany:
    """The company at `path`; one that cannot be read ends the command with exit code 2."""
    try:
        return load(path)
    except CompanyUnreadable as error:
        fail(str(error), EXIT_UNREADABLE)


def fail(message: str, exit_code: int) -> NoReturn:
    """Ends the command with a message on standard error."""
    click.echo(f"Error: {message}", err=True)
    raise SystemExit(exit_code)


@contextmanager
def only_errors_logged() -> Iterator[None]:
    """Keeps the router's log, less its errors, out of a command that tells people itself what happens."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def now_ms() -> int:
    """Now, in milliseconds of UTC since the epoch."""
    return _ms(datetime.now(UTC))


def instant_ms(text: str, company: LoadedCompany, option: str) -> int:
    """An ISO 8601 time in milliseconds of UTC since the epoch; without an offset, it is the company's civil time."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(
            f"`{text}` is no ISO 8601 time such as 2026-11-18T12:00:00+03:00", param_hint=option
        ) from error
    if time.tzinfo is None:
        time = time.replace(tzinfo=zone_of(company))
    return _ms(time)


def zone_of(company: LoadedCompany) -> ZoneInfo:
    """The company's time zone; an unknown one, which the check reports, is read as UTC."""
    return zone_named(str(company.document["company"].get("timezone", "")))


def zone_named(name: str) -> ZoneInfo:
    """The time zone of this name; an unknown one is read as UTC."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        return ZoneInfo("UTC")


def mapping(text: str, option: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise click.BadParameter(f"`{text}` is no JSON: {error}", param_hint=option) from error
    if not isinstance(value, dict):
        raise click.BadParameter(f"`{text}` is no JSON object", param_hint=option)
    return value


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def made_folder(folder: Path) -> Path:
    """A folder of the data, made where it is not there. One that cannot be made ends the command with exit code 2."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{folder} cannot be made: {error.strerror}", EXIT_UNREADABLE)
    return folder

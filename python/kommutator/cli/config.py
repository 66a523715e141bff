"""`kommutator config`: what the configuration is, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import orjson
from pydantic import BaseModel, SecretStr

from kommutator.cli.configured import config_options
from kommutator.cli.groups import Sentences
from kommutator.settings import Settings

MASK = "********"
_ADDRESS = re.compile(r"(?P<scheme>\b[a-z][a-z0-9+.-]*://)(?P<user>\S*)@")
_WORDS = r"[\w-]*(?:key|token|pass|pwd|secret|auth|credential|signature)[\w-]*"
_PAIR = re.compile(rf"""(?P<name>{_WORDS}["']?\s*[=:]\s*["']?)(?P<value>[^\s"'&;,<>}}{{]+)""", re.IGNORECASE)


@click.group("config", cls=Sentences)
def command() -> None:
    """Look at the configuration."""


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="One JSON object: each key with its value and its source.")
@config_options
def show(settings: Settings, as_json: bool) -> None:
    """Print every setting with its value and where it comes from, secrets masked.

    \b
    Example:
      kommutator config show --config kommutator.toml

    Exit code: 0; 2 the configuration cannot be used.
    """
    rows = [(key, value, settings.source(key)) for key, value in leaves(settings.configuration)]
    if as_json:
        said = {key: {"value": value, "source": source} for key, value, source in rows}
        click.echo(orjson.dumps(said, option=orjson.OPT_INDENT_2).decode())
        return
    lines = [(_line(key, value), source) for key, value, source in rows]
    width = min(max(len(line) for line, _ in lines), 70)
    for line, source in lines:
        click.echo(f"{line:<{width}}  # {source}")


def leaves(value: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each setting's dotted key and value, as plain data without secrets."""
    if isinstance(value, BaseModel):
        inside = {name: getattr(value, name) for name in type(value).model_fields}
    elif isinstance(value, Mapping):
        inside = dict(value)
    else:
        yield path, _shown(path.rpartition(".")[2], value)
        return
    for name, inner in inside.items():
        yield from leaves(inner, f"{path}.{name}" if path else name)


def masked(text: str) -> str:
    """A text without the passwords of its addresses, and without what stands beside a name such as `api_key`."""

    def address(found: re.Match[str]) -> str:
        user, colon, _ = found["user"].partition(":")
        if not colon and not found["scheme"].startswith("postgres"):
            user = ""  # a token of NATS
        return f"{found['scheme']}{user}{colon}{MASK if colon or not user else ''}@"

    return _PAIR.sub(rf"\g<name>{MASK}", _ADDRESS.sub(address, text))


def _shown(name: str, value: object) -> Any:
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        return masked(secret) if name == "dsn" else MASK
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, tuple):
        return [_shown(name, each) for each in value]
    return value


def _line(key: str, value: Any) -> str:
    """As TOML writes it; what is not set, as a comment."""
    key = ".".join(
        part if re.fullmatch(r"[\w-]+", part, re.ASCII) else orjson.dumps(part).decode() for part in key.split(".")
    )
    return f"# {key} is not set" if value is None else f"{key} = {orjson.dumps(value).decode()}"

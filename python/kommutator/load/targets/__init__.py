"""The kinds of targets, by the scheme of their address."""

from __future__ import annotations

import importlib
from typing import Final

from kommutator.errors import BadTarget
from kommutator.load.target import Options, Target

KINDS: Final[dict[str, str]] = {
    "http": "kommutator.load.targets.http",
    "https": "kommutator.load.targets.http",
    "unix": "kommutator.load.targets.http",
    "sip": "kommutator.load.targets.sip",
    "agi": "kommutator.load.targets.agi",
    "asterisk": "kommutator.load.targets.calls",
    "pbx": "kommutator.load.targets.simulated",
}
"""Each scheme's module, which has `make(address: str, options: Options) -> Target`; imported when it is asked for."""

TAKE_A_TIME: Final = frozenset({"http", "https", "unix"})
"""Those that decide for the time that a call is told (`Ask.at_ms`); the others know only now."""


def make(address: str, options: Options) -> Target:
    """The target at an address, such as `http://127.0.0.1:8070`. Raises `BadTarget`, which says what is wrong with it."""
    scheme, colon, _ = address.partition(":")
    if not colon or scheme not in KINDS:
        raise BadTarget(f"`{address}` begins with none of {', '.join(f'{each}:' for each in KINDS)}")
    target: Target = importlib.import_module(KINDS[scheme]).make(address, options)
    return target

"""A router under test as a process of its own: `kommutator route`, in a world that a scenario lays out.

The world is a JSON object on the command line: the moment at which the first call arrives, who owns callers and when
they called before, who is present, and what lookups are answered. Everything else is the product's own.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import trio
from pydantic import SecretStr

from kommutator import Engine
from kommutator.app import document
from kommutator.cli.configured import log_to_stderr
from kommutator.company.reader import load
from kommutator.configuration import Asterisk, FastAgi, Log

FAILS, NEVER = "fails", "never"


class World(msgspec.Struct):
    """What a scenario says of the world, and how the router is run in it."""

    company: str
    ari_url: str
    ari_user: str
    ari_password: str
    data: str
    agi: str | None
    """Where to listen by FastAGI; None: by ARI."""
    messages: str
    silence_s: int
    at_ms: int
    """When the first call arrives; time goes on from there."""
    owners: dict[str, str | None] = {}
    called: dict[str, int] = {}
    presence: dict[str, str] = {}
    lookups: dict[str, str | None] = {}
    """`owner`: an employee or None; `history`: `called_before` or `never_called`; each may be `fails` or `never`."""


class ScenarioClock:
    """Stands still at a moment until it is asked for the first time."""

    def __init__(self, at_ms: int) -> None:
        self._at_ms = at_ms
        self._began: float | None = None

    def now_ms(self) -> int:
        """Milliseconds of UTC since the epoch."""
        now = time.monotonic()
        if self._began is None:
            self._began = now
        return self._at_ms + round((now - self._began) * 1000)


class ScenarioLookups:
    """A desk that answers as the scenario says."""

    def __init__(self, answers: Mapping[str, str | None]) -> None:
        self._owner = answers.get("owner", FAILS)
        self._history = answers.get("history", FAILS)

    async def owner(self, caller: str) -> Mapping[str, Any]:
        """`owner {employee}`, `no_owner` or `failed`."""
        if self._owner == NEVER:
            await trio.sleep_forever()
        if self._owner is None:
            return {"type": "no_owner"}
        return {"type": "failed"} if self._owner == FAILS else {"type": "owner", "employee": self._owner}

    async def history(self, caller: str, days: int | None) -> Mapping[str, Any]:
        """`called_before`, `never_called` or `failed`."""
        if self._history == NEVER:
            await trio.sleep_forever()
        return {"type": "failed" if self._history in (None, FAILS) else self._history}


def main() -> None:
    """Route until told to stop."""
    world = msgspec.json.decode(sys.argv[1], type=World)
    log_to_stderr(Log(form="json"))
    company = load(Path(world.company))
    engine = Engine.of(company)
    for number, employee in world.owners.items():
        engine.owner_is(number, employee)
    for number, moment_ms in world.called.items():
        engine.called(number, moment_ms)
    for employee, presence in world.presence.items():
        engine.presence(employee, presence)
    by_agi = FastAgi(
        kind="fastagi",
        listen=world.agi or "127.0.0.1:0",
        messages=Path(world.messages),
        silence_s=world.silence_s,
    )
    pbx = (
        by_agi
        if world.agi is not None
        else Asterisk(
            kind="asterisk",
            url=world.ari_url,
            user=world.ari_user,
            password=SecretStr(world.ari_password),
            silence_s=world.silence_s,
        )
    )

    async def route() -> None:
        lookups, clock = ScenarioLookups(world.lookups), ScenarioClock(world.at_ms)
        await document.route(company, pbx, Path(world.data), engine=engine, lookups=lookups, clock=clock)

    trio.run(route)


if __name__ == "__main__":
    main()

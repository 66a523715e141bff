"""The desk's side of the floor: who is at the workplace and whose line is free, live; and presence, told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from kommutator.errors import ExchangeError
from kommutator.exchange.floor import line_key, presence_key
from kommutator.exchange.messages import FLOOR, Alive, Fact, alive_subject, decode, encode, name_of, token
from kommutator.exchange.nats.client import Connection, Exchange

_SILENT_S = 7.0
"""A router that has said nothing for so long is taken for dead."""
_HEARTBEATS = 256


@dataclass(frozen=True, slots=True)
class FloorFact:
    """What is known of one employee."""

    employee: str
    kind: Literal["presence", "line"]
    value: str
    at: int
    """When it became so, milliseconds of UTC: the fact's age is for the desk to show."""


class DeskFloor:
    """The floor as a desk sees it. `on_fact` is called for every fact at first and for each that changes.

    Without the exchange, and without the router of his PBX, an employee's line is `unreachable`; presence stays as last
    told.
    """

    def __init__(self, exchange: Exchange, on_fact: Callable[[FloorFact], None]) -> None:
        self._exchange = exchange
        self._on_fact = on_fact
        self._told: dict[str, Fact] = {}
        self._shown: dict[tuple[str, str], FloorFact] = {}
        self._alive: dict[str, float] = {}
        self._routers: dict[str, str] = {}
        self._spoke: dict[str, float] = {}
        """When each router was last heard, in the loop's time."""
        self._hears_since: float | None = None
        self._connected = False
        self._log = structlog.get_logger()
        exchange.attach("watching the floor", self._watch)
        exchange.attach("hearing routers", self._hear)

    def facts(self) -> list[FloorFact]:
        """All that is known now."""
        return list(self._shown.values())

    def router_of(self, employee: str) -> str | None:
        """The router of the PBX where his phone is; None when nobody has told of it. A router that has not said yet that it
        lives is taken to have its PBX's name."""
        fact = self._told.get(line_key(employee))
        return None if fact is None else self._routers.get(fact.pbx, fact.pbx)

    def dead(self, router: str) -> bool:
        """Whether a router is taken for dead: this desk could hear it, and has not for 7 s."""
        if self._hears_since is None:
            return False
        heard = max(self._hears_since, self._spoke.get(router, 0.0))
        return asyncio.get_running_loop().time() - heard >= _SILENT_S

    async def presence(self, employee: str, presence: str, at_ms: int) -> None:
        """Tell that an employee is `present`, `away` or `offline`. Raises `ExchangeError`."""
        await self._exchange.connection.put(FLOOR, presence_key(employee), encode(Fact(presence, at_ms)))

    async def _watch(self, connection: Connection) -> None:
        self._told = {}
        try:
            async for update in connection.watch(FLOOR):
                if update is None:
                    self._connected = True
                    self._show()
                    continue
                fact = _fact(update.value)
                if fact is None:
                    self._told.pop(update.key, None)
                else:
                    self._told[update.key] = fact
                    if self._connected:
                        self._show_one(update.key, fact)
        finally:
            self._connected = False
            self._show()

    async def _hear(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()

        async def alive(payload: bytes) -> bytes | None:
            told = decode(payload, Alive)
            self._alive[told.pbx] = self._spoke[told.router] = loop.time()
            self._routers[told.pbx] = told.router
            return None

        async with asyncio.TaskGroup() as tasks:
            silence = tasks.create_task(self._find_silent())
            self._hears_since = loop.time()
            try:
                await connection.serve(
                    alive_subject("*").replace(token("*"), "*"), alive, at_once=1, waiting=_HEARTBEATS
                )
            finally:
                self._hears_since = None
                silence.cancel()

    async def _find_silent(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._show()

    def _show(self) -> None:
        """Tell what has changed."""
        for key, fact in self._told.items():
            self._show_one(key, fact)

    def _show_one(self, key: str, fact: Fact) -> None:
        kind, _, written = key.partition(".")
        if kind not in ("presence", "line"):
            return
        value = fact.value if kind == "presence" or self._reachable(fact.pbx) else "unreachable"
        employee = name_of(written)
        shown = FloorFact(employee, "presence" if kind == "presence" else "line", value, fact.at)
        if self._shown.get((kind, employee)) != shown:
            self._shown[kind, employee] = shown
            self._on_fact(shown)

    def _reachable(self, pbx: str) -> bool:
        heard = self._alive.get(pbx)
        return self._connected and heard is not None and asyncio.get_running_loop().time() - heard < _SILENT_S


def _fact(value: bytes | None) -> Fact | None:
    try:
        return decode(value, Fact) if value else None
    except ExchangeError as error:
        structlog.get_logger().error("a fact of the floor cannot be read", reason=str(error))
        return None

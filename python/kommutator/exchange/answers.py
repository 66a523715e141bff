"""Employees of other PBXs whom calls of queries and redirects ring: claimed before the answer leaves.

Nobody watches these calls after their answers: their phones are rung by whoever asked. So what such a call holds at another
PBX it holds for as long as this router's engine holds the same employee for it, which knows when the ringing, or the
conversation, is over, and gives up whom a vanished client never let go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio

from kommutator.exchange.claims import Claims
from kommutator.routing.ports import Clock
from kommutator.routing.turn import Event

_LOOK_EVERY_S = 0.1
_AT_ONCE = 256
"""So many are asked for at once: a batch may ring a thousand, and the calls of the PBX have claims, too."""


class ClaimsOfAnswers:
    """`held` answers whom the engine claims at a moment: employee, call, and what for (`Engine.claims`)."""

    def __init__(self, claims: Claims, held: Callable[[int], list[tuple[str, str, str]]], clock: Clock) -> None:
        self._claims = claims
        self._held = held
        self._clock = clock
        self._calls: set[str] = set()
        self._some = trio.Event()
        self._turns = trio.CapacityLimiter(_AT_ONCE)

    def count(self) -> int:
        """How many calls hold somebody elsewhere."""
        return len(self._calls)

    async def claim(self, call_id: str, employees: Iterable[str]) -> Event:
        """Hold exactly those of them for a call whose phones are at other PBXs. The answer is `taken`, with whoever cannot be
        had: nobody, if all can. Waits for its turn, and for `claim_s` at most; while the exchange is away nobody can be
        had."""
        wanted = self._claims.foreign(employees)
        async with self._turns:
            refused = await self._claims.claim(call_id, wanted)
        if wanted - refused:
            self._calls.add(call_id)
            self._some.set()
        return {"type": "taken", "employees": sorted(refused)}

    async def run(self) -> None:
        """Give back whom the engine claims no more, until cancelled."""
        while True:
            await self._some.wait()
            await trio.sleep(_LOOK_EVERY_S)
            self.look()
            if not self._calls:
                self._some = trio.Event()

    def look(self) -> None:
        """Give back whom the engine claims no more."""
        claimed: dict[str, set[str]] = {}
        for employee, call_id, _ in self._held(self._clock.now_ms()):
            if call_id in self._calls:
                claimed.setdefault(call_id, set()).add(employee)
        for call_id in self._calls:
            self._claims.keep_only(call_id, frozenset(claimed.get(call_id, ())))
        self._calls &= claimed.keys()

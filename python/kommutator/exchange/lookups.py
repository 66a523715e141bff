"""Questions that a desk answers, as the routing loop asks them; and what makes earlier answers void."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec
import structlog
import trio

from kommutator.errors import ExchangeError
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.messages import (
    HISTORY_SUBJECT,
    OWNER_SUBJECT,
    HistoryAsked,
    LookupAnswer,
    OwnerAsked,
    decode,
    encode,
)
from kommutator.routing.turn import Event

_MOST_REMEMBERED = 100_000
_LATELY_S = 2.0
_IN_VAIN_S = 0.5
"""A question given up after so long, by whoever asked, was asked in vain."""


class ExchangeLookups:
    """The `Lookups` port over the exchange.

    `forget` makes the engine forget who owns a number (`Engine.forget_owner`).
    """

    def __init__(self, bridge: Bridge, forget: Callable[[str], None]) -> None:
        self._bridge = bridge
        self._forget = forget
        self._asked: dict[str, None] = {}
        """Numbers whose owner the engine may have learnt from us, the oldest first."""
        self._open: Counter[str] = Counter()
        self._answered: dict[str, float] = {}
        self._log = structlog.get_logger()
        self.in_vain: Callable[[], None] = lambda: None
        """Called when a question was not answered."""

    async def owner(self, caller: str) -> Event:
        """`owner {employee}`, `no_owner`; `failed` when no desk answers in time."""
        self._asked.pop(caller, None)
        self._asked[caller] = None
        if len(self._asked) > _MOST_REMEMBERED:
            self._forget_one(next(iter(self._asked)))
        self._open[caller] += 1
        try:
            return await self._ask(OWNER_SUBJECT, OwnerAsked(caller))
        finally:
            self._open[caller] -= 1
            if not self._open[caller]:
                del self._open[caller]
            self._answered.pop(caller, None)
            self._answered[caller] = trio.current_time()

    def forget(self, number: str) -> None:
        """The owner of a number has changed: what the engine learnt from us is void."""
        if number in self._asked:
            self._forget_one(number)

    def forget_all(self) -> None:
        """Any owner may have changed."""
        for number in tuple(self._asked):
            self._forget_one(number)

    def lately(self) -> set[str]:
        """The numbers whose owner is being asked, or was answered a moment ago: the engine may yet learn what was so before a
        change that was told meanwhile."""
        oldest = trio.current_time() - _LATELY_S
        while self._answered and (first := next(iter(self._answered.items())))[1] < oldest:
            del self._answered[first[0]]
        return self._open.keys() | self._answered.keys()

    async def history(self, caller: str, days: int | None) -> Event:
        """`called_before`, `never_called`; `failed` when no desk answers in time."""
        return await self._ask(HISTORY_SUBJECT, HistoryAsked(caller, days))

    async def _ask(self, subject: str, question: msgspec.Struct) -> Event:
        payload, seconds = encode(question), self._bridge.settings.lookup_s
        began, answered = trio.current_time(), False
        try:
            answer = decode(await self._bridge.request(subject, payload, seconds), LookupAnswer)
            answered = answer.type != "failed"
        except ExchangeError as error:
            self._log.warning("a question was not answered", subject=subject, code=error.code, reason=str(error))
            self.in_vain()
            return {"type": "failed"}
        finally:
            if not answered and trio.current_time() - began > _IN_VAIN_S:
                self.in_vain()
        if not answered:
            self.in_vain()
        if answer.type == "owner":
            return {"type": "owner", "employee": answer.employee} if answer.employee else {"type": "failed"}
        return {"type": answer.type}

    def _forget_one(self, number: str) -> None:
        self._asked.pop(number, None)
        self._forget(number)

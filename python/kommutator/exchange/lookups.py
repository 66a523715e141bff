"""Questions that a desk answers, as the routing loop asks them; and what makes earlier answers void."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import structlog

from kommutator.errors import ExchangeError
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.messages import (
    CHANGED_SUBJECT,
    CHANGES,
    HISTORY_SUBJECT,
    OWNER_SUBJECT,
    HistoryAsked,
    LookupAnswer,
    OwnerAsked,
    OwnerChanged,
    decode,
    encode,
)
from kommutator.routing.turn import Event

_MOST_REMEMBERED = 100_000
_MOST_CHANGES = 10_000


class ExchangeLookups:
    """The `Lookups` port over the exchange.

    `forget` makes the engine forget who owns a number (`Engine.forget_owner`).
    """

    def __init__(self, bridge: Bridge, forget: Callable[[str], None]) -> None:
        self._bridge = bridge
        self._forget = forget
        self._asked: dict[str, None] = {}
        """Numbers whose owner the engine may have learnt from us, the oldest first."""
        self._changes = bridge.follow(CHANGES, CHANGED_SUBJECT, _MOST_CHANGES)
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Forget what has changed, until cancelled."""
        while True:
            payload = await self._changes.get()
            numbers: tuple[str, ...] = ()
            if payload is not None:
                try:
                    numbers = decode(payload, OwnerChanged).numbers
                except ExchangeError as error:
                    self._log.error("a change cannot be read: all owners are asked again", reason=str(error))
            for number in numbers or tuple(self._asked):
                self._forget_one(number)

    async def owner(self, caller: str) -> Event:
        """`owner {employee}`, `no_owner`; `failed` when no desk answers in time."""
        self._asked.pop(caller, None)
        self._asked[caller] = None
        if len(self._asked) > _MOST_REMEMBERED:
            self._forget_one(next(iter(self._asked)))
        return await self._ask(OWNER_SUBJECT, OwnerAsked(caller))

    async def history(self, caller: str, days: int | None) -> Event:
        """`called_before`, `never_called`; `failed` when no desk answers in time."""
        return await self._ask(HISTORY_SUBJECT, HistoryAsked(caller, days))

    async def _ask(self, subject: str, question: msgspec.Struct) -> Event:
        payload, seconds = encode(question), self._bridge.settings.lookup_s
        try:
            answer = decode(await self._bridge.request(subject, payload, seconds), LookupAnswer)
        except ExchangeError as error:
            self._log.warning("a question was not answered", subject=subject, code=error.code, reason=str(error))
            return {"type": "failed"}
        if answer.type == "owner":
            return {"type": "owner", "employee": answer.employee} if answer.employee else {"type": "failed"}
        return {"type": answer.type}

    def _forget_one(self, number: str) -> None:
        self._asked.pop(number, None)
        self._forget(number)

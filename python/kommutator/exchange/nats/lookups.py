"""The desk's answers to routers' questions."""

from __future__ import annotations

from typing import Protocol

import structlog

from kommutator.exchange.messages import (
    DESKS,
    HISTORY_SUBJECT,
    OWNER_SUBJECT,
    HistoryAsked,
    LookupAnswer,
    OwnerAsked,
    decode,
    encode,
)
from kommutator.exchange.nats.client import Exchange

_AT_ONCE = 32


class Memory(Protocol):
    """Whoever knows: the CRM."""

    async def owner_of(self, number: str) -> str | None:
        """The employee responsible for an E.164 number; None when it is nobody."""
        ...

    async def called_before(self, number: str, days: int | None) -> bool:
        """Whether this E.164 number has called, within so many days."""
        ...


class DeskLookups:
    """Attached to the exchange, any one desk answers each question."""

    def __init__(self, exchange: Exchange, memory: Memory) -> None:
        self._exchange = exchange
        self._memory = memory
        self._log = structlog.get_logger()
        exchange.attach("answering who owns", lambda c: c.serve(OWNER_SUBJECT, self._owner, DESKS, _AT_ONCE))
        exchange.attach("answering who called", lambda c: c.serve(HISTORY_SUBJECT, self._history, DESKS, _AT_ONCE))

    async def _owner(self, payload: bytes) -> bytes:
        try:
            employee = await self._memory.owner_of(decode(payload, OwnerAsked).caller)
        except Exception:  # noqa: BLE001 - the asking router is told, whatever it was
            self._log.exception("who owns a number could not be found")
            return encode(LookupAnswer("failed"))
        return encode(LookupAnswer("no_owner") if employee is None else LookupAnswer("owner", employee))

    async def _history(self, payload: bytes) -> bytes:
        try:
            asked = decode(payload, HistoryAsked)
            before = await self._memory.called_before(asked.caller, asked.days)
        except Exception:  # noqa: BLE001 - the asking router is told, whatever it was
            self._log.exception("whether a number has called could not be found")
            return encode(LookupAnswer("failed"))
        return encode(LookupAnswer("called_before" if before else "never_called"))

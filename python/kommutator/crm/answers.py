"""The memory's answers to routers, each in a transaction of its own: what the exchange asks."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from kommutator.crm import lookups
from kommutator.crm.pool import Database


class Answers:
    """Whoever knows the clients. Raises `DatabaseUnreachable`: then the router goes on without an answer."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def owner_of(self, number: str) -> str | None:
        """The employee responsible for an E.164 number; see `lookups` for the rule."""
        async with self._database.transaction() as tx:
            return await lookups.owner(tx, number)

    async def called_before(self, number: str, days: int | None) -> bool:
        """Whether a call from this E.164 number has ended, one that began within so many days."""
        async with self._database.transaction() as tx:
            return await lookups.called_before(tx, number, self._clock(), days)

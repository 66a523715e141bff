"""Routers are told whose owner may have changed: what their caches hold of those numbers is forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from kommutator.crm import lookups
from kommutator.crm.pool import Database
from kommutator.desk.background.tasks import Bell
from kommutator.desk.background.topics import Topics

_LOOK_S: Final = 30.0
_AT_ONCE: Final = 1_000


class OwnerChanges:
    """Takes the changes from the database as routers are told: each stays there until the exchange has it."""

    def __init__(self, database: Database, topics: Topics, tell: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        """`tell` tells of numbers, of all when there are none, and raises `ExchangeError`."""
        self._database = database
        self._tell = tell
        self._bell = Bell()
        topics.on("number_changes", lambda _told: self._bell.ring())

    def wake(self) -> None:
        """The exchange is there again."""
        self._bell.ring()

    async def run(self) -> None:
        """Tell until cancelled. Raises `DatabaseUnreachable`, `ExchangeError`: then nothing was taken."""
        while True:
            while await self._some():
                pass
            await self._bell.wait(_LOOK_S)

    async def _some(self) -> bool:
        async with self._database.transaction() as tx:
            if await lookups.take_all(tx):
                await self._tell(())
                return True
            numbers = await lookups.take_changes(tx, _AT_ONCE)
            if numbers:
                await self._tell(numbers)
            return len(numbers) == _AT_ONCE

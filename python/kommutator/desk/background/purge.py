"""What is kept no longer, deleted once a day in small batches, so that nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from kommutator.crm import retention
from kommutator.crm.pool import Database, Tx

_FIRST_S: Final = 60.0
_EVERY_S: Final = 24 * 3600.0
_BATCH: Final = 500
_BETWEEN_S: Final = 0.05
_STRAYS_KEPT: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Kept:
    """How long is kept what grows, in days; None: for ever."""

    turns: int | None = None
    recordings: int | None = 365
    notices: int | None = 90
    drafts: int | None = 30


class Purge:
    """Deletes by the company's rule. Several desks may do it at once."""

    def __init__(self, database: Database, folder: Path, kept: Kept, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._folder = folder
        self._kept = kept
        self._clock = clock
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Once a day until cancelled, a minute after the start at first."""
        await asyncio.sleep(_FIRST_S)
        while True:
            await self.once()
            await asyncio.sleep(_EVERY_S)

    async def once(self) -> dict[str, int]:
        """Everything that is too old now; how much of what. Raises `DatabaseUnreachable`: the rest stays for the next time."""
        now = self._clock()
        done: dict[str, int] = {}
        for subject, delete in retention.SUBJECTS.items():
            days: int | None = getattr(self._kept, subject, 1)
            if days is None:
                continue
            done[subject] = 0
            while True:
                async with self._database.transaction("retention") as tx:
                    many = await delete(tx, now, timedelta(days=days), _BATCH)
                done[subject] += many
                if many < _BATCH:
                    break
                await asyncio.sleep(_BETWEEN_S)
        done["recordings"] = await self._recordings(now)
        if any(done.values()):
            self._log.info("what is kept no longer was deleted", **{name: many for name, many in done.items() if many})
        return done

    async def _recordings(self, now: datetime) -> int:
        strays = await self._files(lambda tx: retention.strays(tx, now - _STRAYS_KEPT, _BATCH))
        if self._kept.recordings is None:
            return strays
        before = now - timedelta(days=self._kept.recordings)
        return strays + await self._files(lambda tx: retention.recordings(tx, before, now, _BATCH))

    async def _files(self, forget: Callable[[Tx], Awaitable[list[str]]]) -> int:
        """The files go before the transaction commits: a row that says that there is none any more must not lie."""
        done = 0
        while True:
            async with self._database.transaction("retention") as tx:
                files = await forget(tx)
                for name in files:
                    await asyncio.to_thread((self._folder / Path(name).name).unlink, missing_ok=True)
            done += len(files)
            if len(files) < _BATCH:
                return done
            await asyncio.sleep(_BETWEEN_S)

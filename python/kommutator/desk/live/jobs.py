"""Small pieces of work that something live asks for: each is begun at once, its failure is told and no other's matter."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

import structlog

from kommutator.errors import DatabaseUnreachable

_WAITING: Final = 10_000
_AT_ONCE: Final = 4
"""So that these leave most connections of the database to requests."""


class Jobs:
    """The jobs of one process. At most four work at a time, and 10,000 wait; what comes beyond is left out with an alarm."""

    def __init__(self) -> None:
        self._ended = False
        self._queue: asyncio.Queue[tuple[str, Coroutine[Any, Any, None]]] = asyncio.Queue(_WAITING)
        self._log = structlog.get_logger()

    def begin(self, name: str, work: Coroutine[Any, Any, None]) -> bool:
        """Have it done; False when it is left out, as it is once these have ended."""
        if self._ended:
            work.close()
            return False
        try:
            self._queue.put_nowait((name, work))
        except asyncio.QueueFull:
            work.close()
            self._log.error("a job of the live desk is left out: too many wait", alarm="live", job=name)
            return False
        return True

    async def run(self) -> None:
        """Do them until cancelled."""
        self._ended = False
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(_AT_ONCE):
                    workers.create_task(self._work())
        finally:
            self._ended = True
            while not self._queue.empty():
                self._queue.get_nowait()[1].close()

    async def _work(self) -> None:
        while True:
            name, work = await self._queue.get()
            try:
                await work
            except DatabaseUnreachable as error:
                self._log.warning("a job of the live desk cannot be done", job=name, reason=str(error))
            except Exception:  # noqa: BLE001 - the supervisor of a task
                self._log.exception("a job of the live desk failed", alarm="live", job=name)

"""The supervisor of the desk's long tasks: one that dies is begun again, and never takes the others with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from kommutator.errors import AddressTaken, DatabaseUnreachable, ExchangeError

_PAUSES_S: Final = (0.2, 30.0)
_STABLE_S: Final = 30.0
"""A task that lived so long begins with the shortest pause again."""


class Tasks:
    """The long tasks of one process."""

    def __init__(self) -> None:
        self.restarts: dict[str, int] = {}
        """How often each task was begun again."""
        self._log = structlog.get_logger()

    async def keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` until it returns, again after every failure: after 0.2 s at first, after 30 s at the longest."""
        self.restarts[name] = 0
        loop = asyncio.get_running_loop()
        pause_s = _PAUSES_S[0]
        while True:
            since = loop.time()
            try:
                await work()
                return
            except (DatabaseUnreachable, ExchangeError) as error:
                self._log.warning("a task cannot go on", task=name, reason=str(error))
            except AddressTaken as error:
                self._log.error("a task cannot go on", alarm="task", task=name, reason=str(error))
            except Exception:  # noqa: BLE001 - the supervisor of a task
                self._log.exception("a task failed; it is begun again", alarm="task", task=name)
            self.restarts[name] += 1
            if loop.time() - since > _STABLE_S:
                pause_s = _PAUSES_S[0]
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSES_S[1])


class Bell:
    """Wakes one waiting task; rung while it works, it wakes it once more."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Something is to be done."""
        self._rung.set()

    async def wait(self, longest_s: float | None = None) -> None:
        """Until it is rung, or so long."""
        try:
            async with asyncio.timeout(longest_s):
                await self._rung.wait()
        except TimeoutError:
            pass
        self._rung.clear()

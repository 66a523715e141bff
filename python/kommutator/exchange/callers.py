"""Who has called, told among routers: an engine that knows who has called must hear of a call at whichever PBX.

A router's own calls its engine knows by itself; those of others come with the changes (`Tables`). What a router cannot tell,
because more has ended while the exchange was away than waits here, is not told by it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

import structlog
import trio

from kommutator.errors import ExchangeError
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.messages import CALLED_SUBJECT, Began, Called, CallEntry, Ended, encode

_AT_ONCE = 500
_EVERY_S = 0.5
_MOST_WAITING = 20_000
_AGAIN_S = 2.0


class SharedCallers:
    """Tells of this router's callers whose calls have ended. `ended` is told of each: the number as its PBX gave it, and when the
    call began."""

    def __init__(self, bridge: Bridge, ended: Callable[[str, int], None]) -> None:
        self._bridge = bridge
        self._told_of = ended
        self._live: dict[str, tuple[str, int]] = {}
        """The callers of the calls that go on, and when they came."""
        self._ended: deque[tuple[str, int]] = deque(maxlen=_MOST_WAITING)
        self._more = trio.Event()
        self._log = structlog.get_logger()

    def go_on(self, callers: Mapping[str, tuple[str, int]]) -> None:
        """These calls, by their ids, were begun by an earlier process of this router."""
        self._live.update(callers)

    def take(self, entry: CallEntry) -> None:
        """Something happened to a call of this router."""
        if isinstance(entry, Began) and entry.caller is not None:
            self._live[entry.call] = entry.caller, entry.at
        elif isinstance(entry, Ended) and entry.call in self._live:
            caller = self._live.pop(entry.call)
            self._ended.append(caller)
            self._told_of(*caller)
            self._more.set()

    async def run(self) -> None:
        """Tell until cancelled."""
        pause_s = _EVERY_S
        while True:
            await self._more.wait()
            self._more = trio.Event()
            await trio.sleep(pause_s)
            pause_s = _EVERY_S
            while self._ended:
                some = tuple(self._ended[place] for place in range(min(_AT_ONCE, len(self._ended))))
                try:
                    await self._tell_some(some)
                except ExchangeError as error:
                    self._log.debug("callers could not be told", code=error.code)
                    pause_s = _AGAIN_S
                    self._more.set()
                    break
                for told in some:
                    if self._ended and self._ended[0] is told:
                        self._ended.popleft()

    async def _tell_some(self, callers: tuple[tuple[str, int], ...]) -> None:
        payload, seconds = encode(Called(callers)), self._bridge.settings.request_s
        await self._bridge.call(lambda connection: connection.append(CALLED_SUBJECT, payload), seconds)

"""Who has called, told among routers: an engine that learnt that a number had never called must hear when it has, at
whichever PBX.

A router's own calls its engine knows by itself. Where calls of others may not have been heard (the exchange was away),
the engine is told so, and asks for those whom it could concern. What a router cannot tell, because more has ended while
the exchange was away than waits here, is not told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import structlog
import trio

from kommutator.errors import ExchangeError
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.messages import CALLED_SUBJECT, CHANGES, Began, Called, CallEntry, Ended, decode, encode

_AT_ONCE = 500
_EVERY_S = 0.5
_MOST_WAITING = 20_000
_MOST_HEARD = 1_000
_AGAIN_S = 2.0


class SharedCallers:
    """Tells of this router's callers whose calls have ended, and `called` of those of others (`Engine.called`).

    `missed` is told where calls may not have been heard (`Engine.missed_calls` of now).
    """

    def __init__(self, bridge: Bridge, called: Callable[[str, int], None], missed: Callable[[], None]) -> None:
        self._bridge = bridge
        self._called = called
        self._missed = missed
        self._heard = bridge.follow(CHANGES, CALLED_SUBJECT, _MOST_HEARD)
        self._live: dict[str, tuple[str, int]] = {}
        """The callers of the calls that go on, and when they came."""
        self._ended: deque[tuple[str, int]] = deque(maxlen=_MOST_WAITING)
        self._more = trio.Event()
        self._log = structlog.get_logger()

    def take(self, entry: CallEntry) -> None:
        """Something happened to a call of this router."""
        if isinstance(entry, Began) and entry.caller is not None:
            self._live[entry.call] = entry.caller, entry.at
        elif isinstance(entry, Ended) and entry.call in self._live:
            self._ended.append(self._live.pop(entry.call))
            self._more.set()

    async def run(self) -> None:
        """Tell and hear until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell)
            nursery.start_soon(self._hear)

    async def _tell(self) -> None:
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

    async def _hear(self) -> None:
        while True:
            payload = await self._heard.get()
            if payload is None:
                self._log.warning("callers of other routers may have been missed: they are asked for")
                self._missed()
                continue
            try:
                callers = decode(payload, Called).callers
            except ExchangeError as error:
                self._log.error("callers cannot be read: they are asked for", reason=str(error))
                self._missed()
                continue
            for number, at_ms in callers:
                self._called(number, at_ms)

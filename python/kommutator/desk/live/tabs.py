"""One page that listens: a bounded queue of what it is to be told. A page that reads too slowly is told anew from the beginning
instead."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from typing import Final

import orjson

from kommutator.crm.accounts import User
from kommutator.desk.forms import View, dumped

WAITING: Final = 256
"""Events that may wait for a page."""


class Tab:
    """A page of a signed-in user."""

    def __init__(self, id: str, user: User, session_token: str) -> None:
        self.id = id
        self.stream = uuid.uuid4()
        """This connection of it."""
        self.user = user
        self.session_token = session_token
        self.closed = False
        self.left_out = 0
        """What was not told because everything will be."""
        self._stale = True
        self._waiting: deque[bytes] = deque()
        self._wake = asyncio.Event()

    @property
    def employee(self) -> str | None:
        """The employee whose page it is."""
        return self.user.employee

    def put(self, events: bytes) -> None:
        """Have it told. At the bound what waits is left out, and all is told anew."""
        if self.closed:
            return
        if self._stale:
            self.left_out += 1
            return
        if len(self._waiting) >= WAITING:
            self.renew()
            return
        self._waiting.append(events)
        self._wake.set()

    def renew(self) -> None:
        """Have everything told anew."""
        self._waiting.clear()
        self._stale = True
        self._wake.set()

    def begin(self) -> None:
        """Everything is told now; what comes from here on is told after it."""
        self._stale = False

    def close(self) -> None:
        """End it."""
        self.closed = True
        self._wake.set()

    @property
    def stale(self) -> bool:
        """Whether everything is to be told anew."""
        return self._stale

    async def next(self, longest_s: float) -> bytes | None:
        """All that waits; nothing when it is closed, is to be told anew, or so long nothing came."""
        if not (self._waiting or self.closed or self._stale):
            self._wake.clear()
            try:
                async with asyncio.timeout(longest_s):
                    await self._wake.wait()
            except TimeoutError:
                return None
        if self.closed or not self._waiting:
            return None
        events = b"".join(self._waiting)
        self._waiting.clear()
        return events


class Written:
    """Events in the form of the protocol (WHATWG HTML, 9.2), with ids that count."""

    def __init__(self) -> None:
        self._last = 0

    def event(self, name: str, content: View) -> bytes:
        """One event."""
        return self.raw(name, dumped(content))

    def raw(self, name: str, content: bytes) -> bytes:
        """One event whose JSON is written already."""
        self._last += 1
        return b"event: %b\nid: %d\ndata: %b\n\n" % (name.encode(), self._last, content)

    def of(self, name: str, content: object) -> bytes:
        """One event of plain values."""
        return self.raw(name, orjson.dumps(content))


HEARTBEAT: Final = b": \n\n"

"""The events of one call, on their way from the connection to the call's task."""

from __future__ import annotations

from collections import deque

import msgspec
import trio

from kommutator.errors import CallGone
from kommutator.pbx.ari.codec import ChannelDtmfReceived, Event

_LONGEST = 256


class Resync(Exception):
    """Events were lost (the connection broke, or too many came at once): look at the PBX again."""


class PickUp(msgspec.Struct, frozen=True):
    """An order: a phone that rings shall answer by itself."""

    endpoint: str


Post = Event | PickUp
"""What a call's task is told."""


class Inbox:
    """A bounded queue. When it overflows it is emptied and its reader told to look at the PBX again."""

    def __init__(self) -> None:
        self._events: deque[Post] = deque()
        self._wake = trio.Event()
        self._gone = False
        self._resync = False
        self._interrupted = False

    @property
    def gone(self) -> bool:
        """Whether the caller's channel is gone."""
        return self._gone

    def post(self, event: Post) -> None:
        """Add an event; never blocks."""
        if len(self._events) >= _LONGEST:
            self.ask_resync()
        self._events.append(event)
        self._wake.set()

    def caller_gone(self) -> None:
        """The caller has hung up: from now on every `get` raises `CallGone`."""
        self._gone = True
        self._wake.set()

    def ask_resync(self) -> None:
        """Make the next `get` raise `Resync`; queued events are dropped, except digits."""
        self._events = deque(event for event in self._events if isinstance(event, ChannelDtmfReceived))
        while len(self._events) >= _LONGEST:
            self._events.popleft()
        self._resync = True
        self._wake.set()

    def resynced(self) -> None:
        """The PBX is about to be looked at: what was asked before is answered by that."""
        self._resync = False

    def interrupt(self) -> None:
        """Make the next interruptible `get` return."""
        self._interrupted = True
        self._wake.set()

    async def get(
        self, until: float | None = None, *, even_gone: bool = False, interruptible: bool = False
    ) -> Post | None:
        """The next event; None when trio's clock has reached `until`, or when interrupted.

        Raises `CallGone` when the caller is gone (with `even_gone`, only None at `until`), `Resync` when events were
        lost.
        """
        with trio.CancelScope(deadline=float("inf") if until is None else until):
            while True:
                if self._gone and not even_gone:
                    raise CallGone("the caller has hung up")
                if self._resync:
                    raise Resync
                if self._events:
                    return self._events.popleft()
                if interruptible and self._interrupted:
                    self._interrupted = False
                    return None
                self._wake = trio.Event()
                await self._wake.wait()
        return None

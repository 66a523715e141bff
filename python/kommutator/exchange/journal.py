"""The router's journal, told to the exchange as well: a `Journal` around the one that the router has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from kommutator.exchange.messages import Began, CallEntry, Ended, Turned
from kommutator.exchange.outgoing import OutgoingSpool
from kommutator.routing.doings import CalledBack, Doing
from kommutator.routing.ports import Journal
from kommutator.routing.turn import Event, Turn

_encoder = msgspec.json.Encoder()


class ToldJournal:
    """Puts every entry into the outgoing spool first, and into the router's own journal after.

    In that order a router that is killed between the two has told what it may not know of any more; it then decides the
    same turn again from the state kept with the channel, and tells an entry of the same identity.
    """

    def __init__(
        self, inner: Journal, outgoing: OutgoingSpool, on_entry: Callable[[CallEntry], None] = lambda _: None
    ) -> None:
        """`on_entry` is told of every entry besides."""
        self._inner = inner
        self._outgoing = outgoing
        self._on_entry = on_entry
        self._live: set[str] = set(inner.unfinished())

    def began(self, call_id: str, did: str, caller: str | None, at_ms: int) -> None:
        """A call arrived."""
        if call_id not in self._live:
            self._live.add(call_id)
            self._put(Began(call_id, did, caller, at_ms))
        self._inner.began(call_id, did, caller, at_ms)

    def turned(self, call_id: str, at_ms: int, event: Event | None, turn: Turn) -> None:
        """A turn was decided."""
        self._put(Turned(call_id, at_ms, None if event is None else dict(event), turn))
        self._inner.turned(call_id, at_ms, event, turn)

    def ended(self, call_id: str, at_ms: int, disposition: str, fault: str) -> None:
        """The call is over."""
        if call_id in self._live:
            self._live.discard(call_id)
            self._put(Ended(call_id, at_ms, disposition, fault))
        self._inner.ended(call_id, at_ms, disposition, fault)

    def did(self, doing: Doing) -> None:
        """Somebody did something with an answered call."""
        self._put(doing)
        self._inner.did(doing)

    def unfinished(self) -> Mapping[str, Turn | None]:
        """The calls that go on, with their last turn."""
        return self._inner.unfinished()

    def calls_back(self) -> Mapping[str, CalledBack]:
        """The calls back that are not over."""
        return self._inner.calls_back()

    def _put(self, entry: CallEntry) -> None:
        self._outgoing.append(_encoder.encode(entry))
        self._on_entry(entry)

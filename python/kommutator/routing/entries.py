"""What happened to calls, in the words of a router's spool: as it goes to disk, over the exchange, and into the ledger.

Entries are JSON objects told apart by `kind`. Times are milliseconds of UTC since the epoch. Fields may be added;
readers ignore what they do not know.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from kommutator.errors import BadEntry
from kommutator.routing.doings import Doing
from kommutator.routing.record import CallRecord
from kommutator.routing.turn import Turn


class Began(msgspec.Struct, frozen=True, tag="began", tag_field="kind"):
    """A call arrived."""

    call: str
    did: str
    caller: str | None
    at: int


class Turned(msgspec.Struct, frozen=True, tag="turned", tag_field="kind"):
    """A turn was decided. (call, turn.sequence) is its identity; a resumption repeats one."""

    call: str
    at: int
    event: dict[str, Any] | None
    """What led to it; None for an arrival or a resumption."""
    turn: Turn


class Ended(msgspec.Struct, frozen=True, tag="ended", tag_field="kind"):
    """The call is over."""

    call: str
    at: int
    disposition: str
    """One of the contract's; the ledger refuses any other."""
    fault: str


class Kept(msgspec.Struct, frozen=True, tag="kept", tag_field="kind"):
    """A call that goes on, in a spool that was compacted; never told over the exchange."""

    record: CallRecord

    @property
    def call(self) -> str:
        """The call's id."""
        return self.record.call_id


CallEntry = Began | Turned | Ended | Doing
"""One thing that happened to one call."""
SpoolEntry = CallEntry | Kept
"""One line of a router's spool."""


def recording_key(recording: str) -> str:
    """What a recording is called where names must be safe: in folders and stores. Its own name, as ids of calls usually are."""
    return re.sub(r"[^A-Za-z0-9._~-]", "_", recording)


_decoder: Final[msgspec.json.Decoder[SpoolEntry]] = msgspec.json.Decoder(SpoolEntry)


def read(raw: bytes) -> SpoolEntry:
    """One line of a spool. Raises `BadEntry`."""
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadEntry(f"an entry of a call cannot be read: {error}") from error

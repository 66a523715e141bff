"""The entries of a router's spool, as they arrive at the ledger."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from kommutator.errors import BadEntry
from kommutator.routing.record import CallRecord
from kommutator.routing.turn import Turn


class Began(msgspec.Struct, tag="began", tag_field="kind"):
    """A call arrived."""

    call: str
    did: str
    caller: str | None
    at: int
    """Milliseconds since the epoch."""


class Turned(msgspec.Struct, tag="turned", tag_field="kind"):
    """A turn was decided; (call, turn.sequence) is its identity."""

    call: str
    at: int
    event: dict[str, Any] | None
    turn: Turn


class Ended(msgspec.Struct, tag="ended", tag_field="kind"):
    """The call is over."""

    call: str
    at: int
    disposition: Literal[
        "answered", "voicemail", "abandoned", "no_answer", "busy", "unavailable", "informed", "transferred", "failed"
    ]  # fmt: skip
    fault: Literal["caller", "callee", "pbx", "ours", "none"]


class Kept(msgspec.Struct, tag="kept", tag_field="kind"):
    """A call that goes on, as a compacted spool begins with it."""

    record: CallRecord


class Found(msgspec.Struct, tag="found", tag_field="kind"):
    """A call that went on already when its router began to tell of its calls."""

    call: str
    record: CallRecord


Entry = Began | Turned | Ended | Kept | Found
_decoder = msgspec.json.Decoder(Entry)


def read(raw: bytes) -> Entry:
    """One line of a spool. Raises `BadEntry`."""
    try:
        entry: Entry = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadEntry(f"an entry of a call cannot be read: {error}") from error
    return entry


def call_of(entry: Entry) -> str:
    """The call's id."""
    return entry.record.call_id if isinstance(entry, Kept | Found) else entry.call

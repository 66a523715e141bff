"""How the exchange is used: one typed object, read once."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ExchangeSettings:
    """How a process reaches the exchange, and how long it waits for anything. Durations are in seconds."""

    urls: tuple[str, ...]
    """`nats://host:port`, one for each server of the cluster; of an embedded server, `EmbeddedNats.start` tells it."""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    connect_s: float = 2.0
    """To connect and to look after the streams, each."""
    request_s: float = 2.0
    """For an answer of the server's own: a publication kept, a key written."""
    claim_s: float = 0.25
    """For all answers of other routers to one round's claims; whoever is silent counts as unreachable."""
    lookup_s: float = 2.0
    """For a desk's answer to a question, where the scheme gives no shorter time."""
    order_s: float = 5.0
    """For a router's answer to a desk's order."""
    retry_s: tuple[float, float] = (0.1, 2.0)
    """The first and the longest pause between two attempts to connect."""
    ping_s: float = 2.0
    """How often a silent server is asked for a sign of life; it is given up after two."""
    replicas: int = 1
    """How many servers of a cluster keep each stream."""
    stream_bytes: int = 4 * 1024**3
    """The most that the stream of calls keeps. Beyond it routers keep their entries in their spools."""
    recordings_bytes: int = 2 * 1024**3
    """The most that recordings take on their way to the desk. Beyond it routers keep their files."""


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """The bounds of a router's outgoing spool, in bytes."""

    segment_bytes: int = 8 * 1024**2
    """A file of the spool is closed at this size; it is deleted when all of it has been acknowledged."""
    alarm_bytes: int = 256 * 1024**2
    """An alarm is logged when so much waits, and again at each doubling."""
    most_bytes: int = 4 * 1024**3
    """The oldest file is dropped beyond this, with an alarm; the calls in it are still in the router's own
    `ledger.jsonl`."""
    most_waiting_bytes: int = 64 * 1024**2
    """What is kept in memory while the disk takes nothing; the oldest entry is dropped beyond it, with an alarm."""
    batch_entries: int = 512
    batch_bytes: int = 256 * 1024
    """The most that is sent in one message."""

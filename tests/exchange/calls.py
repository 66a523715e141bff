"""Calls as a router tells of them."""

from collections.abc import Iterator

from kommutator.exchange.journal import ToldJournal
from kommutator.routing.turn import End, Event, Play, Turn


def turns(call: str, count: int) -> Iterator[tuple[Event | None, Turn]]:
    """So many turns, the last of which ends the call."""
    for sequence in range(count):
        last = sequence == count - 1
        action = End("answered", "none") if last else Play("greeting")
        yield None if sequence == 0 else {"type": "played"}, Turn(f"state-{call}-{sequence}", sequence, action)


def tell(journal: ToldJournal, call: str, at_ms: int, count: int = 4) -> int:
    """One whole call; how many entries that are."""
    journal.began(call, "+74951112233", "+79161230099", at_ms)
    for event, turn in turns(call, count):
        journal.turned(call, at_ms, event, turn)
    journal.ended(call, at_ms, "answered", "none")
    return count + 2

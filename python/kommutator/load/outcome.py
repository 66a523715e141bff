"""What became of whole calls, in words of the caller's side that are the same for every kind of target.

A target that is told the router's disposition says it; of others it is what the events of the call say. Where a caller cannot
know who or what has answered him (real calls, by SIP), the outcome says no more than that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

ANSWERED: Final = "answered"
VOICEMAIL: Final = "voicemail"
GIVEN_AWAY: Final = "given away"
ABANDONED: Final = "abandoned"
HUNG_UP: Final = "hung up by us"
PICKED_UP: Final = "somebody or something answered"
_SHORTEST_MESSAGE_S: Final = 1.0
_VOICES: Final = frozenset({"play", "menu", "record", "wait", "answered"})
_OF_DISPOSITIONS: Final[Mapping[str, str]] = {
    "answered": ANSWERED,
    "transferred": GIVEN_AWAY,
    "voicemail": VOICEMAIL,
    "abandoned": ABANDONED,
}

_Json = Mapping[str, Any]


def refused(cause: str) -> str:
    """A call that was refused before anything was heard."""
    return f"refused: {cause}"


def of_disposition(disposition: str, actions: Sequence[_Json]) -> str:
    """The outcome of a call that a router has ended so."""
    return _OF_DISPOSITIONS.get(disposition) or _let_go(actions)


def of_events(actions: Sequence[_Json], events: Sequence[_Json]) -> str:
    """The outcome of a call whose `events[i]` was answered by `actions[i + 1]`."""
    kinds = {event["type"] for event in events}
    if "answered" in kinds:
        return ANSWERED
    if "transferred" in kinds:
        return GIVEN_AWAY
    if any(event["type"] == "recorded" and event.get("seconds", 0) >= _SHORTEST_MESSAGE_S for event in events):
        return VOICEMAIL
    return ABANDONED if "caller_hung_up" in kinds else _let_go(actions)


def _let_go(actions: Sequence[_Json]) -> str:
    """Refused by a cause, where nothing was heard before."""
    cause = next((action.get("cause") for action in reversed(actions) if action["type"] == "hang_up"), None)
    heard = any(action["type"] in _VOICES or action.get("prompt") or action.get("music") for action in actions)
    return HUNG_UP if heard or cause is None else refused(str(cause))

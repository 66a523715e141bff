"""What all adapters of Asterisk share: its words for lines and causes, names of ours in it, and how numbers are dialled."""

from __future__ import annotations

import io
import re
import wave
from typing import Final, Protocol

STATE = "KOMMUTATOR_STATE"
"""Channel variable: the engine's state of the call."""
STARTED = "KOMMUTATOR_STARTED"
"""Channel variable: the sequence of the last turn whose action was begun; tells "finished meanwhile" from "never
begun".
"""
WITHHELD = frozenset({"", "anonymous", "unknown"})
"""What Asterisk has for a caller's number that is withheld (RFC 3323, 4.1.1.3), and AGI for one that is not there."""

CAUSES: Final = {"normal": 16, "busy": 17, "no_answer": 19, "rejected": 21, "congestion": 34, "unallocated": 1}
"""Why a call is hung up, in the contract's words, and as `Hangup()` takes it (Q.850)."""


class Sounds(Protocol):
    """Prompts as the PBX can play them."""

    def media(self, prompt: str, state: str) -> str:
        """The media URI (`sound:/var/lib/…/greeting`, without extension) of a prompt, for a call in this state: of the
        company version that it began on."""
        ...


class DialStrings:
    """How an endpoint of the contract is dialled: the PBX's own form as it is, a number through the trunk."""

    def __init__(self, trunk: str) -> None:
        self._trunk = trunk

    def of(self, endpoint: str) -> str:
        """`PJSIP/101` → itself; `+79161230001` → `PJSIP/+79161230001@trunk` for the trunk pattern
        `PJSIP/{number}@trunk`.
        """
        return self._trunk.replace("{number}", endpoint) if endpoint.startswith("+") else endpoint


_BUSY = frozenset({17})
_DECLINED = frozenset({21})
_NO_ANSWER = frozenset({16, 18, 19, 26})


def end_word(cause: int | None, sip: int | None) -> str:
    """The contract's word for a leg's end, by Q.850 cause (Asterisk's `hangup.h`, and its map from SIP) and by the SIP
    status where one came."""
    if cause in _BUSY or sip in (486, 600):
        return "busy"
    if cause in _DECLINED or sip == 603:
        return "declined"
    return "no_answer" if cause in _NO_ANSWER else "unavailable"


def line_of(device_state: str) -> str:
    """An employee's line by Asterisk's device state. An unknown state is no reason not to ring."""
    match device_state:
        case "INUSE" | "BUSY" | "RINGINUSE" | "ONHOLD":
            return "busy"
        case "RINGING":
            return "ringing"
        case "UNAVAILABLE" | "INVALID":
            return "unreachable"
        case _:
            return "idle"


def recording_name(recording: str) -> str:
    """A recording's name in Asterisk's and our own folder: one safe path segment."""
    return "kt-" + re.sub(r"[^A-Za-z0-9._~-]", "_", recording)


def wav_seconds(content: bytes) -> float:
    """The length of a WAV file, rounded to 10 ms; 0 for what is no WAV file."""
    try:
        with wave.open(io.BytesIO(content)) as reader:
            return round(float(reader.getnframes()) / float(reader.getframerate()), 2)
    except (wave.Error, EOFError):
        return 0.0

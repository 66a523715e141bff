"""What happened in a call of a ledger, for a walk to happen again: see `Engine.walk`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

_FATES = {"answered", "busy", "declined", "unavailable"}
"""What legs and walks call alike; every other leg has rung in vain."""


class Line(msgspec.Struct):
    """What is read of a ledger's line: a call of a router, or of anybody who writes four fields."""

    call_id: str
    did: str
    caller: str | None
    began: datetime


class Passed(msgspec.Struct):
    """A node passed, and why by that exit."""

    why: dict[str, Any]


class Leg(msgspec.Struct):
    """One ringing of one phone."""

    endpoint: str
    outcome: str | None


class Call(Line):
    """The line of a router: what happened, too."""

    ended: datetime
    disposition: str
    trace: list[Passed]
    effects: list[dict[str, Any]]
    legs: list[Leg]


def ms(moment: datetime) -> int:
    """Milliseconds of UTC."""
    return round(moment.timestamp() * 1000)


def outcomes(call: Call) -> dict[str, Any]:
    """What the people of a call did.

    The ledger does not tell of attempts at a menu before the one that was taken, nor when somebody answered.
    """
    known: dict[str, Any] = {"digits": _pressed(call), "phones": _phones(call)}
    for passed in call.trace:
        match passed.why:
            case {"code": "owner_found" | "owner_not_here", "employee": str(employee)}:
                known["owner"] = employee
            case {"code": "owner_unknown"}:
                known["owner"] = ""
            case {"code": "called_before" | "first_call" as code}:
                known["called_before"] = code == "called_before"
            case {"code": "too_short", "seconds": int() | float() as seconds}:
                known["message_s"] = float(seconds)
    for effect in call.effects:
        if effect.get("type") == "voicemail":
            known["message_s"] = float(effect["seconds"])
    if call.disposition == "abandoned":
        known["patience_ms"] = max(0, ms(call.ended) - ms(call.began))
    return known


def _pressed(call: Call) -> list[str]:
    inputs: list[str] = []
    for passed in call.trace:
        match passed.why:
            case {"code": "pressed", "digits": str(digits)}:
                inputs.append(digits)
            case {"code": "wrong_digits", "digits": str(digits), "attempts": int(attempts)}:
                inputs += [digits] * attempts
            case {"code": "silence", "attempts": int(attempts)}:
                inputs += [""] * attempts
    return inputs


def _phones(call: Call) -> dict[str, str]:
    """Each phone's first outcome; but who took the call, takes it. To whom he passed it on, is his choice again."""
    fates: dict[str, str] = {}
    for leg in call.legs:
        fate = leg.outcome if leg.outcome in _FATES else "no_answer"
        if fate == "answered":
            return fates | {leg.endpoint: fate}
        fates.setdefault(leg.endpoint, fate)
    return fates

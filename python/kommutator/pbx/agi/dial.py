"""Asterisk's `Dial()` as far as FastAGI sees it: what it is given, and what became of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from kommutator.pbx.agi.codec import LONGEST_COMMAND
from kommutator.pbx.asterisk import DialStrings, end_word
from kommutator.routing.answers import ended_of, outcome_of
from kommutator.routing.turn import Event

_DIALLABLE = re.compile(r"[A-Za-z0-9]+/[A-Za-z0-9_.+@:;=*#-]+")
"""A technology and what it dials, without anything that `Dial()` would take for a separator."""
_MUSIC = re.compile(r"[A-Za-z0-9_.-]+")
_ROOM = LONGEST_COMMAND - 512
_SIP = re.compile(r"SIP ([0-9]{3})")
_BY_STATUS = {"BUSY": "busy", "CHANUNAVAIL": "unavailable", "CONGESTION": "unavailable"}
"""Everything else is `no_answer`: NOANSWER, CANCEL, and the words of options that are not used."""


class Plan(msgspec.Struct, frozen=True):
    """Whom one `Dial()` rings."""

    endpoints: tuple[str, ...]
    strings: tuple[str, ...]
    """How each is dialled."""
    left_out: tuple[str, ...] = ()
    """Who cannot be dialled so: by what his endpoint is written with, or because there is no more room."""

    @property
    def all(self) -> str:
        """The first argument of `Dial()`."""
        return "&".join(self.strings)

    def endpoint_of(self, number: str) -> str | None:
        """Whose phone answered, by what its channel has as `DIALEDPEERNUMBER`: its dial string after the slash."""
        for endpoint, string in zip(self.endpoints, self.strings, strict=True):
            if string.partition("/")[2] == number:
                return endpoint
        return None


def plan(endpoints: Sequence[str], strings: DialStrings) -> Plan:
    """One `Dial()` for these endpoints."""
    fits: dict[str, str] = {}
    left_out: list[str] = []
    room = _ROOM
    for endpoint in endpoints:
        string = strings.of(endpoint)
        room -= len(string) + 1
        if room >= 0 and _DIALLABLE.fullmatch(string):
            fits[endpoint] = string
        else:
            left_out.append(endpoint)
    return Plan(tuple(fits), tuple(fits.values()), tuple(left_out))


def arguments(plan: Plan, seconds: float, leg_context: str, call_id: str, music: str | None) -> str:
    """What `Dial()` is given. `leg_context` is where a phone goes that answers, before it is connected (`U`); `g` leaves
    the caller to us when the phone hangs up."""
    options = f"gU({leg_context}^{call_id})"
    if music is not None:
        options += f"m({music})" if _MUSIC.fullmatch(music) else "m"
    return f"{plan.all},{max(0.1, seconds):.3f},{options}"


def ended(plan: Plan, status: str, causes: Mapping[str, str]) -> dict[str, str]:
    """How each phone ended that is known to have, by the words of `HANGUPCAUSE(<channel>,tech)` of each channel.

    A channel bears the name of the endpoint that it was made for (`PJSIP/101-0000002f`), and of several that were
    dialled through one trunk the first was made first.
    """
    made = sorted(causes, key=lambda channel: channel.rpartition("-")[2])
    found = dict.fromkeys(plan.left_out, "unavailable")
    for endpoint, string in zip(plan.endpoints, plan.strings, strict=True):
        technology, _, rest = string.partition("/")
        name = f"{technology}/{rest.rpartition('@')[2]}"
        own = [other for other in plan.strings if _channel_of(other) == name]
        channels = [channel for channel in made if channel.rpartition("-")[0] == name]
        if len(own) == len(channels):
            word = _word(causes[channels[own.index(string)]])
            if word is not None:
                found[endpoint] = word
        elif not channels and status not in ("", "ANSWER", "NOANSWER", "CANCEL"):
            found[endpoint] = "unavailable"  # no channel could be made: nobody is registered there
    return found


def _channel_of(string: str) -> str:
    technology, _, rest = string.partition("/")
    return f"{technology}/{rest.rpartition('@')[2]}"


def _word(words: str) -> str | None:
    sip = _SIP.match(words)
    if sip is None:
        return None
    status = int(sip[1])
    if status < 300:
        return None
    return "no_answer" if status in (408, 480, 487) else end_word(None, status)


def outcome(plan: Plan, status: str, ended: Mapping[str, str]) -> Event:
    """The event of a round that nobody answered."""
    phones = len(plan.endpoints) + len(plan.left_out)
    kind = outcome_of(ended, phones) if len(ended) == phones else _BY_STATUS.get(status, "no_answer")
    if status in ("NOANSWER", "CANCEL"):
        kind = "no_answer"
    return {"type": kind, "ended": ended_of(ended)}

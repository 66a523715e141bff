"""What an answered call can go through: the client, his operator, and a guest whom she asks or to whom she leaves him.

The table of transitions, and what the PBX is to make true in each stage. Nothing here performs anything.

    TALKING ─hold─ HELD
       │ consult                         operator leaves
    CALLING ──answered──► PRIVATE ─swap─ WAITING ──────► PASSED: the guest is the client's new partner
       │ operator leaves                                    ▲
       └──────────────► PASSING ───────answered─────────────┘
                           └─ not answered ─► RETURNING ─answered─► TALKING

The operator leaves by hanging up, on her phone or at her desk: that is one and the same.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

import msgspec


class Stage(StrEnum):
    """Where a conversation is."""

    TALKING = "talking"
    """Client and operator talk."""
    HELD = "held"
    """The client hears music."""
    CALLING = "calling"
    """The client hears music, and the operator the ringing of the guest's phone."""
    PRIVATE = "private"
    """The guest has agreed; operator and guest talk, the client hears music."""
    WAITING = "waiting"
    """The guest has agreed and hears music; client and operator talk."""
    PASSING = "passing"
    """The operator has left; the guest's phone rings, and the client hears it."""
    RETURNING = "returning"
    """Nobody took the client; the operator's phone rings again, and the client hears it."""
    PASSED = "passed"
    """The end of this conversation: the client's partner is the guest."""
    OVER = "over"
    """The end of this conversation: the client has nobody any more."""


Happening = Literal[
    "hang_up", "hold", "unhold", "consult", "cancel_consult", "swap", "complete", "transfer", "leave",
    "operator_gone", "operator_up", "guest_up", "guest_ended", "time_up",
]  # fmt: skip
"""An order of the operator, or a fact of the PBX. `leave` is `transfer` to the guest who rings already."""

_S = Stage
TRANSITIONS: Final[dict[tuple[Stage, Happening], Stage]] = {
    (_S.TALKING, "hang_up"): _S.OVER,
    (_S.TALKING, "hold"): _S.HELD,
    (_S.TALKING, "consult"): _S.CALLING,
    (_S.TALKING, "transfer"): _S.PASSING,
    (_S.TALKING, "operator_gone"): _S.OVER,
    (_S.HELD, "hang_up"): _S.OVER,
    (_S.HELD, "unhold"): _S.TALKING,
    (_S.HELD, "consult"): _S.CALLING,
    (_S.HELD, "transfer"): _S.PASSING,
    (_S.HELD, "operator_gone"): _S.OVER,
    (_S.CALLING, "hang_up"): _S.PASSING,
    (_S.CALLING, "leave"): _S.PASSING,
    (_S.CALLING, "operator_gone"): _S.PASSING,
    (_S.CALLING, "cancel_consult"): _S.TALKING,
    (_S.CALLING, "guest_up"): _S.PRIVATE,
    (_S.CALLING, "guest_ended"): _S.TALKING,
    (_S.CALLING, "time_up"): _S.TALKING,
    (_S.PRIVATE, "hang_up"): _S.PASSED,
    (_S.PRIVATE, "complete"): _S.PASSED,
    (_S.PRIVATE, "operator_gone"): _S.PASSED,
    (_S.PRIVATE, "swap"): _S.WAITING,
    (_S.PRIVATE, "cancel_consult"): _S.TALKING,
    (_S.PRIVATE, "guest_ended"): _S.TALKING,
    (_S.WAITING, "hang_up"): _S.PASSED,
    (_S.WAITING, "complete"): _S.PASSED,
    (_S.WAITING, "operator_gone"): _S.PASSED,
    (_S.WAITING, "swap"): _S.PRIVATE,
    (_S.WAITING, "cancel_consult"): _S.TALKING,
    (_S.WAITING, "guest_ended"): _S.TALKING,
    (_S.PASSING, "hang_up"): _S.OVER,
    (_S.PASSING, "cancel_consult"): _S.RETURNING,
    (_S.PASSING, "guest_up"): _S.PASSED,
    (_S.PASSING, "guest_ended"): _S.RETURNING,
    (_S.PASSING, "time_up"): _S.RETURNING,
    (_S.RETURNING, "hang_up"): _S.OVER,
    (_S.RETURNING, "operator_up"): _S.TALKING,
    (_S.RETURNING, "operator_gone"): _S.OVER,
    (_S.RETURNING, "time_up"): _S.OVER,
}
"""Whatever is not here is refused when it is an order, and changes nothing when it is a fact."""

WITH_GUEST: Final = frozenset({_S.CALLING, _S.PRIVATE, _S.WAITING, _S.PASSING, _S.PASSED})
"""The stages that have a guest."""
AGREED: Final = frozenset({_S.PRIVATE, _S.WAITING})
RINGING: Final = frozenset({_S.CALLING, _S.PASSING, _S.RETURNING})
"""The stages in which a phone rings, and has until the arrangement's `until`."""


class Audio(msgspec.Struct, frozen=True):
    """Who hears whom."""

    client: Literal["operator", "music", "ringing"]
    operator: Literal["client", "guest", "ringing", "nothing"]
    guest: Literal["operator", "music", "nothing"] = "nothing"


AUDIO: Final[dict[Stage, Audio]] = {
    _S.TALKING: Audio("operator", "client"),
    _S.HELD: Audio("music", "nothing"),
    _S.CALLING: Audio("music", "ringing"),
    _S.PRIVATE: Audio("music", "guest", "operator"),
    _S.WAITING: Audio("operator", "client", "music"),
    _S.PASSING: Audio("ringing", "nothing"),
    _S.RETURNING: Audio("ringing", "nothing"),
}


class Party(msgspec.Struct, frozen=True):
    """Somebody with a phone."""

    endpoint: str
    employee: str | None = None
    calling: int = 0
    """The number of the conversation's own calling that makes this phone ring; 0: a hunt has, or an earlier
    conversation."""


class Arrangement(msgspec.Struct, frozen=True):
    """What the PBX is to make true. It is kept with the client's channel, for the next router."""

    sequence: int
    """Of the turn whose action this conversation is: what was kept in another conversation holds no more."""
    stage: Stage
    operator: Party
    guest: Party | None = None
    callings: int = 0
    """How many phones this conversation has called."""
    until: int | None = None
    """When a phone that rings has rung for too long, in milliseconds of UTC."""
    reason: str | None = None
    """Why the client returns."""

    @property
    def audio(self) -> Audio:
        """Who hears whom."""
        return AUDIO[self.stage]

    @property
    def parties(self) -> tuple[Party, ...]:
        """Whose phones have a leg in it: exactly these."""
        if self.stage is Stage.PASSING:
            return () if self.guest is None else (self.guest,)
        return (self.operator,) if self.guest is None else (self.operator, self.guest)


class Standing(msgspec.Struct, frozen=True):
    """How the phones of an arrangement are: `calling`, `ringing`, `up`, or how they ended: `busy`, `declined`,
    `no_answer`, `unavailable`, `gone`."""

    operator: str = "calling"
    guest: str | None = None
    held_by_phone: bool = False
    """The operator has put the client on hold by a key of her phone; the PBX plays him music by itself."""
    leaves_to: Party | None = None
    """The operator wants to leave the client to these, by the transfer key of her phone."""


_ALIVE: Final = frozenset({"calling", "ringing", "up"})


def has_ended(phone: str | None) -> bool:
    """Whether a phone's state is an end."""
    return phone is not None and phone not in _ALIVE


def happenings(stage: Stage, before: Standing, now: Standing) -> list[Happening]:
    """What happened between two looks, in an order that takes nothing from anybody who is still there.

    An operator and a guest who both went while nobody watched: in a consultation that was agreed the guest went first,
    and so nothing is passed on to him; while he rang she went first, and the client returns to her.
    """
    found: list[Happening] = []
    operator_ended = has_ended(now.operator) and not has_ended(before.operator)
    guest_ended = has_ended(now.guest) and not has_ended(before.guest)
    if now.guest == "up" != before.guest:
        found.append("guest_up")
    if guest_ended and stage in AGREED:
        found.append("guest_ended")
    if operator_ended:
        found.append("operator_gone")
    elif now.operator == "up" != before.operator:
        found.append("operator_up")
    if guest_ended and stage not in AGREED:
        found.append("guest_ended")
    return found


def end_word(phone: str | None, agreed: bool) -> Literal["declined", "busy", "no_answer", "unreachable", "gone"]:
    """The desk's word for how a guest's phone ended; one who had agreed is `gone`, whatever his phone says."""
    if agreed or phone == "gone":
        return "gone"
    match phone:
        case "declined" | "busy" | "no_answer":
            return phone
        case "unavailable":
            return "unreachable"
        case _:
            return "no_answer"

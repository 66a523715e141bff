"""A turn of the engine as typed values: what the routing loop and the adapters read.

The forms are those of the engine's contract; `Turn.of` reads the engine's own JSON form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

Event = Mapping[str, Any]
"""An event of the contract: `{"type": "played"}` and so on."""


class Endpoint(msgspec.Struct, frozen=True):
    """An address that rings: the PBX's own form (`PJSIP/101`) or an E.164 number that its trunk dials."""

    endpoint: str
    employee: str | None = None


class Play(msgspec.Struct, frozen=True, tag="play"):
    """Play a prompt to its end."""

    prompt: str


class Menu(msgspec.Struct, frozen=True, tag="menu"):
    """Play a prompt and collect digits; a digit barges in."""

    prompt: str
    digits: tuple[str, ...]
    seconds: float
    """From the end of the prompt to a complete input."""
    notice: str | None = None
    """What is played before the prompt: the last attempt was invalid, or silent."""


class Ring(msgspec.Struct, frozen=True, tag="ring"):
    """Make exactly these endpoints ring."""

    endpoints: tuple[Endpoint, ...]
    seconds: float
    """What is left of the round."""
    music: str | None = None
    round: int = 1


class Wait(msgspec.Struct, frozen=True, tag="wait"):
    """Hold the caller until somebody comes free."""

    seconds: float
    music: str | None = None
    announce: str | None = None
    """Played once, as the wait begins."""
    position: int | None = None
    """At a queue: how many stand before the caller, and himself."""


class Record(msgspec.Struct, frozen=True, tag="record"):
    """Play a prompt and record the caller's message."""

    recording: str
    seconds: float
    """The longest message."""
    prompt: str | None = None


class FindOwner(msgspec.Struct, frozen=True, tag="find_owner"):
    """Ask who is responsible for this caller."""

    caller: str
    timeout_ms: int


class FindHistory(msgspec.Struct, frozen=True, tag="find_history"):
    """Ask whether this caller has called before, within so many days when they are given."""

    caller: str
    timeout_ms: int
    days: int | None = None


class CallWebhook(msgspec.Struct, frozen=True, tag="call_webhook"):
    """Let an outside service choose an exit."""

    url: str
    timeout_ms: int
    body: Any = None


class Transfer(msgspec.Struct, frozen=True, tag="transfer"):
    """Give the caller away to an endpoint, which has so long to answer."""

    to: str
    seconds: float = 60


class Talk(msgspec.Struct, frozen=True, tag="talk"):
    """Let the caller talk with the endpoint that answered."""

    endpoint: str


class HangUp(msgspec.Struct, frozen=True, tag="hang_up"):
    """End the call, after a prompt when there is one."""

    cause: str = "normal"
    prompt: str | None = None


class End(msgspec.Struct, frozen=True, tag="end"):
    """The call is over."""

    disposition: str
    fault: str


Action = (
    Play | Menu | Ring | Wait | Record | FindOwner | FindHistory | CallWebhook | Transfer | Talk | HangUp | End
)  # fmt: skip


class EngineTurn(Protocol):
    """What the compiled engine returns, as far as the loop needs it."""

    def to_dict(self) -> dict[str, Any]:
        """The turn's JSON form."""
        ...


class Turn(msgspec.Struct, frozen=True):
    """One turn: the state to keep with the channel, the action to perform now, and what was decided on the way."""

    state: str
    """base64url without padding, at most 684 characters."""
    sequence: int
    """0 at the arrival, one more for each event; ids of playbacks, legs and recordings derive from it."""
    action: Action
    effects: tuple[dict[str, Any], ...] = ()
    trace: tuple[dict[str, Any], ...] = ()
    rounds: tuple[dict[str, Any], ...] = ()
    scheme: str | None = None
    """The scheme in which the call is, when the engine tells."""

    @property
    def kind(self) -> str:
        """The action's type in the contract."""
        return str(self.action.__struct_config__.tag)

    @classmethod
    def of(cls, turn: EngineTurn) -> Turn:
        """The typed form of an engine's turn. Raises `msgspec.ValidationError` when it is not of the contract."""
        return msgspec.convert(turn.to_dict(), cls)

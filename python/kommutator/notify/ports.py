"""What the sender needs from outside: the outbox that notices come from, and the channels that they leave by.

A notice is *claimed*, then *handed over* to a channel, which says what became of it. The mark of the handing over is written before
the channel is called: a mark without an outcome is a **doubt**, the notice may have left and may not. Everything else follows:
what certainly did not leave is repeated, what certainly left is never repeated, and doubts are counted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

ChannelName = Literal["sms", "email"]


class Sms(msgspec.Struct, frozen=True, tag="sms", tag_field="kind"):
    """A text for a telephone."""

    text: str


class Letter(msgspec.Struct, frozen=True, tag="email", tag_field="kind"):
    """A letter."""

    text: str
    subject: str | None = None


class Voicemail(msgspec.Struct, frozen=True, tag="voicemail", tag_field="kind"):
    """A message that a caller left, for somebody's mailbox."""

    recording: str
    """The recording's name."""
    seconds: float
    caller: str | None
    """E.164; None when withheld."""
    did: str | None
    at_ms: int
    """When it was left."""


Content = Sms | Letter | Voicemail
"""What is in a notice; `msgspec.convert(payload, Content)` reads it from the outbox's JSON."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice for one recipient, as a sender claimed it."""

    id: str
    """The effect's identity, and what tells its recipients apart where it has several."""
    recipient: str
    """E.164, or an e-mail address."""
    content: Content
    created_at_ms: int
    attempt: int = 1
    """Counted from 1; tells this claim from another of the same notice."""
    doubts: int = 0
    """How often it was handed over before without anybody knowing what became of it."""
    parts: frozenset[int] = frozenset()
    """The parts that a channel has accepted already, counted from 1: they are not sent again."""
    call_id: str | None = None


class Outbox(Protocol):
    """Where notices wait. Every method commits before it returns, and may raise `DatabaseUnreachable`."""

    async def claim(self, channel: ChannelName, limit: int, now_ms: int) -> Sequence[Notice]:
        """Take notices that are due, at most one a recipient: the first that is neither sent nor given up. No other sender gets them
        until their lease ends."""
        ...

    async def next_due_ms(self, channel: ChannelName) -> int | None:
        """When a notice is due next that `claim` would give then; None when none waits."""
        ...

    async def hand_over(self, notice: Notice, until_ms: int) -> bool:
        """Mark the notice as handed over (one doubt more), and hold the claim until `until_ms`.

        False when the claim was lost meanwhile: then it must be left alone.
        """
        ...

    async def accepted(self, notice: Notice, part: int, provider_id: str | None, now_ms: int) -> None:
        """The channel accepted a part; `provider_id` is how receipts will name it. Idempotent."""
        ...

    async def sent(self, notice: Notice, now_ms: int) -> None:
        """All parts were accepted. Final, but for receipts."""
        ...

    async def again(self, notice: Notice, at_ms: int, reason: str, *, doubtful: bool) -> None:
        """It did not leave, and is due again at `at_ms`; the mark of the handing over is taken back unless `doubtful`."""
        ...

    async def failed(self, notice: Notice, reason: str, now_ms: int) -> None:
        """It is given up. Final."""
        ...

    async def receipt(self, channel: ChannelName, receipt: Receipt, now_ms: int) -> str | None:
        """What the provider says of a part, which may be told before `accepted` is; the notice's id where it is known."""
        ...


# --- channels


@dataclass(frozen=True, slots=True)
class Sent:
    """The channel took the whole notice."""


@dataclass(frozen=True, slots=True)
class Later:
    """The notice certainly did not leave, and may if tried again."""

    reason: str
    after_s: float | None = None
    """The channel's own wish; None leaves it to the sender's back-off."""
    channel_s: float | None = None
    """Nothing at all can leave by this channel for so long: it is throttled, unreachable, or refuses our credentials."""


@dataclass(frozen=True, slots=True)
class Doubtful:
    """The notice may have left: the answer was lost."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The channel will never take this notice."""

    reason: str


Outcome = Sent | Later | Doubtful | Refused


@dataclass(frozen=True, slots=True)
class Receipt:
    """A provider's word on what became of a part after it was accepted."""

    provider_id: str
    delivered: bool
    error: str | None = None


Accepted = Callable[[int, str | None], Awaitable[None]]
"""A channel tells of each part as it is accepted: its number, counted from 1, and the provider's id of it."""
Told = Callable[[Receipt], Awaitable[None]]


class Channel(Protocol):
    """A way out. Its methods raise nothing that an operator can cause: every trouble is an outcome."""

    @property
    def recognises_repeats(self) -> bool:
        """Whether a notice that is handed over twice reaches its recipient once, or is known there as the same."""
        ...

    @property
    def attempt_s(self) -> float:
        """How long one `deliver` may take."""
        ...

    async def run(self, told: Told) -> None:
        """Keep what the channel needs, such as a connection, until cancelled. A channel that needs nothing returns."""
        ...

    async def turn(self) -> None:
        """Wait, some seconds at most, until the next notice could leave at once. What still waits here was not handed over: it is in
        no doubt when the process dies."""
        ...

    async def deliver(self, notice: Notice, accepted: Accepted) -> Outcome:
        """Hand one notice over, less the parts that were accepted before. When cancelled, nothing more leaves."""
        ...

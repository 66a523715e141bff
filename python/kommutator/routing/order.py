"""An order of a desk, and how it went: messages that travel over the exchange."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

OrderKind = Literal[
    "answer", "hang_up", "hold", "unhold", "consult", "cancel_consult", "swap", "complete", "transfer", "call_back"
]


class Order(msgspec.Struct, frozen=True):
    """What a desk wants done with a call, within its deadline. `order` is its identity: given twice, it is done once."""

    order: str
    kind: OrderKind
    by: str
    """The employee who orders."""
    until: int
    """The order is refused as `too_late` when it is read after this moment."""
    call: str | None = None
    """The call; None only for `call_back`."""
    employee: str | None = None
    """Of `consult` and `transfer`: to whom."""
    endpoint: str | None = None
    """Of `consult` and `transfer`: where, when it is no employee's phone."""
    number: str | None = None
    """Of `call_back`: whom."""


class OrderDone(msgspec.Struct, frozen=True):
    """How it went."""

    order: str
    done: bool
    reason: str | None = None
    """Why not, in the words of `kommutator.routing.orders`, or `too_late`: not answered within the deadline, in which
    case it may have been done all the same."""
    state: dict[str, Any] = {}
    """What the call is like now, for the desk to show."""

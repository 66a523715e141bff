"""What people do with a call once it is answered, as entries of the journal: for the ledger, and for the desks' screens."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

CALL_BACK: Final = "back-"
"""What the id of a call back begins with."""

GuestState = Literal[
    "calling", "ringing", "agreed", "declined", "busy", "no_answer", "unreachable", "gone", "cancelled"
]  # fmt: skip


class Consulted(msgspec.Struct, frozen=True, tag="consulted", tag_field="kind"):
    """A consultation is in this state now."""

    call: str
    at: int
    """Milliseconds of UTC since the epoch."""
    by: str | None
    """The operator; None where it is not known whose phone it is."""
    employee: str | None
    endpoint: str
    """Who is asked, and where."""
    state: GuestState
    """`gone`: he had agreed, and has hung up; `cancelled`: the operator went back to the client."""
    talks_with: Literal["client", "manager"] | None = msgspec.field(name="with", default=None)
    """With whom the operator talks; None while nobody has answered."""


class Held(msgspec.Struct, frozen=True, tag="held", tag_field="kind"):
    """The client was put on hold, or taken back."""

    call: str
    at: int
    by: str | None
    held: bool
    by_phone: bool = False
    """By a key of the phone: only the phone can take the client back."""


class PassedOn(msgspec.Struct, frozen=True, tag="passed_on", tag_field="kind"):
    """The operator leaves the client to somebody else."""

    call: str
    at: int
    by: str | None
    employee: str | None
    endpoint: str
    """To whom."""
    how: Literal["consulted", "blind"]
    state: Literal["ringing", "passed", "returning", "returned", "lost"]
    """`ringing`: blind, and not answered yet; `returning`: nobody took the client, and the operator's phone rings
    again; `returned`: she has him; `lost`: she did not answer either, and the client was let go."""
    reason: str | None = None
    """Of `returning`, why: `declined`, `busy`, `no_answer`, `unreachable`, `cancelled`."""


class CalledBack(msgspec.Struct, frozen=True, tag="called_back", tag_field="kind"):
    """A call to a client, from an employee's own phone. It is no incoming call, and has no line in the ledger."""

    call: str
    """`CALL_BACK` and the order's identity."""
    at: int
    by: str
    number: str
    state: Literal["ringing", "calling", "talking", "over"]
    """`ringing`: the employee's phone; `calling`: the client's."""
    reason: str | None = None
    """Of `over`, when nobody talked: `employee_…` or `client_…`, with `busy`, `declined`, `no_answer`, `unreachable` or
    `gone`; `cancelled`; `failed`; `no_router`, which desks tell of one whose router is dead."""


Doing = Consulted | Held | PassedOn | CalledBack

"""What is to be done with a call, and how that went."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from kommutator.desk.forms import Form, Id, Name, Spelling, View
from kommutator.desk.live.forms import Card

OrderId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{8,64}$")]


class OrderForm(Form):
    """An order of the employee who has the call, or whose phone it rings."""

    order: OrderId = Field(examples=["5b0e6f52-7a3c-4b7c-8f6b-3f2f7f0d7a11"])
    """Its identity: sent again, it is done once."""
    kind: Literal["answer", "hang_up", "hold", "unhold", "consult", "cancel_consult", "swap", "complete", "transfer"]
    employee: Name | None = None
    """Of `consult` and `transfer`: to whom…"""
    endpoint: Name | None = Field(None, max_length=100)
    """…or where, when it is no employee's phone: an endpoint of the PBX or an E.164 number."""


class CallBackForm(Form):
    """Whom to call back: one's own phone rings, then the client's."""

    order: OrderId
    """Its identity: sent again, it is done once."""
    number: Spelling
    missed_id: Name | None = None
    """The missed call because of which it is…"""
    client_id: Id | None = None
    """…or the client who is called."""


class Ordered(View):
    """How it went."""

    done: bool
    reason: str | None = Field(
        examples=["wrong_state"],
        description=(
            "Why not: `unknown_call`, `not_yours`, `wrong_state`, `held_by_phone`, `not_supported`, `busy`, `unreachable`, "
            "`declined`, `no_answer`, `unknown_employee`, `bad_target`, `bad_number`, `taken`, `gone`, `too_many`, `failed`; "
            "`too_late` and `no_answer` when nobody said within 5 s, and it may have been done; `no_router` when no "
            "router holds the call now."
        ),
    )
    card: Card | None
    """The call at one's own desk after it."""


class CallBackOrdered(View):
    """How it went; when it is done, one's phone rings, and events `call_back` tell the rest."""

    done: bool
    reason: str | None

"""The floor as it goes out, and presence as it comes in."""

from __future__ import annotations

from typing import Literal

from kommutator.desk.forms import Form, Moment, View

Presence = Literal["present", "away", "offline"]


class PresenceForm(Form):
    """Whether somebody is at the workplace."""

    presence: Presence


class EmployeeFacts(View):
    """What is known of one employee now."""

    employee: str
    presence: str | None
    """`present`, `away` or `offline`; null: nobody has told."""
    presence_at: Moment | None
    """When it became so."""
    line: str | None
    """`idle`, `ringing`, `busy`, `wrap_up` or `unreachable`; null: nobody has told."""
    line_at: Moment | None


class Floor(View):
    """All employees."""

    connected: bool
    """False: the exchange cannot be reached, and the facts are as they were last told."""
    items: list[EmployeeFacts]

"""Contacts as they come in and go out."""

from __future__ import annotations

from pydantic import Field

from kommutator.crm.interactions import Kind
from kommutator.desk.forms import Form, Line, Moment, Name, Text, View


class Note(Form):
    """What is noted of a client."""

    topic: Line = Field("", examples=["Встреча"])
    body: Text = ""
    call_id: Name | None = Field(None, max_length=64)
    """The call that it was: noted again, it is one contact, and the last words count."""


class Interaction(View):
    """One contact with a client."""

    id: int
    client_id: int
    kind: Kind
    call_id: str | None
    employee: str | None
    topic: str
    body: str
    at: Moment

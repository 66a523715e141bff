"""Half-filled wizards as they come in and go out."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from kommutator.desk.forms import MAX_ID, Form, Moment, Name, Text, View

_FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,64}$")]
_Integer = Annotated[int, Field(ge=-MAX_ID, le=MAX_ID)]
_Scalar = Text | _Integer | bool | None
_Value = _Scalar | Annotated[list[_Scalar], Field(max_length=100)]


class DraftForm(Form):
    """What was typed up to now."""

    call_id: Name | None = Field(None, max_length=64)
    fields: Annotated[dict[_FieldName, _Value], Field(max_length=100)] = Field(examples=[{"topic": "Насосы"}])
    """By the page's own names."""
    revision: Annotated[int, Field(ge=0, le=MAX_ID)]
    """The page's own count: a late request never covers a newer one."""


class WizardDraft(View):
    """A half-filled wizard."""

    id: str
    call_id: str | None
    fields: dict[str, Any]
    revision: int
    created_at: Moment
    updated_at: Moment


class WizardDrafts(View):
    """All of one user, the oldest first."""

    items: list[WizardDraft]

"""Recordings as they go out."""

from __future__ import annotations

from kommutator.crm.recordings import Kind
from kommutator.desk.forms import Moment, View


class Recording(View):
    """A recording."""

    name: str
    kind: Kind
    call_id: str
    seconds: float
    assign: str | None
    """The employee or department whom it is for."""
    at: Moment
    bytes: int | None
    media_type: str | None
    stored_at: Moment | None
    """When its sound arrived here; null: it is on its way."""
    heard_at: Moment | None
    heard_by: str | None
    expired_at: Moment | None
    """When its sound was deleted, by the company's rule of how long it is kept."""

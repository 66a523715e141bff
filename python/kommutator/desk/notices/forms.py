"""Notices as they go out."""

from __future__ import annotations

from typing import Any

from kommutator.crm.outbox import Channel, State
from kommutator.desk.forms import Moment, Name, View
from kommutator.desk.paging import PageQuery


class NoticesQuery(PageQuery):
    """Which notices."""

    state: State | None = None
    call_id: Name | None = None
    """Of this call, all at once."""


class Notice(View):
    """A notice, and what became of it."""

    id: str
    channel: Channel
    recipient: str
    payload: dict[str, Any]
    """Its words, or the recording that it carries."""
    call_id: str | None
    state: State
    attempts: int
    created_at: Moment
    next_at: Moment
    """While it waits: when it is tried next."""
    sent_at: Moment | None
    finished_at: Moment | None
    last_error: str | None


class NoticeCounts(View):
    """How many wait, and how many were given up."""

    counts: dict[str, int]
    """By `channel/state`."""

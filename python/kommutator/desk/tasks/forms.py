"""Tasks as they go out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from kommutator.crm.tasks import Kind
from kommutator.desk.forms import Form, Moment, Name, View


class TasksQuery(Form):
    """Whose tasks. Without `assigned`: of the employee who asks, and of his department."""

    assigned: Name | None = None
    """An employee or a department; of others only a supervisor may ask."""
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class Task(View):
    """Something to be done."""

    id: str
    kind: Kind
    call_id: str
    assign: str
    """An employee or a department; empty when nobody was known."""
    title: str
    at: Moment
    closed_at: Moment | None
    closed_by: str | None
    missed_id: str | None
    """The missed call that made it: the one is done when the other is."""


class Tasks(View):
    """Tasks that wait, the newest first."""

    items: list[Task]

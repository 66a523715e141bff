"""Interests as they come in and go out."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from kommutator.crm import clients, interests
from kommutator.crm.interests import OPEN, Status
from kommutator.desk.clients.brief import ClientBrief
from kommutator.desk.forms import Form, Id, Line, Moment, Name, Text, View
from kommutator.desk.paging import PageQuery

Asked = Literal["open", "closed", "new", "active", "won", "lost"]
_STATUSES: Final[dict[str, tuple[Status, ...]]] = {"open": OPEN, "closed": ("won", "lost")}


class InterestForm(Form):
    """What can be written of an interest. An employee or a department is responsible."""

    topic: Line = Field("", examples=["Насосы для котельной"])
    to_do: Text = Field("", examples=["Перезвонить с ценами"])
    service_type: Name | None = None
    assignee: Name | None = None
    """The employee responsible."""
    department: Name | None = None
    """Where nobody in person is responsible: somebody there will take it."""
    status: Status = "new"
    due_at: Moment | None = None

    def draft(self) -> interests.Draft:
        """As the memory takes it."""
        return interests.Draft(
            self.topic, self.to_do, self.service_type, self.assignee, self.department, self.status, self.due_at
        )


class InterestChange(InterestForm):
    """All of an interest as it is to be."""

    comment: Text = ""
    """Why, for its history."""


class NewInterest(InterestForm):
    """An interest of a client who is known."""

    client_id: Id


class InterestsQuery(PageQuery):
    """Which interests."""

    mine: bool = False
    """Only those of the employee who asks."""
    assignee: Name | None = None
    department: Name | None = None
    client_id: Id | None = None
    service_type: Name | None = None
    status: Asked | None = None

    @property
    def statuses(self) -> tuple[Status, ...] | None:
        """Those that are meant."""
        return None if self.status is None else _STATUSES.get(self.status, (self.status,))  # type: ignore[arg-type]


class Interest(View):
    """An interest."""

    id: int
    client_id: int
    client: ClientBrief | None
    interaction_id: int | None
    """The contact that it came from."""
    topic: str
    to_do: str
    service_type: str | None
    assignee: str | None
    department: str | None
    status: Status
    due_at: Moment | None
    created_by: str
    created_at: Moment
    updated_at: Moment
    revision: int

    @classmethod
    def of(cls, found: interests.Interest, client: clients.Brief | None = None) -> Interest:
        """As the memory has it."""
        return cls(
            id=found.id,
            client_id=found.client_id,
            client=None if client is None else ClientBrief.of(client),
            interaction_id=found.interaction_id,
            topic=found.topic,
            to_do=found.to_do,
            service_type=found.service_type,
            assignee=found.assignee,
            department=found.department,
            status=found.status,
            due_at=found.due_at,
            created_by=found.created_by,
            created_at=found.created_at,
            updated_at=found.updated_at,
            revision=found.revision,
        )


class Interests(View):
    """Interests, in the order of a workplace."""

    items: list[Interest]


class WorkplaceQuery(Form):
    """How much of a workplace."""

    limit: Annotated[int, Field(ge=1, le=500)] = 200


class InterestStep(View):
    """One change of an interest."""

    revision: int
    at: Moment
    actor: str
    changes: dict[str, list[Any]]
    """Of each field that changed: its value before and after."""
    comment: str


class InterestHistory(View):
    """All changes of an interest, the first first."""

    items: list[InterestStep]

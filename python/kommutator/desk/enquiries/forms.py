"""Enquiries as they come in."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from kommutator.crm import enquiries, interests
from kommutator.desk.clients.forms import ClientForm
from kommutator.desk.forms import Form, Id, Line, Moment, Name, Text, View
from kommutator.desk.interests.forms import Interest


class EnquiryForm(Form):
    """All that the wizard has. Either `client_id` or `client` is given, and an assignee or a department."""

    client_id: Id | None = None
    """The client who was found…"""
    client: ClientForm | None = None
    """…or the new one."""
    topic: Line = Field("", examples=["Насосы для котельной"])
    to_do: Text = Field("", examples=["Перезвонить с ценами"])
    service_type: Name | None = None
    assignee: Name | None = None
    """The manager chosen."""
    department: Name | None = None
    """Without a manager: of this department the one with the fewest open interests gets it."""
    due_at: Moment | None = None
    call_id: Name | None = Field(None, max_length=64)
    """The call in which it was taken down."""
    at: Moment | None = None
    """When the contact was; not given: now."""

    @model_validator(mode="after")
    def _one_client(self) -> Self:
        if (self.client_id is None) == (self.client is None):
            raise ValueError("give either client_id or client")
        return self


class Accepted(View):
    """What became of an enquiry."""

    interest: Interest
    new: bool
    """False: it had been accepted before, and nothing was changed."""


def enquiry(form: EnquiryForm, key: str, employee: str | None) -> enquiries.Enquiry:
    """As the memory takes it."""
    interest = interests.Draft(
        form.topic, form.to_do, form.service_type, form.assignee, form.department, "new", form.due_at
    )
    client = None if form.client is None else form.client.draft()
    return enquiries.Enquiry(key, interest, form.client_id, client, form.call_id, employee, form.at)

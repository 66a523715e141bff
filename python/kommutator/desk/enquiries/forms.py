"""Enquiries as they come in."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from kommutator.crm import enquiries, interests
from kommutator.desk.clients.forms import ClientForm
from kommutator.desk.forms import MAX_ID, Form, Id, Line, Moment, Name, Spelling, Text, View
from kommutator.desk.interests.forms import Interest


class CorrectionsForm(Form):
    """What the operator has corrected of a client who is known; what is not given stays."""

    name: Line | None = None
    organisation: Line | None = None
    email: Line | None = None
    number: Spelling | None = None
    """One more, unless he has it."""
    notes: Text = ""
    """What was learnt of him: put below what is noted already."""


class EnquiryForm(Form):
    """All that the wizard has. One of `client_id`, `client` and `interest_id` is given; without `interest_id`, an assignee or a
    department."""

    client_id: Id | None = None
    """The client who was found…"""
    client: ClientForm | None = None
    """…or the new one…"""
    interest_id: Id | None = None
    """…or the interest that goes on: what is empty here stays as it is there."""
    interest_revision: Annotated[int, Field(ge=0, le=MAX_ID)] | None = None
    """The revision of it that was seen."""
    corrections: CorrectionsForm = CorrectionsForm()
    """Of a client who is known."""
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
        if [self.client_id, self.client, self.interest_id].count(None) != 2:
            raise ValueError("give one of client_id, client and interest_id")
        if (self.interest_id is None) != (self.interest_revision is None):
            raise ValueError("give interest_id and interest_revision together")
        if self.client is not None and self.corrections != CorrectionsForm():
            raise ValueError("a new client has nothing to be corrected")
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
    continues = None
    if form.interest_id is not None and form.interest_revision is not None:
        continues = enquiries.Continued(form.interest_id, form.interest_revision)
    corrections = enquiries.Corrections(**form.corrections.model_dump())
    return enquiries.Enquiry(
        key, interest, form.client_id, client, form.call_id, employee, form.at, continues, corrections
    )

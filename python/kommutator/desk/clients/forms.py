"""Clients as they come in and go out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from kommutator.crm import clients
from kommutator.crm.clients import MAX_NUMBERS, Kind
from kommutator.desk.clients.brief import ClientBrief
from kommutator.desk.forms import E164, Form, Id, Line, Moment, Name, Spelling, Text, View
from kommutator.desk.interactions.forms import Interaction
from kommutator.desk.interests.forms import Interest
from kommutator.desk.numbers import national


class ClientForm(Form):
    """What can be written of a client."""

    kind: Kind = "person"
    name: Line = Field("", examples=["Анна Петрова"])
    organisation: Line = Field("", examples=["ООО «Ромашка»"])
    """The company that a person named."""
    numbers: Annotated[list[Spelling], Field(max_length=MAX_NUMBERS)] = Field([], examples=[["8 916 123-45-67"]])
    """In any spelling; the first is the main one."""
    email: Line = Field("", examples=["anna@example.com"])
    notes: Text = ""
    owner: Name | None = None
    """The employee responsible."""
    member_of: Id | None = None
    """The client that is this person's company."""

    def draft(self) -> clients.Draft:
        """As the memory takes it."""
        return clients.Draft(
            self.kind, self.name, self.organisation, tuple(self.numbers), self.email, self.notes, self.owner,
            self.member_of,
        )  # fmt: skip


class Search(Form):
    """What was typed."""

    q: Line
    """A number in any spelling, three or more of its first or last digits, or beginnings of words."""
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class Merge(Form):
    """Who is the same client."""

    merged: Id
    """This one goes into the other, and leads to it from then on."""


class ClientNumber(View):
    """A number of a client."""

    number: E164
    national: str = Field(examples=["8 (916) 123-45-67"])
    """As it is written in its country, to be read."""


class Client(View):
    """A client."""

    id: int
    kind: Kind
    name: str
    organisation: str
    numbers: list[ClientNumber]
    email: str
    notes: str
    owner: str | None
    member_of: int | None
    last_contact_at: Moment | None
    merged_into: int | None
    """Not null: this client is now that one."""
    revision: int
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(cls, found: clients.Client) -> Client:
        """As the memory has it."""
        return cls(
            id=found.id,
            kind=found.kind,
            name=found.name,
            organisation=found.organisation,
            numbers=[ClientNumber(number=number, national=national(number)) for number in found.numbers],
            email=found.email,
            notes=found.notes,
            owner=found.owner,
            member_of=found.member_of,
            last_contact_at=found.last_contact_at,
            merged_into=found.merged_into,
            revision=found.revision,
            created_at=found.created_at,
            updated_at=found.updated_at,
        )


class ClientCard(View):
    """A client with what is known of him: as much as one glance takes in."""

    client: Client
    owner_name: str | None
    company: ClientBrief | None
    """The client that is this person's company."""
    members: list[ClientBrief]
    """The people of this company; at most fifty."""
    interests: list[Interest]
    """Open ones first; at most twenty."""
    interactions: list[Interaction]
    """The last ten contacts."""


class Clients(View):
    """What a search found, the best first."""

    items: list[Client]

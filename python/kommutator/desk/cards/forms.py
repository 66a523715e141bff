"""Changes of cards as they come in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from kommutator.company.cards import Changes, Section, Value
from kommutator.desk.forms import MAX_NUMBER, Form, Line, Name

CardId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"), Field(examples=["anna"])]
"""An id of the company document: it never changes."""
_ServiceTypes = Annotated[list[CardId], Field(max_length=500)]


class EmployeeCard(Form):
    """All that the card of an employee says; what is null is not in it."""

    name: Name = Field(examples=["Анна Смирнова"])
    department: CardId | None = None
    rank: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None = None
    """Who is rung first: the lowest."""
    endpoint: Name | None = Field(None, examples=["PJSIP/101"])
    mobile: Name | None = Field(None, examples=["+79161230001"])
    email: Name | None = None


class DepartmentCard(Form):
    """A department with the service types that it provides."""

    name: Name
    service_types: _ServiceTypes = []


class ServiceTypeCard(Form):
    """What clients ask for."""

    name: Name


class CardChanges(Form):
    """Cards that are written whole, by id, and cards that are removed."""

    base: Annotated[int, Field(ge=1, le=MAX_NUMBER)]
    """The active version that was seen: 412 when it is another by now."""
    comment: Line = ""
    employees: Annotated[dict[CardId, EmployeeCard | None], Field(max_length=5_000)] = {}
    """Null: the card is removed."""
    departments: Annotated[dict[CardId, DepartmentCard | None], Field(max_length=500)] = {}
    service_types: Annotated[dict[CardId, ServiceTypeCard | None], Field(max_length=500)] = {}

    def changes(self) -> Changes:
        """As the document's writer takes them."""
        written: dict[Section, dict[str, dict[str, Value]]] = {}
        removed: dict[Section, frozenset[str]] = {}
        sections: tuple[Section, ...] = ("employees", "departments", "service_types")
        for section in sections:
            cards: dict[str, Form | None] = getattr(self, section)
            written[section] = {id: card.model_dump() for id, card in cards.items() if card is not None}
            removed[section] = frozenset(id for id, card in cards.items() if card is None)
        return Changes(written, removed)

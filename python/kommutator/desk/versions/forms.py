"""Versions as they come in and go out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field

from kommutator.company.editing import Card, Changes, Section
from kommutator.desk.forms import MAX_NUMBER, Form, Line, Moment, Name, View

_SECTIONS: Final[tuple[Section, ...]] = get_args(Section)


class ImportQuery(Form):
    """What is imported."""

    comment: Line = ""
    """What is different, for the history."""
    base: Annotated[int, Field(ge=1, le=MAX_NUMBER)] | None = None
    """The version that this one was made from: 412 when a newer one was kept meanwhile."""


class Comment(Form):
    """Why."""

    comment: Line = ""


class EmployeeCard(Form):
    """Fields of an employee's card to be set; null takes a field out, what is not given stays."""

    name: Name | None = None
    department: Name | None = None
    rank: Annotated[int, Field(ge=-1_000_000, le=1_000_000)] | None = None
    endpoint: Name | None = None
    mobile: Name | None = None
    email: Name | None = None
    pbx: Name | None = None
    """The PBX of his phone, where there are several."""
    softphone: bool | None = None
    """His phone is the browser; it needs an endpoint."""


class DepartmentCard(Form):
    """Fields of a department's card to be set."""

    name: Name | None = None
    service_types: Annotated[list[Name], Field(max_length=200)] | None = None
    """All that it provides."""


class ServiceTypeCard(Form):
    """Fields of a service type's card to be set."""

    name: Name | None = None


class CardsForm(Form):
    """Which cards change, by id: null takes a card out, an unknown id makes one. At most fifty of a kind."""

    employees: Annotated[dict[Name, EmployeeCard | None], Field(max_length=50)] = Field(
        {}, examples=[{"anna": {"name": "Анна Орлова", "mobile": None}}]
    )
    departments: Annotated[dict[Name, DepartmentCard | None], Field(max_length=50)] = Field({})
    service_types: Annotated[dict[Name, ServiceTypeCard | None], Field(max_length=50)] = Field({})
    comment: Line = ""
    activate: bool = False
    """Activate it at once, when this version is the active one still (412: it is not), and the check finds no error."""

    def changes(self) -> Changes:
        """As the document is changed."""
        found: dict[Section, dict[str, Card | None]] = {}
        for section in _SECTIONS:
            cards: Mapping[str, Form | None] = getattr(self, section)
            if cards:
                found[section] = {
                    id: None if card is None else {name: getattr(card, name) for name in card.model_fields_set}
                    for id, card in cards.items()
                }
        return found


class Version(View):
    """A version of the company document; it never changes."""

    number: int
    author: str
    comment: str
    created_at: Moment
    ok: bool
    """Whether its check found no error when it was imported. One with errors cannot be activated."""
    active: bool


class Finding(View):
    """What the check says."""

    code: str
    severity: Literal["error", "warning", "note"]
    scheme: str | None = None
    node: str | None = None
    file: str | None = None
    line: int | None = None
    message: str
    path: list[Any] = Field([])
    """The way through the scheme that shows it."""
    steps: Any = None
    witness: Any = None
    intervals: Any = None


class Report(View):
    """The check of a document, as `kommutator check --json` has it."""

    ok: bool
    findings: list[Finding]
    schemes: dict[str, dict[str, Any]]
    """Of each scheme `longest_seconds`: the longest time until a call ends or is answered."""


class Imported(View):
    """What became of a document."""

    version: Version
    new: bool
    """False: it is the newest version already."""
    report: Report


class VersionFile(View):
    """A file of a version."""

    path: str
    bytes: int


class VersionFiles(View):
    """The files of a version by path."""

    items: list[VersionFile]


class Activation(View):
    """A moment at which another version became the active one."""

    id: int
    version: int
    undoes: int | None
    """The activation that this rollback took back."""
    author: str
    comment: str
    at: Moment


class Activations(View):
    """Activations, the newest first."""

    items: list[Activation]


class DiffChange(View):
    """One value that is different."""

    at: list[str]
    """The keys that lead to it in the engine document."""
    before: Any
    after: Any


class VersionDiff(View):
    """What is different between two versions."""

    text: str
    """A unified diff of the files."""
    changes: list[DiffChange]

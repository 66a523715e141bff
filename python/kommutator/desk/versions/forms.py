"""Versions as they come in and go out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from kommutator.desk.forms import MAX_NUMBER, Form, Line, Moment, View


class ImportQuery(Form):
    """What is imported."""

    comment: Line = ""
    """What is different, for the history."""
    base: Annotated[int, Field(ge=1, le=MAX_NUMBER)] | None = None
    """The version that this one was made from: 412 when a newer one was kept meanwhile."""


class Comment(Form):
    """Why."""

    comment: Line = ""


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

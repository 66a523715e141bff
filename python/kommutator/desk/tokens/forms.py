"""Tokens as they come in and go out."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from kommutator.crm.accounts import SCOPES
from kommutator.desk.forms import Form, Moment, Name, View


def _known(scope: str) -> str:
    if scope not in SCOPES:
        raise ValueError("there is no such scope")
    return scope


Scope = Annotated[str, AfterValidator(_known), Field(json_schema_extra={"enum": sorted(SCOPES)})]


class TokenForm(Form):
    """A new token."""

    name: Name = Field(examples=["1C"])
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(SCOPES))] = Field(examples=[["clients:read"]])
    expires_at: Moment | None = None
    """Not given: it is good until it is revoked."""


class Token(View):
    """A token, without its secret."""

    id: int
    name: str
    scopes: list[Scope]
    created_by: str
    created_at: Moment
    expires_at: Moment | None
    used_at: Moment | None
    """To the minute."""
    revoked_at: Moment | None


class NewToken(Token):
    """A token with its secret."""

    secret: str
    """Told only now: `Authorization: Bearer SECRET`."""


class Tokens(View):
    """All tokens, the newest first."""

    items: list[Token]

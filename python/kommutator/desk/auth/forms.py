"""Sign-in and the own profile."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from kommutator.crm.accounts import MAX_PASSWORD, MIN_PASSWORD, Role
from kommutator.desk.forms import Form, Moment, Name, View

Secret = Annotated[str, StringConstraints(max_length=MAX_PASSWORD), Field(json_schema_extra={"format": "password"})]
NewPassword = Annotated[
    str,
    StringConstraints(min_length=MIN_PASSWORD, max_length=MAX_PASSWORD),
    Field(json_schema_extra={"format": "password"}),
]


class SignIn(Form):
    """Login and password."""

    login: Name = Field(examples=["vera"])
    password: Secret


class Profile(Form):
    """What a user may change of himself."""

    name: Name


class PasswordChange(Form):
    """The password now, and the one to come."""

    old: Secret
    new: NewPassword


class Me(View):
    """Whoever is signed in."""

    id: int
    login: str
    name: str
    role: Role
    employee: str | None
    """The employee who this is: whose presence, missed calls and interests are his own."""
    revision: int
    csrf: str
    """To be sent as `X-CSRF-Token` with everything that changes something; the cookie `kommutator-csrf` has it too."""
    expires_at: Moment
    """The session ends then, unless it is used before."""

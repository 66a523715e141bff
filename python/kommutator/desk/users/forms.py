"""Accounts as they come in and go out."""

from __future__ import annotations

from pydantic import Field

from kommutator.crm.accounts import Role
from kommutator.desk.auth.forms import NewPassword
from kommutator.desk.forms import Form, Name, View


class UserForm(Form):
    """A new account."""

    login: Name = Field(examples=["vera"])
    name: Name = Field(examples=["Вера Ильина"])
    role: Role
    employee: Name | None = None
    """The employee of the active version who this is."""
    password: NewPassword


class UserChange(Form):
    """All of an account as it is to be."""

    name: Name
    role: Role
    employee: Name | None = None
    active: bool = True
    """False: he is signed out everywhere, and cannot sign in."""


class PasswordForm(Form):
    """Another password."""

    password: NewPassword


class User(View):
    """An account."""

    id: int
    login: str
    name: str
    role: Role
    employee: str | None
    active: bool
    revision: int


class Users(View):
    """All accounts by login."""

    items: list[User]

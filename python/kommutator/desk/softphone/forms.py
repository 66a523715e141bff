"""The own softphone."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from kommutator.desk.forms import View


class SoftphoneAccount(View):
    """How a page registers."""

    url: str = Field(examples=["wss://pbx.example:8089/ws"])
    """The PBX's websocket."""
    uri: str = Field(examples=["sip:201@pbx.example"])
    """The address to register."""
    user: str = Field(examples=["201"])
    """Whom the password is of."""
    password: str
    """Not to be kept: it is given anew each time."""


class Softphone(View):
    """Whether one's phone is the browser."""

    state: Literal["off", "not_configured", "ready"]
    """`off`: the employee's card says nothing of it; `not_configured`: it does, but his PBX takes no softphones."""
    account: SoftphoneAccount | None
    """With `ready`."""

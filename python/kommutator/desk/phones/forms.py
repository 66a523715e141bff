"""Virtual phones as they come in and go out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from kommutator.desk.forms import Form, Moment, Spelling, View
from kommutator.desk.phones.ports import Line


class Phone(View):
    """A phone of a simulated PBX."""

    pbx: str
    endpoint: str
    name: str | None
    """Whose it is."""
    line: Line
    call_id: str | None
    """The call that rings it, or that it talks with."""
    caller: str | None
    since: Moment | None
    by_hand: bool
    """Whether it does nothing by itself when it rings."""


class Caller(View):
    """Somebody who calls the company."""

    pbx: str
    call_id: str
    did: str
    caller: str | None
    since: Moment
    talks_with: str | None
    """The endpoint with which he talks."""


class VirtualPhones(View):
    """All of them."""

    phones: list[Phone]
    callers: list[Caller]
    numbers: list[str]
    """The company's own, to be called."""


class Hand(Form):
    """Who picks a phone up."""

    by_hand: bool
    """True: nobody but these buttons; false: whatever phones do by themselves."""


class HoldKey(Form):
    """The phone's hold key."""

    held: bool


class VirtualCall(Form):
    """Somebody calls the company."""

    did: Spelling
    caller: Spelling | None = None
    """Without one, he withholds it."""


class Keys(Form):
    """What the caller presses."""

    keys: Annotated[str, StringConstraints(pattern=r"^[0-9*#]{1,64}$")] = Field(examples=["1"])


class Placed(View):
    """The call."""

    call_id: str

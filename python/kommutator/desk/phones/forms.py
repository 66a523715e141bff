"""Virtual phones as they come in and go out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from kommutator.desk.forms import Form, Moment, Spelling, View
from kommutator.desk.phones.ports import CallerHears, Line, PhoneHears


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
    hears: PhoneHears | None
    """Who or what is heard there; null unless somebody talks on it."""
    held: bool
    """Whether its hold key is pressed."""


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
    schemes: dict[str, str]
    """Of each number, the scheme that it begins with."""


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


class Speech(Form):
    """What the caller says into a message that is being recorded; so long a silence as ends messages follows."""

    seconds: Annotated[float, Field(gt=0, le=120)] = 5


class Happening(View):
    """One thing that happened to a caller."""

    at: Moment
    what: str = Field(examples=["hears", "pressed", "rings", "answered"])
    """Of him: `came`, `fallback` (no router was there), `hears`, `pressed`, `beep`, `recorded`, `hung_up`, `hung_up_on`; of a
    phone: `rings`, `answered`, `phone_hung_up`, `busy`, `declined`, `unavailable`, `cancelled`; `audio`: who hears whom."""
    endpoint: str | None
    name: str | None
    """Whose phone it is."""
    detail: str | None
    """What the prompt says, or its id; the key; the message's seconds."""


class CallerStory(View):
    """What a caller hears and has heard, whether he is still on the line or not."""

    pbx: str
    call_id: str
    did: str
    caller: str | None
    since: Moment
    gone_at: Moment | None
    hears: CallerHears
    """`menu`: keys are waited for; `beep`: he is being recorded; `gone`: he is not on the line any more."""
    talks_with: str | None
    """The endpoint."""
    talks_with_name: str | None
    happened: list[Happening]


class Placed(View):
    """The call."""

    call_id: str

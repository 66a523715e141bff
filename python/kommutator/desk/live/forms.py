"""What pages are told as it happens."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from kommutator.desk.clients.forms import Client
from kommutator.desk.drafts.forms import WizardDraft
from kommutator.desk.floor.forms import EmployeeFacts
from kommutator.desk.forms import Moment, View
from kommutator.desk.interactions.forms import Interaction
from kommutator.desk.interests.forms import Interest
from kommutator.desk.live.calls import BackState, ConsultationState, OverBy, Role, State, Why


class Consultation(View):
    """Somebody is asked whether he takes the client; or was, when the state says how it ended."""

    model_config = ConfigDict(serialize_by_alias=True)

    employee: str | None
    endpoint: str
    state: ConsultationState
    """`calling`, `ringing` and `agreed` go on."""
    since: Moment
    with_: Literal["client", "manager"] = Field(serialization_alias="with")
    """Whom the operator hears."""
    leaving: bool
    """The operator has left already: the client is this person's as soon as he answers."""


class Back(View):
    """How a call back goes on."""

    state: BackState
    """`ringing`: one's own phone; `calling`: the client's."""
    reason: str | None
    """Of `over`, when nobody talked: `employee_…` or `client_…`, with what happened there; `cancelled`; `failed`."""


class Card(View):
    """A call at one employee's desk, and what is known of who calls."""

    call_id: str
    did: str | None
    did_name: str | None
    """The scheme that serves the number dialled."""
    caller: str | None
    caller_national: str | None
    region: str | None
    state: State
    role: Role
    """`guest`: an operator asks whether one takes the client."""
    by: str | None
    """The operator who asks, or from whom one has the client."""
    offered_at: Moment
    answered_at: Moment | None
    over_at: Moment | None
    over_by: OverBy | None
    held: bool
    known: bool
    """False: the memory has not answered yet, and what follows is empty for that."""
    matches: list[Client]
    """The clients at the number, the one in contact last first; at most five."""
    owner: str | None
    interests: list[Interest]
    """What is open of them, the newest first."""
    interactions: list[Interaction]
    """Their last contacts, the newest first."""
    tags: dict[str, str]
    consultation: Consultation | None
    back: Back | None
    """Null: the client has called."""
    draft_id: str | None
    as_of: Moment
    """Of the last thing that happened to the call: a card of an earlier moment is older."""


class Gone(View):
    """A call is at this desk no more."""

    call_id: str
    why: Why
    by: str | None
    """Who has it now."""


class FloorChange(View):
    """What changed of one employee."""

    employee: str
    presence: str | None = None
    presence_at: Moment | None = None
    line: str | None = None
    line_at: Moment | None = None


class NewInterest(View):
    """An interest is mine now."""

    id: int
    client_id: int
    title: str
    assignee: str | None
    state: str
    from_call: str | None


class Count(View):
    """How many there are now."""

    count: int


class Brought(View):
    """A call that somebody asks me to take, or has passed to me, with what that operator has typed up to now."""

    call_id: str
    card: Card
    draft: WizardDraft | None


class VersionChanged(View):
    """The company has another version: people may have changed."""

    number: int | None


class CallBackChange(View):
    """How a call back of mine goes on."""

    call_id: str
    number: str
    state: BackState
    reason: str | None


class DraftClosed(View):
    """A wizard of mine was closed in another page."""

    id: str


class InterestChanged(View):
    """An interest on my workplace is not as it was."""

    id: int


class Me(View):
    """Who listens."""

    user_id: int
    name: str
    role: str
    employee: str | None


class Snapshot(View):
    """Everything that a page shows live, as it is now."""

    me: Me
    at: Moment
    """The desk's time."""
    connected: bool
    """False: the exchange cannot be reached, and calls and lines are as they were last told."""
    floor: list[EmployeeFacts]
    calls: list[Card]
    missed: int
    """Open missed calls of mine and of my department."""
    tasks: int
    """Open tasks of mine and of my department."""
    interests: int
    """New interests of mine."""
    version: int | None

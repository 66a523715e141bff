"""Calls as they go out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from kommutator.crm import calls
from kommutator.crm.clients import Brief
from kommutator.desk.clients.brief import ClientBrief
from kommutator.desk.forms import E164, Form, Moment, Name, Spelling, View
from kommutator.desk.numbers import national
from kommutator.desk.paging import PageQuery
from kommutator.desk.recordings.forms import Recording

Disposition = Literal[
    "answered", "voicemail", "abandoned", "no_answer", "busy", "unavailable", "informed", "transferred", "failed"
]


class CallsQuery(PageQuery):
    """Which calls. Times are of the arrival, `until` not included."""

    since: Moment | None = None
    until: Moment | None = None
    disposition: Disposition | None = None
    answered: bool | None = None
    """True: somebody spoke with the caller; false: nobody did."""
    caller: Spelling | None = None
    did: Spelling | None = None
    """Our number that was dialled."""
    employee: Name | None = None
    """Who answered."""


class SummaryQuery(Form):
    """Which time."""

    since: Moment
    until: Moment


class StoryQuery(Form):
    """In which language reasons are told."""

    language: Literal["ru", "en"] = "ru"


class GoingOnQuery(Form):
    """How many."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 200


class Call(View):
    """One line of the ledger."""

    call_id: str
    did: str | None
    did_number: E164 | None
    caller: str | None
    """As the PBX gave it."""
    caller_number: E164 | None
    caller_national: str | None
    """To be read; null: withheld."""
    clients: list[ClientBrief]
    """At the caller's number; at most three."""
    began_at: Moment | None
    ended_at: Moment | None
    disposition: Disposition | None
    """How it ended; null while it goes on."""
    fault: Literal["caller", "callee", "pbx", "ours", "none"] | None
    scheme: str | None
    answered_by: str | None
    answered_at: Moment | None
    tags: dict[str, str]
    router: str | None
    pbx: str | None
    version: int | None
    """The company version that it began on."""

    @classmethod
    def of(cls, found: calls.Call, at_number: dict[str, list[Brief]]) -> Call:
        """As the memory has it, with the clients at the caller's number."""
        number = found.caller_number
        return cls(
            call_id=found.call_id,
            did=found.did,
            did_number=found.did_number,
            caller=found.caller,
            caller_number=number,
            caller_national=found.caller if number is None else national(number),
            clients=[ClientBrief.of(each) for each in at_number.get(number or "", ())],
            began_at=found.began_at,
            ended_at=found.ended_at,
            disposition=found.disposition,  # type: ignore[arg-type]
            fault=found.fault,  # type: ignore[arg-type]
            scheme=found.scheme,
            answered_by=found.answered_by,
            answered_at=found.answered_at,
            tags=found.tags,
            router=found.router,
            pbx=found.pbx,
            version=found.version,
        )


class Calls(View):
    """Calls, the oldest first."""

    items: list[Call]


class CallSummary(View):
    """How the calls of a time ended."""

    dispositions: dict[str, int]


class CallTurn(View):
    """One turn of a call: what happened, and what was decided."""

    sequence: int
    at: Moment
    event: dict[str, Any] | None
    action: dict[str, Any]
    trace: list[dict[str, Any]]
    """The reasons; `says` tells each in words."""
    rounds: list[dict[str, Any]]
    effects: list[dict[str, Any]]
    """Notices, tasks and other things that it left behind."""


class CallLeg(View):
    """One ringing of one endpoint."""

    number: int
    endpoint: str
    employee: str | None
    round: int | None
    rang_at: Moment
    ended_at: Moment | None
    outcome: str | None


class CallStory(View):
    """A call with everything that happened in it."""

    call: Call
    turns: list[CallTurn]
    legs: list[CallLeg]
    """There when the call has ended."""
    recordings: list[Recording]

"""The ledger as it is read: calls, with their traces and legs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kommutator.crm.pool import Row, Tx, where
from kommutator.errors import NotFound


@dataclass(frozen=True, slots=True)
class Call:
    """One line of the ledger; `disposition` is None while the call goes on."""

    call_id: str
    did: str | None
    """As the PBX gave it; `did_number` is E.164 where it is one."""
    caller: str | None
    did_number: str | None
    caller_number: str | None
    began_at: datetime | None
    """None: the call's arrival has not been told yet."""
    ended_at: datetime | None
    disposition: str | None
    fault: str | None
    scheme: str | None
    answered_by: str | None
    answered_at: datetime | None
    tags: dict[str, str]
    router: str | None
    """The one that told of its arrival first."""
    pbx: str | None
    version: int | None
    """The company version that it began on; None where that was no version of ours."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One ringing of one endpoint."""

    number: int
    endpoint: str
    employee: str | None
    round: int | None
    rang_at: datetime
    ended_at: datetime | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class TurnTaken:
    """One turn of a call."""

    sequence: int
    at: datetime
    event: dict[str, Any] | None
    action: dict[str, Any]
    trace: list[dict[str, Any]]
    rounds: list[dict[str, Any]]
    effects: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class CallStory:
    """A call with everything that happened in it. Legs are there when the call has ended."""

    call: Call
    turns: list[TurnTaken]
    legs: list[Leg]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which calls; what is None does not matter. Times are of the arrival, `until` not included."""

    since: datetime | None = None
    until: datetime | None = None
    disposition: str | None = None
    caller: str | None = None
    """E.164."""
    did: str | None = None
    """E.164."""
    answered_by: str | None = None
    callers: tuple[str, ...] | None = None
    """E.164: calls of any of these."""
    answered: bool | None = None
    """Whether somebody spoke with the caller; calls that go on are neither."""


ANSWERED: Final = ("answered", "transferred")
"""Dispositions of calls in which somebody spoke with the caller."""


async def listed(
    tx: Tx, which: Filter | None = None, *, after: tuple[datetime, str] | None = None, limit: int = 50
) -> list[Call]:
    """The newest calls first; `after` is (began_at, call_id) of the last one of the page before.

    By time, disposition, caller, number dialled or employee: one index range; of several of these, one range is looked through.
    """
    which = which or Filter()
    conditions, values = where(
        ("began_at >= {}", which.since),
        ("began_at < {}", which.until),
        ("disposition = {}", which.disposition),
        ("caller_number = {}", which.caller),
        ("did_number = {}", which.did),
        ("answered_by = {}", which.answered_by),
        ("caller_number = any({}::text[])", None if which.callers is None else list(which.callers)),
        ("disposition = any({}::text[])", list(ANSWERED) if which.answered else None),
        ("disposition <> all({}::text[])", list(ANSWERED) if which.answered is False else None),
        ("(began_at, call_id) < ({}, {})", after),
    )
    rows = await tx.fetch(
        f"""select {_COLUMNS} from calls where company_id = $1 and began_at is not null{conditions}
            order by began_at desc, call_id desc limit {int(limit)}""",
        *values,
    )
    return [_of(row) for row in rows]


async def story(tx: Tx, call_id: str) -> CallStory:
    """One call whole. Three index ranges. Raises `NotFound`."""
    row = await tx.one(f"select {_COLUMNS} from calls where company_id = $1 and call_id = $2", call_id)
    if row is None:
        raise NotFound("call", call_id)
    turns = await tx.fetch(
        """select sequence, at, event, action, trace, rounds, effects from call_turns
           where company_id = $1 and call_id = $2 order by sequence""",
        call_id,
    )
    legs = await tx.fetch(
        """select number, endpoint, employee, round, rang_at, ended_at, outcome from call_legs
           where company_id = $1 and call_id = $2 order by number""",
        call_id,
    )
    return CallStory(_of(row), [TurnTaken(**dict(turn)) for turn in turns], [Leg(**dict(leg)) for leg in legs])


async def going_on(tx: Tx, *, limit: int = 1_000) -> list[Call]:
    """Calls whose end has not been told, the oldest first. One index range."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from calls where company_id = $1 and ended_at is null order by began_at limit $2", limit
    )
    return [_of(row) for row in rows]


async def dispositions(tx: Tx, since: datetime, until: datetime) -> dict[str, int]:
    """How many calls that began in that time ended how. Reads the range of time."""
    rows = await tx.fetch(
        """select disposition, count(*) as many from calls
           where company_id = $1 and began_at >= $2 and began_at < $3 and disposition is not null group by
           disposition""",
        since, until,
    )  # fmt: skip
    return {row["disposition"]: row["many"] for row in rows}


def _of(row: Row) -> Call:
    return Call(**dict(row))


_COLUMNS = """call_id, did, caller, did_number, caller_number, began_at, ended_at, disposition, fault, scheme,
answered_by,
    answered_at, tags, router, pbx, version"""

"""Notices on their way out: each by its identity once, in order for each recipient, repeated until sent or given up.

A sender *claims* a batch, which commits; sends; then tells how it went. A sender that dies in between gives its claims
back when their lease ends, and the notice is sent again: at least once, and recognised by its identity where the
channel allows. A notice holds up the later ones to the same recipient until it is sent or given up.

    waiting ──sent──► sent ──receipts──► delivered | undelivered
       └── given up ──► failed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from kommutator.crm.pool import Row, Tx, where
from kommutator.errors import NotFound

Channel = Literal["sms", "email"]
State = Literal["waiting", "sent", "delivered", "undelivered", "failed"]


@dataclass(frozen=True, slots=True)
class OutboxSettings:
    """How notices are repeated."""

    lease_s: float = 60.0
    """How long a sender may take for one claim."""
    first_pause_s: float = 5.0
    """After the first failure; each further pause is twice as long…"""
    longest_pause_s: float = 3600.0
    """…up to this."""
    attempts: int = 15
    """After so many a notice is given up: with these pauses, after about seven hours."""

    def pause(self, attempts: int) -> timedelta:
        """How long to wait after so many attempts."""
        return timedelta(seconds=min(self.longest_pause_s, self.first_pause_s * 2.0 ** min(attempts - 1, 30)))


@dataclass(frozen=True, slots=True)
class Claim:
    """A notice that a sender has taken on."""

    id: str
    channel: Channel
    recipient: str
    payload: dict[str, Any]
    call_id: str | None
    attempt: int
    """Counted from 1; tells this claim from another of the same notice."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice and what became of it."""

    id: str
    place: int
    channel: Channel
    recipient: str
    payload: dict[str, Any]
    call_id: str | None
    state: State
    attempts: int
    created_at: datetime
    next_at: datetime
    """While it waits: when it is tried next, or its claim ends."""
    sent_at: datetime | None
    finished_at: datetime | None
    last_error: str | None


async def enqueue(
    tx: Tx,
    id: str,
    channel: Channel,
    recipient: str,
    payload: Mapping[str, Any],
    now: datetime,
    *,
    call_id: str | None = None,
    due: datetime | None = None,
) -> bool:
    """Puts a notice into the queue, to be sent at once or when it is `due`; False when one of this identity is known. One
    insertion, and senders are told."""
    put = await tx.run(
        """insert into outbox (company_id, id, channel, recipient, payload, call_id, created_at, next_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (company_id, id) do nothing""",
        id, channel, recipient, dict(payload), call_id, now, due or now,
    )  # fmt: skip
    if put:
        await tx.tell("outbox", channel=channel)
    return bool(put)


async def claim(
    tx: Tx, channel: Channel, by: str, settings: OutboxSettings, now: datetime, limit: int = 20
) -> list[Claim]:
    """Takes notices that are due, at most one a recipient, the longest due first; several senders never take the
    same one.

    Commit before sending. One index range of what is due, and one look-up each for the queue of its recipient.
    """
    rows = await tx.fetch(
        """with due as (
               select o.id from outbox o
               where o.company_id = $1 and o.channel = $2 and o.state = 'waiting' and o.next_at <= $3 and not exists
               (select 1 from outbox earlier where earlier.company_id = $1 and earlier.channel = $2
                     and earlier.recipient = o.recipient and earlier.place < o.place and earlier.state = 'waiting')
               order by o.next_at, o.place limit $4 for update skip locked)
           update outbox o set attempts = o.attempts + 1, next_at = $5, claimed_by = $6 from due
           where o.company_id = $1 and o.id = due.id
           returning o.id, o.channel, o.recipient, o.payload, o.call_id, o.attempts as attempt, o.created_at,
           o.place""",
        channel, now, limit, now + timedelta(seconds=settings.lease_s), by,
    )  # fmt: skip
    ordered = sorted(rows, key=lambda row: row["place"])
    return [Claim(**{key: value for key, value in row.items() if key != "place"}) for row in ordered]


async def due_at_once(tx: Tx, call_id: str, voicemail: str, now: datetime) -> None:
    """The sound of a message has arrived: the letters with it that wait, and are under way with no sender, are due now."""
    freed = await tx.run(
        """update outbox set next_at = $4 where company_id = $1 and call_id = $2 and payload ->> 'voicemail' = $3
           and state = 'waiting' and claimed_by is null and next_at > $4""",
        call_id, voicemail, now,
    )  # fmt: skip
    if freed:
        await tx.tell("outbox", channel="email")


async def next_due(tx: Tx, channel: Channel) -> datetime | None:
    """When a notice is due next, to sleep until then; None when none waits. One row by index."""
    found: datetime | None = await tx.value(
        "select min(next_at) from outbox where company_id = $1 and channel = $2 and state = 'waiting'", channel
    )
    return found


async def sent(tx: Tx, claimed: Claim, now: datetime, provider_ids: Sequence[str] = ()) -> bool:
    """The notice was handed over; `provider_ids` name its parts in the receipts to come. False when the claim was
    lost meanwhile.

    Receipts that came before this are taken into account.
    """
    done = await tx.run(
        """update outbox set state = 'sent', sent_at = $4, finished_at = $4, last_error = null
           where company_id = $1 and id = $2 and attempts = $3 and state = 'waiting'""",
        claimed.id, claimed.attempt, now,
    )  # fmt: skip
    if not done:
        return False
    for part, provider_id in enumerate(provider_ids, 1):
        await tx.run(
            """insert into outbox_parts (company_id, channel, provider_id, outbox_id, part, at) values ($1, $2, $3,
            $4, $5, $6)
               on conflict (company_id, channel, provider_id) do update set outbox_id = excluded.outbox_id, part =
               excluded.part""",
            claimed.channel, provider_id, claimed.id, part, now,
        )  # fmt: skip
    if provider_ids:
        await _sum_up(tx, claimed.id, now)
    return True


async def failed(
    tx: Tx, claimed: Claim, error: str, settings: OutboxSettings, now: datetime, *, final: bool = False
) -> State | None:
    """The attempt failed: the notice is tried again after a pause, or given up after the last attempt, or at once
    when `final`.

    The state it has now; None when the claim was lost meanwhile.
    """
    give_up = final or claimed.attempt >= settings.attempts
    state: State = "failed" if give_up else "waiting"
    done = await tx.run(
        """update outbox set state = $4, next_at = $5, last_error = $6, claimed_by = null, finished_at = $7
           where company_id = $1 and id = $2 and attempts = $3 and state = 'waiting'""",
        claimed.id, claimed.attempt, state, now + settings.pause(claimed.attempt), error[:2000],
        now if give_up else None,
    )  # fmt: skip
    return state if done else None


async def receipt(
    tx: Tx, channel: Channel, provider_id: str, delivered: bool, now: datetime, error: str | None = None
) -> str | None:
    """What the provider says of a part. A notice is delivered when all its parts are, undelivered when one is not.

    The notice's id; None when the provider's id is not known yet: it is kept, and counts when `sent` names it.
    """
    outbox_id: str | None = await tx.value(
        """insert into outbox_parts (company_id, channel, provider_id, delivered, error, at) values ($1, $2, $3, $4,
        $5, $6)
           on conflict (company_id, channel, provider_id) do update set delivered = excluded.delivered, error =
           excluded.error,
               at = excluded.at
           returning outbox_id""",
        channel, provider_id, delivered, error, now,
    )  # fmt: skip
    if outbox_id is not None:
        await _sum_up(tx, outbox_id, now)
    return outbox_id


async def again(tx: Tx, id: str, now: datetime) -> Notice:
    """A notice that was given up, or did not arrive, waits again, with all its attempts. Raises `NotFound` for any
    other."""
    done = await tx.run(
        """update outbox set state = 'waiting', attempts = 0, doubts = 0, next_at = $3, finished_at = null, sent_at = null,
        claimed_by = null
           where company_id = $1 and id = $2 and state in ('failed', 'undelivered')""",
        id, now,
    )  # fmt: skip
    if not done:
        raise NotFound("failed notice", id)
    await tx.run("delete from outbox_parts where company_id = $1 and outbox_id = $2", id)
    found = await get(tx, id)
    await tx.tell("outbox", channel=found.channel)
    return found


async def get(tx: Tx, id: str) -> Notice:
    """One notice. One row by key. Raises `NotFound`."""
    row = await tx.one(f"select {_COLUMNS} from outbox where company_id = $1 and id = $2", id)
    if row is None:
        raise NotFound("notice", id)
    return _of(row)


async def of_call(tx: Tx, call_id: str) -> list[Notice]:
    """The notices of a call, in the order in which they were made. One index range."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from outbox where company_id = $1 and call_id = $2 order by place", call_id
    )
    return [_of(row) for row in rows]


async def listed(tx: Tx, *, state: State | None = None, before: int | None = None, limit: int = 50) -> list[Notice]:
    """The newest first; `before` is the place that the next page begins after."""
    which, values = where(("state = {}", state), ("place < {}", before))
    rows = await tx.fetch(
        f"select {_COLUMNS} from outbox where company_id = $1{which} order by place desc limit {int(limit)}", *values
    )
    return [_of(row) for row in rows]


async def oldest(tx: Tx) -> dict[str, datetime]:
    """Of each channel, when the oldest notice that waits was made. Reads all that wait."""
    rows = await tx.fetch(
        "select channel, min(created_at) as at from outbox where company_id = $1 and state = 'waiting' group by channel"
    )
    return {row["channel"]: row["at"] for row in rows}


async def counts(tx: Tx) -> dict[str, int]:
    """How many wait, and how many were given up, by `channel/state`, for an alarm. Reads all that wait."""
    rows = await tx.fetch(
        """select channel, state, count(*) as many from outbox where company_id = $1 and state in ('waiting', 'failed')
           group by channel, state"""
    )
    return {f"{row['channel']}/{row['state']}": row["many"] for row in rows}


async def _sum_up(tx: Tx, id: str, now: datetime) -> None:
    await tx.run(
        """update outbox o set state = told.state, finished_at = $3, last_error = told.error
           from (select case when bool_or(not delivered) then 'undelivered' else 'delivered' end as state,
                        max(error) filter (where not delivered) as error
                 from outbox_parts where company_id = $1 and outbox_id = $2
                 having bool_or(not delivered) or bool_and(coalesce(delivered, false))) as told
           where o.company_id = $1 and o.id = $2 and o.state in ('sent', 'delivered', 'undelivered')""",
        id, now,
    )  # fmt: skip


def _of(row: Row) -> Notice:
    return Notice(**dict(row))


_COLUMNS = """id, place, channel, recipient, payload, call_id, state, attempts, created_at, next_at, sent_at,
finished_at,
    last_error"""

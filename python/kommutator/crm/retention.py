"""What is kept no longer: deletions in batches, each of one index range."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from kommutator.crm.pool import Tx

_CLOSED_DRAFTS: Final = timedelta(days=1)


async def turns(tx: Tx, now: datetime, kept: timedelta, limit: int) -> int:
    """The turns of so many calls that ended longer ago; the calls with their legs and ends stay. How many calls."""
    rows = await tx.fetch(
        """update calls c set purged_at = $2 where c.company_id = $1 and c.call_id in
               (select call_id from calls where company_id = $1 and purged_at is null and ended_at < $3
                order by ended_at limit $4 for update skip locked)
           returning call_id""",
        now, now - kept, limit,
    )  # fmt: skip
    await tx.run(
        "delete from call_turns where company_id = $1 and call_id = any($2::text[])", [row["call_id"] for row in rows]
    )
    return len(rows)


async def notices(tx: Tx, now: datetime, kept: timedelta, limit: int) -> int:
    """Notices that were sent or given up longer ago, and receipts for notices that nobody knows."""
    rows = await tx.fetch(
        """delete from outbox where company_id = $1 and id in
               (select id from outbox where company_id = $1 and finished_at < $2 and state <> 'waiting'
                order by finished_at limit $3 for update skip locked)
           returning id""",
        now - kept, limit,
    )  # fmt: skip
    await tx.run(
        "delete from outbox_parts where company_id = $1 and outbox_id = any($2::text[])", [row["id"] for row in rows]
    )
    await tx.run(
        """delete from outbox_parts where company_id = $1 and provider_id in
               (select provider_id from outbox_parts where company_id = $1 and outbox_id is null and at < $2 limit $3)
               and outbox_id is null""",
        now - kept, limit,
    )  # fmt: skip
    return len(rows)


async def drafts(tx: Tx, now: datetime, kept: timedelta, limit: int) -> int:
    """What operators typed, never accepted, and did not touch since; and of what they closed, what is older than a day."""
    await tx.run(
        """delete from closed_drafts where company_id = $1 and (call_id, user_id) in
               (select call_id, user_id from closed_drafts where company_id = $1 and closed_at < $2 order by closed_at
                limit $3)""",
        now - _CLOSED_DRAFTS, limit,
    )  # fmt: skip
    return await tx.run(
        """delete from drafts where company_id = $1 and id in
               (select id from drafts where company_id = $1 and updated_at < $2 order by updated_at limit $3)""",
        now - kept, limit,
    )  # fmt: skip


async def sessions(tx: Tx, now: datetime, _kept: timedelta, limit: int) -> int:
    """Sessions that have ended."""
    return await tx.run(
        """delete from sessions where company_id = $1 and token_hash in
               (select token_hash from sessions where company_id = $1 and expires_at < $2 order by expires_at limit $3)""",
        now, limit,
    )  # fmt: skip


async def sign_in_failures(tx: Tx, now: datetime, kept: timedelta, limit: int) -> int:
    """Wrong passwords that throttle nobody any more."""
    return await tx.run(
        """delete from sign_in_failures where company_id = $1 and id in
               (select id from sign_in_failures where company_id = $1 and at < $2 order by at limit $3)""",
        now - kept, limit,
    )  # fmt: skip


async def strays(tx: Tx, before: datetime, limit: int) -> list[str]:
    """Sound that arrived before then and of which the ledger has told nothing since: it was no message. As `recordings`."""
    rows = await tx.fetch(
        """delete from recording_files where company_id = $1 and key in
               (select key from recording_files where company_id = $1 and stored_at < $2 order by stored_at limit $3
                for update skip locked)
           returning location""",
        before, limit,
    )  # fmt: skip
    return [row["location"] for row in rows]


async def recordings(tx: Tx, before: datetime, now: datetime, limit: int) -> list[str]:
    """Recordings whose sound arrived before then lose it; the places of the files, which the caller deletes in this
    transaction."""
    rows = await tx.fetch(
        """with old as (select name, location from recordings where company_id = $1 and location is not null
                            and stored_at < $2 order by stored_at limit $4 for update skip locked)
           update recordings r set location = null, stored_at = null, expired_at = $3 from old
           where r.company_id = $1 and r.name = old.name returning old.location""",
        before, now, limit,
    )  # fmt: skip
    return [row["location"] for row in rows]


Deletion = Callable[[Tx, datetime, timedelta, int], Awaitable[int]]
SUBJECTS: Final[Mapping[str, Deletion]] = {
    "turns": turns,
    "notices": notices,
    "drafts": drafts,
    "sessions": sessions,
    "sign_in_failures": sign_in_failures,
}
"""What is deleted by its age: the transaction, now, how long it is kept, and at most how much at once; how much it was."""

"""Half-filled wizards: kept from the first keystroke until the enquiry is accepted or thrown away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kommutator.crm.pool import Tx
from kommutator.errors import NotFound, Refused

MOST = 200
"""Of one user; forgotten ones are purged in time."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One wizard."""

    id: str
    user_id: int
    call_id: str | None
    content: dict[str, Any]
    """The desk's own form of what was typed."""
    revision: int
    created_at: datetime
    updated_at: datetime


async def keep(
    tx: Tx,
    id: str,
    user_id: int,
    content: Mapping[str, Any],
    revision: int,
    now: datetime,
    *,
    call_id: str | None = None,
) -> bool:
    """Keeps what was typed; False when a newer revision is kept already, or the draft is another user's. Two statements.

    Raises `Refused` for more wizards of one user than anybody fills.
    """
    others = await tx.value(
        "select count(*) from drafts where company_id = $1 and user_id = $2 and id <> $3", user_id, id
    )
    if others >= MOST:
        raise Refused(f"a user has at most {MOST} open wizards")
    kept = await tx.run(
        """insert into drafts (company_id, id, user_id, call_id, content, revision, created_at, updated_at)
           values ($1, $2, $3, $4, $5, $6, $7, $7)
           on conflict (company_id, id) do update set content = excluded.content, revision = excluded.revision,
               call_id = coalesce(excluded.call_id, drafts.call_id), updated_at = excluded.updated_at
           where drafts.revision < excluded.revision and drafts.user_id = excluded.user_id""",
        id, user_id, call_id, dict(content), revision, now,
    )  # fmt: skip
    if kept:
        await tx.tell("draft", id=id, user=user_id, call=call_id)
    return bool(kept)


async def of_user(tx: Tx, user_id: int) -> list[Draft]:
    """A user's open wizards, the oldest first. One index range."""
    rows = await tx.fetch(
        """select id, user_id, call_id, content, revision, created_at, updated_at from drafts
           where company_id = $1 and user_id = $2 order by created_at, id""",
        user_id,
    )
    return [Draft(**dict(row)) for row in rows]


async def get(tx: Tx, id: str, user_id: int) -> Draft:
    """One wizard of a user. Raises `NotFound`."""
    row = await tx.one(
        """select id, user_id, call_id, content, revision, created_at, updated_at from drafts
           where company_id = $1 and id = $2 and user_id = $3""",
        id, user_id,
    )  # fmt: skip
    if row is None:
        raise NotFound("draft", id)
    return Draft(**dict(row))


async def of_call(tx: Tx, call_id: str, employee: str) -> Draft | None:
    """What an employee has, or had when he closed it, in the wizard of a call. Two index look-ups."""
    row = await tx.one(
        """select d.id, d.user_id, d.call_id, d.content, d.revision, d.created_at, d.updated_at from (
               select id, user_id, call_id, content, revision, created_at, updated_at, true as open from drafts
               where company_id = $1 and call_id = $2
               union all
               select id, user_id, call_id, content, revision, created_at, closed_at, false from closed_drafts
               where company_id = $1 and call_id = $2) d
           join users u on u.company_id = $1 and u.id = d.user_id and u.employee = $3
           order by d.open desc, d.revision desc limit 1""",
        call_id, employee,
    )  # fmt: skip
    return None if row is None else Draft(**dict(row))


async def discard(tx: Tx, id: str, user_id: int) -> bool:
    """The wizard is closed: accepted, in the same transaction as `enquiries.accept`, or thrown away. False when it is not there.

    Of a call's wizard the content stays for a day, for whoever the call was passed to. Three statements.
    """
    row = await tx.one(
        """with closed as (delete from drafts where company_id = $1 and id = $2 and user_id = $3 returning *),
           kept as (insert into closed_drafts (company_id, call_id, user_id, id, content, revision, created_at, closed_at)
               select company_id, call_id, user_id, id, content, revision, created_at, now() from closed
               where call_id is not null
               on conflict (company_id, call_id, user_id) do update set id = excluded.id, content = excluded.content,
                   revision = excluded.revision, created_at = excluded.created_at, closed_at = excluded.closed_at)
           select call_id from closed""",
        id, user_id,
    )  # fmt: skip
    if row is None:
        return False
    await tx.tell("draft", id=id, user=user_id, call=row["call_id"], closed=True)
    return True

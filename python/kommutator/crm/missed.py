"""Missed calls: each is somebody's until he has handled it, or until that caller is reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from kommutator.crm import lookups, tasks
from kommutator.crm.pool import Row, Tx
from kommutator.errors import NotFound, Refused

Outcome = Literal["handled", "reached"]
REACHED: Final = ("answered", "transferred")
"""Dispositions of calls in which the caller talked with somebody."""


@dataclass(frozen=True, slots=True)
class MissedCall:
    """A call that nobody answered."""

    id: str
    call_id: str
    caller: str | None
    did: str | None
    owner: str | None
    """An employee or a department."""
    at: datetime
    closed_at: datetime | None
    closed_by: str | None
    outcome: Outcome | None


async def add(
    tx: Tx, id: str, call_id: str, caller: str | None, did: str | None, owner: str | None, at: datetime
) -> bool:
    """Notes a missed call; False when it is known. Two or three statements.

    It belongs to the client's owner, else to `owner`, which the engine gives: the last employee rung, else the
    scheme's responsible. When the caller was reached in a call that ended after it, or by a call back, it is closed at once.
    Takes the place of what `unheard` noted.
    """
    of_client = None if caller is None else await lookups.owner(tx, caller)
    await tx.run(
        """delete from missed_calls where company_id = $1 and call_id = $2 and id = $3 and id <> $4
           and outcome is distinct from 'handled'""",
        call_id, _unheard(call_id), id,
    )  # fmt: skip
    added = await tx.run(
        """insert into missed_calls (company_id, id, call_id, caller, did, owner, at) values ($1, $2, $3, $4, $5, $6,
        $7)
           on conflict (company_id, id) do nothing""",
        id, call_id, caller, did, of_client or owner, at,
    )  # fmt: skip
    if not added:
        return False
    await tx.tell("missed", id=id, owner=of_client or owner)
    if caller is not None:
        reached_at = await tx.value(
            """select least(
                   (select min(ended_at) from calls where company_id = $1 and caller_number = $2
                    and disposition = any($4::text[]) and ended_at >= $3),
                   (select min(at) from call_doings where company_id = $1 and number = $2
                    and kind = 'called_back' and state = 'talking' and at >= $3))""",
            caller, at, list(REACHED),
        )  # fmt: skip
        if reached_at is not None:
            await reached(tx, caller, reached_at)
    return True


async def unheard(tx: Tx, call_id: str, caller: str | None, did: str | None, at: datetime) -> None:
    """Notes a missed call of which the engine itself told nothing: it failed, or its router died before the first turn.

    It is the client's owner's, else nobody's: everybody sees it. Two or three statements.
    """
    told = await tx.value("select exists (select 1 from missed_calls where company_id = $1 and call_id = $2)", call_id)
    if not told:
        await add(tx, _unheard(call_id), call_id, caller, did, None, at)


def _unheard(call_id: str) -> str:
    return f"{call_id}:unheard"


async def reached(tx: Tx, caller: str, at: datetime) -> int:
    """A conversation with this caller took place, in a call that ended or a call back that was answered at that time: what
    was missed of him before is settled. A statement, and one for each.
    """
    rows = await tx.fetch(
        """update missed_calls set closed_at = $3, closed_by = 'system', outcome = 'reached'
           where company_id = $1 and caller = $2 and closed_at is null and at <= $3 returning id, owner""",
        caller, at,
    )  # fmt: skip
    for row in rows:
        await tx.tell("missed", id=row["id"], owner=row["owner"], outcome="reached")
        await tasks.close_of_missed(tx, row["id"], at, "system")
    return len(rows)


async def handle(tx: Tx, id: str, now: datetime) -> MissedCall:
    """Somebody has handled it: `tx.actor`. Handled twice, the first counts. The tasks that it made are done with it.
    Raises `NotFound`."""
    row = await tx.one(
        f"""update missed_calls set closed_at = coalesce(closed_at, $3), closed_by = coalesce(closed_by, $4),
                outcome = coalesce(outcome, 'handled')
            where company_id = $1 and id = $2 returning {_COLUMNS}""",
        id, now, tx.actor,
    )  # fmt: skip
    if row is None:
        raise NotFound("missed call", id)
    await tx.tell("missed", id=id, owner=row["owner"], outcome=row["outcome"])
    await tasks.close_of_missed(tx, id, now, tx.actor)
    return _of(row)


async def waiting(tx: Tx, owners: Sequence[str] | None = None, *, limit: int = 100) -> list[MissedCall]:
    """What is to be called back, the newest first: of these employees and departments, or of all. One index range
    each."""
    if owners is None:
        query = (
            f"select {_COLUMNS} from missed_calls where company_id = $1 and closed_at is null order by at desc limit $2"
        )
        return [_of(row) for row in await tx.fetch(query, limit)]
    if len(owners) > 100:
        raise Refused("at most 100 owners at once")
    rows = await tx.fetch(
        f"""select {_COLUMNS} from missed_calls where company_id = $1 and owner = any($2::text[]) and closed_at is null
            order by at desc limit $3""",
        list(owners), limit,
    )  # fmt: skip
    return [_of(row) for row in rows]


async def get(tx: Tx, id: str) -> MissedCall:
    """One missed call. One row by key. Raises `NotFound`."""
    row = await tx.one(f"select {_COLUMNS} from missed_calls where company_id = $1 and id = $2", id)
    if row is None:
        raise NotFound("missed call", id)
    return _of(row)


def _of(row: Row) -> MissedCall:
    return MissedCall(**dict(row))


_COLUMNS = "id, call_id, caller, did, owner, at, closed_at, closed_by, outcome"

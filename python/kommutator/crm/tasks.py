"""Tasks that calls leave to somebody: what a scheme asks for, and messages to be heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from kommutator.crm.pool import Row, Tx
from kommutator.errors import NotFound

Kind = Literal["task", "voicemail"]


@dataclass(frozen=True, slots=True)
class Task:
    """Something to be done."""

    id: str
    kind: Kind
    call_id: str
    assign: str
    """An employee or a department; empty when nobody was known."""
    title: str
    at: datetime
    closed_at: datetime | None
    closed_by: str | None
    missed_id: str | None
    """The missed call that made it: the one is done when the other is."""


async def add(
    tx: Tx, id: str, kind: Kind, call_id: str, assign: str, title: str, at: datetime, *, missed_id: str | None = None
) -> bool:
    """Notes a task; False when it is known. One insertion.

    The task of a missed call that is closed already is closed with it.
    """
    added = await tx.run(
        """insert into tasks (company_id, id, kind, call_id, assign, title, at, missed_id, closed_at, closed_by)
           select $1, $2, $3, $4, $5, $6, $7, $8, m.closed_at, m.closed_by from (select $8::text as id) as made
               left join missed_calls m on m.company_id = $1 and m.id = made.id
           on conflict (company_id, id) do nothing""",
        id, kind, call_id, assign, title, at, missed_id,
    )  # fmt: skip
    if added:
        await tx.tell("task", id=id, assign=assign)
    return bool(added)


async def close(tx: Tx, id: str, now: datetime) -> Task:
    """`tx.actor` has done it. Done twice, the first counts. The missed call that made it is handled with it.
    Raises `NotFound`."""
    row = await tx.one(
        f"""update tasks set closed_at = coalesce(closed_at, $3), closed_by = coalesce(closed_by, $4)
            where company_id = $1 and id = $2 returning {_COLUMNS}""",
        id, now, tx.actor,
    )  # fmt: skip
    if row is None:
        raise NotFound("task", id)
    await tx.tell("task", id=id, assign=row["assign"])
    if row["missed_id"] is not None:
        missed = await tx.one(
            """update missed_calls set closed_at = $3, closed_by = $4, outcome = 'handled'
               where company_id = $1 and id = $2 and closed_at is null returning id, owner""",
            row["missed_id"], now, tx.actor,
        )  # fmt: skip
        if missed is not None:
            await tx.tell("missed", id=missed["id"], owner=missed["owner"], outcome="handled")
    return _of(row)


async def close_of_missed(tx: Tx, missed_id: str, now: datetime, by: str) -> None:
    """The missed call is closed: so are the tasks that it made. One statement."""
    rows = await tx.fetch(
        """update tasks set closed_at = $3, closed_by = $4
           where company_id = $1 and missed_id = $2 and closed_at is null returning id, assign""",
        missed_id, now, by,
    )  # fmt: skip
    for row in rows:
        await tx.tell("task", id=row["id"], assign=row["assign"])


async def waiting(tx: Tx, assigned: Sequence[str], *, limit: int = 100) -> list[Task]:
    """The open tasks of these employees and departments, the newest first; `""` stands for the tasks that are nobody's. One
    index range each."""
    rows = await tx.fetch(
        f"""select {_COLUMNS} from tasks where company_id = $1 and assign = any($2::text[]) and closed_at is null
            order by at desc limit $3""",
        list(assigned), limit,
    )  # fmt: skip
    return [_of(row) for row in rows]


def _of(row: Row) -> Task:
    return Task(**dict(row))


_COLUMNS = "id, kind, call_id, assign, title, at, closed_at, closed_by, missed_id"

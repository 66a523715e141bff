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


async def add(tx: Tx, id: str, kind: Kind, call_id: str, assign: str, title: str, at: datetime) -> bool:
    """Notes a task; False when it is known. One insertion."""
    added = await tx.run(
        """insert into tasks (company_id, id, kind, call_id, assign, title, at) values ($1, $2, $3, $4, $5, $6, $7)
           on conflict (company_id, id) do nothing""",
        id, kind, call_id, assign, title, at,
    )  # fmt: skip
    if added:
        await tx.tell("task", id=id, assign=assign)
    return bool(added)


async def close(tx: Tx, id: str, now: datetime) -> Task:
    """`tx.actor` has done it. Done twice, the first counts. Raises `NotFound`."""
    row = await tx.one(
        f"""update tasks set closed_at = coalesce(closed_at, $3), closed_by = coalesce(closed_by, $4)
            where company_id = $1 and id = $2 returning {_COLUMNS}""",
        id, now, tx.actor,
    )  # fmt: skip
    if row is None:
        raise NotFound("task", id)
    await tx.tell("task", id=id, assign=row["assign"])
    return _of(row)


async def waiting(tx: Tx, assigned: Sequence[str], *, limit: int = 100) -> list[Task]:
    """The open tasks of these employees and departments, the newest first. One index range each."""
    rows = await tx.fetch(
        f"""select {_COLUMNS} from tasks where company_id = $1 and assign = any($2::text[]) and closed_at is null
            order by at desc limit $3""",
        list(assigned), limit,
    )  # fmt: skip
    return [_of(row) for row in rows]


def _of(row: Row) -> Task:
    return Task(**dict(row))


_COLUMNS = "id, kind, call_id, assign, title, at, closed_at, closed_by"

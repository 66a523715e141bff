"""Interactions: one contact with a client each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from kommutator.crm import clients
from kommutator.crm.pool import Row, Tx

Kind = Literal["call", "call_back", "email", "note"]


@dataclass(frozen=True, slots=True)
class Interaction:
    """One contact."""

    id: int
    client_id: int
    kind: Kind
    call_id: str | None
    employee: str | None
    topic: str
    body: str
    at: datetime


async def add(
    tx: Tx,
    client_id: int,
    kind: Kind,
    at: datetime,
    *,
    call_id: str | None = None,
    employee: str | None = None,
    topic: str = "",
    body: str = "",
) -> Interaction:
    """Notes a contact. A call is one contact of a client however often it is noted: the words noted last count. Two
    statements."""
    row = await tx.one(
        f"""insert into interactions (company_id, client_id, kind, call_id, employee, topic, body, at)
            values ($1, $2, $3, $4, $5, $6, $7, $8)
            on conflict (company_id, call_id, client_id) where call_id is not null do update set
                employee = coalesce(excluded.employee, interactions.employee),
                topic = case when excluded.topic = '' then interactions.topic else excluded.topic end,
                body = case when excluded.body = '' then interactions.body else excluded.body end
            returning {_COLUMNS}""",
        client_id, kind, call_id, employee, topic, body, at,
    )  # fmt: skip
    assert row is not None
    await clients.touched(tx, client_id, at)
    return _of(row)


async def of_client(tx: Tx, client_id: int, *, before: int | None = None, limit: int = 20) -> list[Interaction]:
    """The newest first; `before` is the id that the next page begins after. One index range."""
    rows = await tx.fetch(
        f"""select {_COLUMNS} from interactions i where company_id = $1 and client_id = $2
            and ($3::bigint is null or (at, id) < (select at, id from interactions where company_id = $1 and id = $3))
            order by at desc, id desc limit $4""",
        client_id, before, limit,
    )  # fmt: skip
    return [_of(row) for row in rows]


async def call_of(tx: Tx, interaction_id: int) -> str | None:
    """The call that a contact was. One row by key."""
    found: str | None = await tx.value(
        "select call_id from interactions where company_id = $1 and id = $2", interaction_id
    )
    return found


def _of(row: Row) -> Interaction:
    return Interaction(**dict(row))


_COLUMNS = "id, client_id, kind, call_id, employee, topic, body, at"

"""Who did what: an append-only log, written in the transaction of the deed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kommutator.crm.pool import Tx, where


@dataclass(frozen=True, slots=True)
class Entry:
    """One deed."""

    id: int
    at: datetime
    actor: str
    action: str
    """Such as `client.merge`, `version.activate`."""
    subject: str
    subject_id: str
    details: dict[str, Any]


async def record(
    tx: Tx, action: str, subject: str, subject_id: object, details: Mapping[str, Any] | None = None
) -> None:
    """Notes a deed of `tx.actor`. Never give secrets in `details`. One insertion."""
    await tx.run(
        "insert into audit (company_id, actor, action, subject, subject_id, details) values ($1, $2, $3, $4, $5, $6)",
        tx.actor, action, subject, str(subject_id), dict(details or {}),
    )  # fmt: skip


async def read(
    tx: Tx, *, subject: str | None = None, subject_id: object = None, before: int | None = None, limit: int = 50
) -> list[Entry]:
    """The newest deeds first, of one subject or of all; `before` is the id that the next page begins after. One
    index range."""
    which, values = where(
        ("subject = {}", subject),
        ("subject_id = {}", None if subject_id is None else str(subject_id)),
        ("id < {}", before),
    )
    rows = await tx.fetch(
        f"""select id, at, actor, action, subject, subject_id, details from audit where company_id = $1{which}
            order by id desc limit {int(limit)}""",
        *values,
    )
    return [Entry(**dict(row)) for row in rows]

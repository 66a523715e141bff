"""What people did with calls once they were answered, and their calls back."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from kommutator.crm import missed
from kommutator.crm.numbers import normalize
from kommutator.crm.pool import Tx
from kommutator.routing.doings import CalledBack, Doing, Held


@dataclass(frozen=True, slots=True)
class Done:
    """One thing that somebody did."""

    at: datetime
    kind: str
    """`consulted`, `held`, `passed_on`, `called_back`."""
    facts: dict[str, Any]
    """The entry, as the router told it."""


async def write(tx: Tx, told: Sequence[Doing], country: str) -> None:
    """Writes what is not known yet. One insertion, and one statement for each call back that reached its client: what was
    missed of him before is settled."""
    if not told:
        return
    raw = [msgspec.json.encode(each) for each in told]
    rows = await tx.fetch(
        """insert into call_doings (company_id, call_id, at, digest, kind, state, employee, number, facts)
           select $1, given.* from unnest($2::text[], $3::timestamptz[], $4::bytea[], $5::text[], $6::text[], $7::text[],
               $8::text[], $9::jsonb[]) as given
           on conflict (company_id, call_id, at, digest) do nothing returning kind, state, number, at""",
        [each.call for each in told],
        [datetime.fromtimestamp(each.at / 1000, UTC) for each in told],
        [hashlib.blake2b(each, digest_size=16).digest() for each in raw],
        [str(each.__struct_config__.tag) for each in told],
        [None if isinstance(each, Held) else each.state for each in told],
        [each.by for each in told],
        [normalize(each.number, country) if isinstance(each, CalledBack) else None for each in told],
        [msgspec.json.decode(each) for each in raw],
    )  # fmt: skip
    for row in rows:
        if row["kind"] == "called_back" and row["state"] == "talking" and row["number"] is not None:
            await missed.reached(tx, row["number"], row["at"])


async def of_call(tx: Tx, call_id: str) -> list[Done]:
    """What was done with a call, or in a call back, in order. One index range."""
    rows = await tx.fetch(
        "select at, kind, facts from call_doings where company_id = $1 and call_id = $2 order by at, digest", call_id
    )
    return [Done(row["at"], row["kind"], row["facts"]) for row in rows]

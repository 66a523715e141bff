"""How much waits for somebody: missed calls, tasks, new interests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kommutator.crm.pool import Tx


@dataclass(frozen=True, slots=True)
class Workload:
    """Open ones."""

    missed: int
    tasks: int
    interests: int
    """New ones."""


async def of(tx: Tx, names: Sequence[str], employee: str | None) -> Workload:
    """What is assigned to these names, and the interests that are new to an employee. Three index ranges."""
    row = await tx.one(
        """select
               (select count(*) from missed_calls where company_id = $1 and owner = any($2::text[])
                and closed_at is null) as missed,
               (select count(*) from tasks where company_id = $1 and assign = any($2::text[])
                and closed_at is null) as tasks,
               (select count(*) from interests where company_id = $1 and assignee = $3 and status = 'new') as interests""",
        list(names), employee,
    )  # fmt: skip
    assert row is not None
    return Workload(**dict(row))

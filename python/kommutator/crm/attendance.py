"""The open pages of employees over all desks, and what those were who are offline because theirs are gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from kommutator.crm.pool import Tx


@dataclass(frozen=True, slots=True)
class Absence:
    """Somebody is offline because his pages are gone."""

    presence: str
    """What he was before."""
    at: datetime


async def seen(tx: Tx, tabs: Sequence[tuple[str, str, UUID]], now: datetime) -> None:
    """These pages are open: (page, employee, its connection). One statement."""
    if tabs:
        await tx.run(
            """insert into desk_tabs (company_id, tab, employee, stream, open, seen_at)
               select $1, tab, employee, stream, true, $5 from unnest($2::text[], $3::text[], $4::uuid[])
                   as given (tab, employee, stream) order by tab, employee
               on conflict (company_id, tab, employee) do update set stream = excluded.stream, open = true,
                   seen_at = excluded.seen_at""",
            [each[0] for each in tabs], [each[1] for each in tabs], [each[2] for each in tabs], now,
        )  # fmt: skip


async def closed(tx: Tx, tab: str, stream: UUID, now: datetime) -> None:
    """This connection of a page has ended; another one of it may be there. One row."""
    await tx.run(
        "update desk_tabs set open = false, seen_at = $4 where company_id = $1 and tab = $2 and stream = $3",
        tab, stream, now,
    )  # fmt: skip


async def gone(tx: Tx, closed_before: datetime, lost_before: datetime) -> list[str]:
    """Whose pages are all gone: closed before then, or not seen since. One pass over the pages: hundreds."""
    rows = await tx.fetch(
        """select employee from desk_tabs where company_id = $1 group by employee
           having bool_and(case when open then seen_at < $3 else seen_at < $2 end)""",
        closed_before, lost_before,
    )  # fmt: skip
    return [row["employee"] for row in rows]


async def forget(tx: Tx, employee: str, closed_before: datetime, lost_before: datetime) -> bool:
    """Forget the pages of an employee, if all are gone; False when they are not, or another desk has done it. Locks him."""
    await _lock(tx, employee)
    if employee not in await gone(tx, closed_before, lost_before):
        return False
    return bool(await tx.run("delete from desk_tabs where company_id = $1 and employee = $2", employee))


async def absent(tx: Tx, employee: str, presence: str, now: datetime) -> None:
    """Note what he was who is offline now. One row."""
    await tx.run(
        """insert into absences (company_id, employee, presence, at) values ($1, $2, $3, $4)
           on conflict (company_id, employee) do update set presence = excluded.presence, at = excluded.at""",
        employee, presence, now,
    )  # fmt: skip


async def arrived(tx: Tx, employee: str, now: datetime, stale_before: datetime) -> None:
    """He has signed in: when his first page comes he is what he was before his pages were gone, if that is not long ago, else
    present. One row."""
    await _lock(tx, employee)
    await tx.run(
        """insert into absences (company_id, employee, presence, at) values ($1, $2, 'present', $3)
           on conflict (company_id, employee) do update set presence = excluded.presence, at = excluded.at
           where absences.at < $4""",
        employee, now, stale_before,
    )  # fmt: skip


async def back(tx: Tx, seen_since: datetime) -> list[str]:
    """Who is noted as absent and has a page again. One pass over the absences."""
    rows = await tx.fetch(
        """select employee from absences a where company_id = $1 and exists (
               select 1 from desk_tabs t where t.company_id = $1 and t.employee = a.employee and t.open
               and t.seen_at > $2)""",
        seen_since,
    )
    return [row["employee"] for row in rows]


async def returned(tx: Tx, employee: str) -> Absence | None:
    """He is absent no more, by a page or because somebody said so; what he was before. Locks him."""
    await _lock(tx, employee)
    row = await tx.one("delete from absences where company_id = $1 and employee = $2 returning presence, at", employee)
    return None if row is None else Absence(row["presence"], row["at"])


async def _lock(tx: Tx, employee: str) -> None:
    await tx.value("select pg_advisory_xact_lock($1::integer, hashtext($2))", f"presence of {employee}")

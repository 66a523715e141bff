"""The two questions of a call that only the memory can answer, and whom to tell when an answer changes.

**Whose client is this?** Of the clients at the number, those count whose owner still works here. When their owners
differ, the client in contact with us last is meant; with none in contact yet, the person before the company, then the
one known longest.

**Has this number called before?** When a call from it has *ended*: the call that asks, and others that go on, do not
count.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from kommutator.crm.pool import Tx


async def owner(tx: Tx, number: str) -> str | None:
    """The employee responsible for a number (E.164); None for nobody. One query by index, two rows a client at the
    number."""
    found: str | None = await tx.value(
        """select c.owner from client_numbers n
           join clients c on c.company_id = n.company_id and c.id = n.client_id
           join employees e on e.company_id = c.company_id and e.id = c.owner and e.active
           where n.company_id = $1 and n.number = $2
           order by c.last_contact_at desc nulls last, c.kind = 'company', c.id limit 1""",
        number,
    )
    return found


async def called_before(tx: Tx, number: str, now: datetime, days: int | None = None) -> bool:
    """Whether a call from a number has ended, one that began within so many days when they are given. One row by
    key."""
    since = None if days is None else now - timedelta(days=days)
    found: bool = await tx.value(
        """select exists (select 1 from callers where company_id = $1 and number = $2
           and ($3::timestamptz is null or last_call_at >= $3))""",
        number, since,
    )  # fmt: skip
    return found


async def take_changes(tx: Tx, limit: int = 1_000) -> list[str]:
    """Takes the first changes: the numbers whose owner may have changed, each as often as it was said. When the transaction
    does not commit, they stay.

    Several takers share them. One index range, and a deletion of each.
    """
    rows = await tx.fetch(
        """delete from number_changes where company_id = $1 and id = any(array(
               select id from number_changes where company_id = $1 order by id limit $2
               for update skip locked))
           returning id, number::text""",
        limit,
    )
    return [row["number"] for row in sorted(rows, key=lambda row: row["id"])]


async def owners_of(tx: Tx, numbers: Sequence[str]) -> dict[str, str | None]:
    """`owner` of many numbers. One index range a number."""
    rows = await tx.fetch(
        """select asked.number, found.owner from unnest($2::text[]) as asked (number) left join lateral (
               select c.owner from client_numbers n
               join clients c on c.company_id = n.company_id and c.id = n.client_id
               join employees e on e.company_id = c.company_id and e.id = c.owner and e.active
               where n.company_id = $1 and n.number = asked.number
               order by c.last_contact_at desc nulls last, c.kind = 'company', c.id limit 1) as found on true""",
        list(dict.fromkeys(numbers)),
    )
    return {row["number"]: row["owner"] for row in rows}


async def clients_changed(tx: Tx, employees: Sequence[str]) -> None:
    """The owner of any number of these employees' clients may have changed: they came, or went. One insertion."""
    changed = await tx.run(
        """insert into number_changes (company_id, number) select $1, n.number from clients c
           join client_numbers n on n.company_id = c.company_id and n.client_id = c.id
           where c.company_id = $1 and c.owner = any($2::text[])""",
        list(employees),
    )
    if changed:
        await tx.tell("number_changes")

"""Owners and callers as routers keep them: all of them as they are at one moment, and what changes afterwards, in order.

Whoever changes an owner, and the ledger when a call has ended, leave the number in an outbox, in the same transaction
(`number_changes`, `caller_changes`). From there numbers are *logged*, many at a time, by one desk at a time: what is so now of each,
under the next sequence. A snapshot is of one moment, at which nobody logs, and says which sequence was the last: the changes after
it make it what the database says. A value may be told twice, and never an older one after a newer one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from kommutator.crm import lookups
from kommutator.crm.pool import Connection, Database, Tx

_LOGGING: Final = 0x66616374
"""The first of our two keys among the advisory locks, `fact` in ASCII; the second is the company."""
_MAKING: Final = 0x7461626C
"""The same for who makes a snapshot: `tabl`."""
_LONGEST_S: Final = 3_600.0
"""Of the statements that read everything."""

Page = Callable[[bytes], Coroutine[Any, Any, None]]
"""Takes a piece of the rows, whole lines: a number, a tab, and what belongs to it."""


@dataclass(frozen=True, slots=True)
class State:
    """Where the order of changes stands."""

    epoch: str
    sequence: int
    items: int
    """How many changes of single numbers there have been in all."""


@dataclass(frozen=True, slots=True)
class Logged:
    """Changes under one sequence."""

    epoch: str
    sequence: int
    at: datetime
    owners: tuple[tuple[str, str | None], ...]
    calls: tuple[tuple[str, int], ...]
    """Numbers, and when the last call that has ended began: milliseconds of UTC."""


async def state(tx: Tx) -> State:
    """Where the order stands. One row by key."""
    row = await tx.one("select epoch::text, sequence, items from fact_state where company_id = $1")
    if row is None:
        await tx.run("insert into fact_state (company_id) values ($1) on conflict do nothing")
        return await state(tx)
    return State(**dict(row))


async def log(tx: Tx, limit: int) -> int:
    """Moves at most so many changes of owners, and as many callers, from the outbox to the log; how many changes of the
    kind of which there were more.

    What is so now is read after they were taken, so that a later change is always told later. Some five statements, and an index
    range a number.
    """
    await tx.run("select pg_advisory_xact_lock($2, $1)", _LOGGING)
    numbers = await lookups.take_changes(tx, limit)
    callers = await tx.fetch(
        """delete from caller_changes where company_id = $1 and id = any(array(
               select id from caller_changes where company_id = $1 order by id limit $2)) returning number""",
        limit,
    )
    if not numbers and not callers:
        return 0
    owners = await lookups.owners_of(tx, numbers)
    calls = await tx.fetch(
        f"select number, {_MS} as at from callers where company_id = $1 and number = any($2::text[])",
        list({row["number"] for row in callers}),
    )
    sequence = await tx.value(
        """insert into fact_state (company_id, sequence, items) values ($1, 1, $2) on conflict (company_id) do update
               set sequence = fact_state.sequence + 1, items = fact_state.items + $2 returning sequence""",
        len(owners) + len(calls),
    )
    await tx.run(
        "insert into fact_log (company_id, sequence, at, owners, calls) values ($1, $2, now(), $3, $4)",
        sequence, list(owners.items()), [(row["number"], row["at"]) for row in calls],
    )  # fmt: skip
    return max(len(numbers), len(callers))


async def logged(tx: Tx, limit: int) -> list[Logged]:
    """The first of what was logged and not told."""
    rows = await tx.fetch(
        """select s.epoch::text, l.sequence, l.at, l.owners, l.calls from fact_log l join fact_state s using (company_id)
           where l.company_id = $1 order by l.sequence limit $2""",
        limit,
    )
    return [
        Logged(
            row["epoch"], row["sequence"], row["at"], tuple(map(tuple, row["owners"])), tuple(map(tuple, row["calls"]))
        )
        for row in rows
    ]


async def told(tx: Tx, until: int) -> None:
    """The exchange has all until this sequence."""
    await tx.run("delete from fact_log where company_id = $1 and sequence <= $2", until)


async def waiting(tx: Tx) -> int:
    """How many changes have not been logged, and how many messages of changes not told. Three counts."""
    found: int = await tx.value(
        """select (select count(*) from number_changes where company_id = $1)
               + (select count(*) from caller_changes where company_id = $1)
               + (select count(*) from fact_log where company_id = $1)"""
    )
    return found


async def moment(tx: Tx) -> tuple[State, datetime] | None:
    """Where the order stands, and since when nothing has happened but what is in it; None while something waits."""
    at: datetime = await tx.value("select clock_timestamp() from companies where id = $1")
    # One statement sees one moment: between two, another desk would log what it has not told yet.
    row = await tx.one(
        """select epoch::text, sequence, items from fact_state where company_id = $1
           and not exists (select 1 from number_changes where company_id = $1)
           and not exists (select 1 from caller_changes where company_id = $1)
           and not exists (select 1 from fact_log where company_id = $1)"""
    )
    return None if row is None else (State(**dict(row)), at)


async def begin_epoch(tx: Tx) -> State:
    """Says that routers must not go on from what they were told: this database is older than that."""
    await tx.run("select pg_advisory_xact_lock($2, $1)", _LOGGING)
    await tx.run("update fact_state set epoch = gen_random_uuid() where company_id = $1")
    return await state(tx)


class Snapshot:
    """Everything, as it was at one moment."""

    def __init__(self, connection: Connection, company: int, of: State, at: datetime) -> None:
        self._connection = connection
        self._company = company
        self.of = of
        """The sequence of the last change that is in it."""
        self.at = at

    async def owners(self, page: Page) -> int:
        """Every number that has an owner, `+79161230099<TAB>anna` a line, by number; how many. Memory is of a piece."""
        return await self._copy(_OWNERS, page)

    async def callers(self, page: Page) -> int:
        """Every number of which a call has ended, and when its last one began, in milliseconds of UTC; how many."""
        return await self._copy(f"select number, {_MS} from callers where company_id = $1 order by number", page)

    async def _copy(self, query: str, page: Page) -> int:
        status = await self._connection.copy_from_query(query, self._company, output=page, timeout=_LONGEST_S)
        return int(status.rsplit(" ", 1)[-1])


@asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[Snapshot | None]:
    """The database as it is when nobody logs; None while another desk makes one. It holds up nobody but the vacuum.

    Raises `DatabaseUnreachable`.
    """
    company = database.settings.company
    async with database.session() as connection:
        if not await connection.fetchval("select pg_try_advisory_lock($1, $2)", _MAKING, company):
            yield None
            return
        # A statement sees what was there when it began, not when it was let through: the lock comes before the transaction.
        await connection.execute("select pg_advisory_lock($1, $2)", _LOGGING, company)
        async with connection.transaction(isolation="repeatable_read"):
            tx = Tx(connection, company, "tables")
            at: datetime = await tx.value("select clock_timestamp() from companies where id = $1")
            of = await state(tx)
            await connection.execute("select pg_advisory_unlock($1, $2)", _LOGGING, company)
            await connection.execute("set local work_mem = '64MB'")
            yield Snapshot(connection, company, of, at.astimezone(UTC))
        # What is locked beyond transactions is let go when the connection goes back to the others.


_MS: Final = "round(extract(epoch from last_call_at) * 1000)::bigint"
_OWNERS: Final = """
select distinct on (n.number) n.number, c.owner from client_numbers n
join clients c on c.company_id = n.company_id and c.id = n.client_id
join employees e on e.company_id = c.company_id and e.id = c.owner and e.active
where n.company_id = $1 order by n.number, c.last_contact_at desc nulls last, c.kind = 'company', c.id"""

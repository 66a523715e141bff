"""Clients: people and companies, with many numbers each.

A number is kept as E.164, once at a client. It may stand at several clients (a switchboard and those who sit behind
it): they are offered, not guessed. A client merged into another stays as a pointer to it, so that old links lead
somewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import asyncpg

from kommutator.crm import audit, words
from kommutator.crm.numbers import e164
from kommutator.crm.pool import Row, Tx
from kommutator.errors import Conflict, NotFound, Refused

Kind = Literal["person", "company"]
MAX_NUMBERS = 50
"""Of one client."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What can be written of a client."""

    kind: Kind = "person"
    name: str = ""
    organisation: str = ""
    """The company that a person named."""
    numbers: tuple[str, ...] = ()
    """In any spelling; the first is the main one."""
    email: str = ""
    notes: str = ""
    owner: str | None = None
    """The employee responsible."""
    member_of: int | None = None
    """The client that is this person's company."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client as it is kept."""

    id: int
    kind: Kind
    name: str
    organisation: str
    numbers: tuple[str, ...]
    """E.164."""
    email: str
    notes: str
    owner: str | None
    member_of: int | None
    last_contact_at: datetime | None
    merged_into: int | None
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def draft(self) -> Draft:
        """What can be written of it."""
        return Draft(
            self.kind, self.name, self.organisation, self.numbers, self.email, self.notes, self.owner, self.member_of
        )


@dataclass(frozen=True, slots=True)
class Brief:
    """As much of a client as a list shows."""

    id: int
    name: str
    organisation: str
    number: str | None
    """Its main one, E.164."""
    owner: str | None


async def country(tx: Tx) -> str:
    """The country by whose rules numbers are read. One row by key."""
    found: str = await tx.value("select country from companies where id = $1")
    return found


async def create(tx: Tx, draft: Draft, now: datetime) -> Client:
    """A new client. Four statements. Raises `BadNumber`, and `Refused` for an owner or a company that does not
    exist."""
    numbers = await _numbers(tx, draft)
    client_id: int = await _written(
        tx,
        """insert into clients (company_id, kind, name, organisation, email, notes, owner, member_of, created_at,
        updated_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) returning id""",
        draft.kind, draft.name, draft.organisation, draft.email, draft.notes, draft.owner, draft.member_of, now,
    )  # fmt: skip
    await _index(tx, client_id, draft, numbers)
    await _owner_changed(tx, numbers)
    await audit.record(tx, "client.create", "client", client_id)
    return await get(tx, client_id)


async def change(tx: Tx, client_id: int, draft: Draft, revision: int, now: datetime) -> Client:
    """Writes everything of `draft` over the client at that revision.

    Raises `NotFound`, `Conflict` when it is at another revision, `BadNumber`, `Refused`.
    """
    before = await get(tx, client_id, lock=True)
    if before.merged_into is not None:
        raise Refused(f"client {client_id} was merged into {before.merged_into}")
    if before.revision != revision:
        raise Conflict("client", client_id, before.revision)
    numbers = await _numbers(tx, draft)
    await _written(
        tx,
        """update clients set kind = $3, name = $4, organisation = $5, email = $6, notes = $7, owner = $8, member_of
        = $9,
               updated_at = $10, revision = revision + 1
           where company_id = $1 and id = $2 returning id""",
        client_id, draft.kind, draft.name, draft.organisation, draft.email, draft.notes, draft.owner,
        draft.member_of, now,
    )  # fmt: skip
    await _index(tx, client_id, draft, numbers)
    if (before.owner, before.kind, before.numbers) != (draft.owner, draft.kind, numbers):
        await _owner_changed(tx, dict.fromkeys([*before.numbers, *numbers]))
    after = replace(draft, numbers=numbers)
    await audit.record(tx, "client.change", "client", client_id, _changed(before.draft, after))
    return await get(tx, client_id)


async def get(tx: Tx, client_id: int, *, lock: bool = False) -> Client:
    """One client, merged or not. Two index look-ups. Raises `NotFound`."""
    row = await tx.one(f"{SELECT} and c.id = $2" + (" for no key update of c" if lock else ""), client_id)
    if row is None:
        raise NotFound("client", client_id)
    return of_row(row)


async def by_number(tx: Tx, number: str, *, limit: int = 20) -> list[Client]:
    """All clients at a number (E.164), the one in contact with us last first. One index range."""
    rows = await tx.fetch(
        f"""{SELECT} and c.merged_into is null and c.id in
                (select client_id from client_numbers where company_id = $1 and number = $2)
            order by c.last_contact_at desc nulls last, c.id limit $3""",
        number, limit,
    )  # fmt: skip
    return [of_row(row) for row in rows]


async def briefly(tx: Tx, ids: Sequence[int]) -> dict[int, Brief]:
    """What lists show of clients, by id. Two index look-ups each."""
    rows = await tx.fetch(
        f"select {_BRIEF} from clients c where c.company_id = $1 and c.id = any($2::bigint[])", list(ids)
    )
    return {row["id"]: Brief(**dict(row)) for row in rows}


async def at_numbers(tx: Tx, numbers: Sequence[str], *, each: int = 3) -> dict[str, list[Brief]]:
    """What lists show of the clients at numbers (E.164): at most so many each, the one in contact last first. One index
    range a number."""
    rows = await tx.fetch(
        f"""select asked.number as asked, c.* from unnest($2::text[]) as asked (number) cross join lateral (
                select {_BRIEF} from client_numbers n
                join clients c on c.company_id = n.company_id and c.id = n.client_id
                where n.company_id = $1 and n.number = asked.number
                order by c.last_contact_at desc nulls last, c.id limit $3) c""",
        list(dict.fromkeys(numbers)), each,
    )  # fmt: skip
    found: dict[str, list[Brief]] = {}
    for row in rows:
        brief = Brief(row["id"], row["name"], row["organisation"], row["number"], row["owner"])
        found.setdefault(row["asked"], []).append(brief)
    return found


async def members(tx: Tx, client_id: int, *, limit: int = 50) -> list[Brief]:
    """The people of a company. One index range."""
    rows = await tx.fetch(
        f"select {_BRIEF} from clients c where c.company_id = $1 and c.member_of = $2 order by c.id limit $3",
        client_id, limit,
    )  # fmt: skip
    return [Brief(**dict(row)) for row in rows]


async def of_owner(tx: Tx, owner: str, *, after: int = 0, limit: int = 50) -> list[Client]:
    """The clients of an employee by id; `after` is the id that the next page begins after. One index range."""
    rows = await tx.fetch(f"{SELECT} and c.owner = $2 and c.id > $3 order by c.id limit $4", owner, after, limit)
    return [of_row(row) for row in rows]


async def merge(tx: Tx, kept_id: int, merged_id: int, now: datetime) -> Client:
    """Makes two clients one: the second's numbers, interactions and interests go to the first, which keeps its own
    words and gets the second's where it had none.

    Raises `NotFound`; `Refused` for a client with itself, one that is merged already, or more than 50 numbers in all.
    """
    if kept_id == merged_id:
        raise Refused("a client cannot be merged with itself")
    first, second = sorted((kept_id, merged_id))  # always locked in one order
    locked = {each.id: each for each in (await get(tx, first, lock=True), await get(tx, second, lock=True))}
    kept, merged = locked[kept_id], locked[merged_id]
    for each in (kept, merged):
        if each.merged_into is not None:
            raise Refused(f"client {each.id} was merged into {each.merged_into} already")
    member_of = kept.member_of or merged.member_of
    draft = Draft(
        kind=kept.kind,
        name=kept.name or merged.name,
        organisation=kept.organisation or merged.organisation,
        numbers=tuple(dict.fromkeys([*kept.numbers, *merged.numbers])),
        email=kept.email or merged.email,
        notes="\n\n".join(dict.fromkeys(notes for notes in (kept.notes, merged.notes) if notes)),
        owner=kept.owner or merged.owner,
        member_of=None if member_of in (kept_id, merged_id) else member_of,
    )
    if len(draft.numbers) > MAX_NUMBERS:
        raise Refused(f"together they have more than {MAX_NUMBERS} numbers")
    await tx.run("delete from client_numbers where company_id = $1 and client_id = $2", merged_id)
    await tx.run("delete from client_words where company_id = $1 and client_id = $2", merged_id)
    await tx.run(
        "update clients set merged_into = $3, owner = null, member_of = null, updated_at = $4, revision = revision + 1 "
        "where company_id = $1 and id = $2",
        merged_id, kept_id, now,
    )  # fmt: skip
    await tx.run("update clients set merged_into = $3 where company_id = $1 and merged_into = $2", merged_id, kept_id)
    await tx.run(
        "update clients set member_of = nullif($3, id) where company_id = $1 and member_of = $2", merged_id, kept_id
    )
    await tx.run(
        """update interactions i set client_id = $3, call_id = case when exists (select 1 from interactions o
               where o.company_id = $1 and o.client_id = $3 and o.call_id = i.call_id) then null else i.call_id end
           where i.company_id = $1 and i.client_id = $2""",
        merged_id, kept_id,
    )  # fmt: skip
    await tx.run("update interests set client_id = $3 where company_id = $1 and client_id = $2", merged_id, kept_id)
    await tx.run(
        """update clients set name = $3, organisation = $4, email = $5, notes = $6, owner = $7, member_of = $8,
               last_contact_at = greatest(last_contact_at, $9), updated_at = $10, revision = revision + 1
           where company_id = $1 and id = $2""",
        kept_id, draft.name, draft.organisation, draft.email, draft.notes, draft.owner, draft.member_of,
        merged.last_contact_at, now,
    )  # fmt: skip
    await _index(tx, kept_id, draft, draft.numbers)
    await _owner_changed(tx, draft.numbers)
    await audit.record(tx, "client.merge", "client", kept_id, {"merged": merged_id, "numbers": list(merged.numbers)})
    return await get(tx, kept_id)


async def touched(tx: Tx, client_id: int, at: datetime) -> None:
    """Notes a contact with the client: among several at one number, the one in contact last counts as meant, and routers are told.
    Two statements."""
    await tx.run(
        "update clients set last_contact_at = greatest(last_contact_at, $3) where company_id = $1 and id = $2",
        client_id,
        at,
    )
    shared = await tx.run(
        """insert into number_changes (company_id, number) select $1, n.number from client_numbers n
           where n.company_id = $1 and n.client_id = $2 and exists (select 1 from client_numbers other
               where other.company_id = $1 and other.number = n.number and other.client_id <> $2)""",
        client_id,
    )
    if shared:
        await tx.tell("number_changes")


# --- inside


async def _numbers(tx: Tx, draft: Draft) -> tuple[str, ...]:
    if len(draft.numbers) > MAX_NUMBERS:
        raise Refused(f"a client has at most {MAX_NUMBERS} numbers")
    if not draft.numbers:
        return ()
    rules = await country(tx)
    return tuple(dict.fromkeys(e164(number, rules) for number in draft.numbers))


async def _written(tx: Tx, query: str, *arguments: object) -> Any:
    try:
        async with tx.connection.transaction():
            return await tx.value(query, *arguments)
    except asyncpg.ForeignKeyViolationError as error:
        what = "employee" if "owner" in str(error.constraint_name) else "company"
        raise Refused(f"there is no such {what}") from error
    except asyncpg.CheckViolationError as error:
        raise Refused(f"a client cannot be like that: {error.constraint_name}") from error


async def _index(tx: Tx, client_id: int, draft: Draft, numbers: Sequence[str]) -> None:
    """Writes the numbers and the words by which the client is found."""
    await tx.run(
        "delete from client_numbers where company_id = $1 and client_id = $2 and number <> all($3::text[])",
        client_id, list(numbers),
    )  # fmt: skip
    await tx.run(
        """insert into client_numbers (company_id, number, client_id, position)
           select $1, number, $2, place - 1 from unnest($3::text[]) with ordinality as given (number, place)
           on conflict (company_id, number, client_id) do update set position = excluded.position""",
        client_id, list(numbers),
    )  # fmt: skip
    found = words.of(draft.name, draft.organisation, draft.email)
    await tx.run(
        "delete from client_words where company_id = $1 and client_id = $2 and word <> all($3::text[])",
        client_id,
        found,
    )
    await tx.run(
        "insert into client_words (company_id, word, client_id) select $1, unnest($3::text[]), $2 "
        "on conflict do nothing",
        client_id, found,
    )  # fmt: skip


async def _owner_changed(tx: Tx, numbers: Sequence[str] | dict[str, None]) -> None:
    """Lets the routers be told: see `lookups.take_changes`."""
    await tx.run("insert into number_changes (company_id, number) select $1, unnest($2::text[])", list(numbers))
    await tx.tell("number_changes")


def _changed(before: Draft, after: Draft) -> dict[str, Any]:
    return {
        key: [getattr(before, key), getattr(after, key)]
        for key in Draft.__slots__
        if getattr(before, key) != getattr(after, key)
    }


def of_row(row: Row) -> Client:
    return Client(**{**dict(row), "numbers": tuple(row["numbers"])})


_BRIEF = """c.id, c.name, c.organisation, c.owner,
(select m.number::text from client_numbers m where m.company_id = c.company_id and m.client_id = c.id
 order by m.position limit 1) as number"""
SELECT = """
select c.id, c.kind, c.name, c.organisation, c.email, c.notes, c.owner, c.member_of, c.last_contact_at, c.merged_into,
       c.revision, c.created_at, c.updated_at,
       array(select n.number::text from client_numbers n where n.company_id = c.company_id and n.client_id = c.id
             order by n.position) as numbers
from clients c where c.company_id = $1"""

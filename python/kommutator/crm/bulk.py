"""Many clients at once, from a file: all or none, and the same when they are taken again.

**Who is meant.** A row means the client here who has the same name (its words, in any order and case) and a telephone number or the
e-mail address in common; of several, the one with the most numbers in common, then with the address, then the one known longest.
Rows of the file with the same name and a number or the address in common are one client. Where nobody fits by name, a client without
a name here, or a row without a name, is meant by a number in common alone: each once, and not where other rows of that name have
something in common with them. A row with a name alone means the client of that name who has neither number nor address. Everybody
else is new: another name at a known number is another client.

**What is written.** What the file tells is written over what was here, of several rows the last; what it leaves empty stays. Numbers
are added after those that are here, and none is taken away. A client merged into another is never meant: his numbers are the other's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

from kommutator.crm import audit, clients, words
from kommutator.crm.client_csv import BadRow, ClientRow
from kommutator.crm.clients import MAX_NUMBERS, Client
from kommutator.crm.pool import Row, Tx
from kommutator.errors import ClientsInvalid, Refused

BATCH: Final = 10_000
MOST_TOLD: Final = 1_000
"""Of the rows that cannot be taken, so many are told one by one."""
_LONGEST_S: Final = 3_600.0
"""Of one statement; those of a million rows outlast the deadline of a desk's."""
_LOCK: Final = 0x636C69656E7473
"""Our own key among the advisory locks: `clients` in ASCII. One file is taken at a time."""

Progress = Callable[[str, int], None]
"""Told what is being done, and how many rows or clients of it are done."""


@dataclass(slots=True)
class Taken:
    """What became of a file."""

    rows: int = 0
    """That were taken."""
    new: int = 0
    changed: int = 0
    """Clients known here, of whom the file told something else."""
    same: int = 0
    """Clients known here as the file tells them."""
    skipped: int = 0
    """Rows that cannot be taken."""
    problems: list[str] = field(default_factory=list)
    """Of the first of these."""

    def skip(self, *problems: str) -> None:
        """Notes a row that cannot be taken."""
        self.skipped += 1
        self.problems += problems[: max(0, MOST_TOLD - len(self.problems))]


async def take(
    tx: Tx, rows: Iterable[ClientRow | BadRow], now: datetime, *, skip_bad: bool = False,
    progress: Progress = lambda _what, _done: None,
) -> Taken:  # fmt: skip
    """Takes the rows of a file, by the rules above; routers are told of the owners that it changes.

    Memory is of a batch and of the rows that are one client with others; the rest is in temporary tables. A million new clients take
    some two minutes. Raises `ClientsInvalid` after the whole file was looked through, unless bad rows are skipped, and `Refused` when
    a client that is meant was merged meanwhile: then nothing must be committed.
    """
    taken = Taken()
    await _run(tx, "set local work_mem = '128MB'")
    await _run(tx, "select pg_advisory_xact_lock($1)", _LOCK)
    for table in _TABLES:
        await _run(tx, table)
    await _stage(tx, rows, taken, progress)
    if taken.skipped and not skip_bad:
        raise ClientsInvalid(taken.problems, taken.skipped)
    progress("comparing", 0)
    await _group(tx)
    await _known(tx)
    await _meant(tx)
    await _target(tx)
    await _bound(tx, taken, skip_bad)
    await _change(tx, now, taken, progress)
    await _create(tx, now, taken, progress)
    if taken.new or taken.changed:
        await _tell(tx)
        told = {"rows": taken.rows, "new": taken.new, "changed": taken.changed, "skipped": taken.skipped}
        await audit.record(tx, "client.import", "client", "*", told)
    return taken


async def every(tx: Tx) -> AsyncIterator[list[Client]]:
    """All clients that are not merged by id, in batches."""
    after = 0
    while rows := await tx.fetch(
        f"{clients.SELECT} and c.merged_into is null and c.id > $2 order by c.id limit $3", after, BATCH
    ):
        yield [clients.of_row(row) for row in rows]
        after = rows[-1]["id"]


# --- the file, in temporary tables


async def _stage(tx: Tx, rows: Iterable[ClientRow | BadRow], taken: Taken, progress: Progress) -> None:
    remaining = iter(rows)
    place = 0
    while batch := list(islice(remaining, BATCH)):
        good = [row for row in batch if isinstance(row, ClientRow)]
        for row in batch:
            if isinstance(row, BadRow):
                taken.skip(*row.problems)
        numbered = [(at, row, _name_key(row.name)) for at, row in enumerate(good, place)]
        place += len(good)
        await _copy(tx, "incoming", (
            (at, at, row.line, key, row.name, row.kind, row.organisation, row.email, row.owner, row.notes)
            for at, row, key in numbered
        ))  # fmt: skip
        await _copy(tx, "incoming_keys", (
            (at, at, key, number, index) for at, row, key in numbered for index, number in enumerate(row.numbers)
        ))  # fmt: skip
        progress("reading", taken.skipped + place)
    taken.rows = place
    await _run(
        tx,
        "insert into incoming_keys select row, row, name_key, 'mail:' || lower(email) from incoming where email <> ''",
    )
    await _run(
        tx,
        """insert into incoming_keys select row, row, name_key, '' from incoming i
           where email = '' and not exists (select 1 from incoming_keys k where k.row = i.row)""",
    )
    await _run(tx, "analyze incoming")
    await _run(tx, "analyze incoming_keys")


async def _group(tx: Tx) -> None:
    """Rows that are one client get the first of them as their leader."""
    leader: dict[int, int] = {}

    def find(row: int) -> int:
        while (above := leader.setdefault(row, row)) != row:
            leader[row] = row = leader[above]
        return row

    shared = "select array_agg(distinct row) as rows from incoming_keys group by name_key, key having count(*) > 1"
    async for batch in _cursor(tx, shared):
        for found in batch:
            first = find(found["rows"][0])
            for row in found["rows"][1:]:
                other = find(row)
                first, other = min(first, other), max(first, other)
                leader[other] = first
    followers = ((row, find(row)) for row in tuple(leader) if find(row) != row)
    await _copy(tx, "following", followers)
    for table in ("incoming", "incoming_keys"):
        await _run(tx, f"update {table} i set leader = f.leader from following f where i.row = f.row")


# --- whom they mean


async def _known(tx: Tx) -> None:
    """The clients here who have a key in common with the file, and their keys."""
    await _run(
        tx,
        """insert into known_ids
           select n.client_id from client_numbers n
           where n.company_id = $1 and n.number in (select key from incoming_keys where key like '+%')
           union select c.id from clients c
           where c.company_id = $1 and c.merged_into is null and c.email <> ''
             and 'mail:' || lower(c.email) in (select key from incoming_keys where key like 'mail:%')
           union select c.id from clients c
           where exists (select 1 from incoming_keys where key = '') and c.company_id = $1 and c.merged_into is null
             and c.email = '' and not exists
                 (select 1 from client_numbers n where n.company_id = $1 and n.client_id = c.id)""",
        tx.company,
    )
    await _run(tx, "analyze known_ids")
    names = "select id, name from known_ids join clients c using (id) where c.company_id = $1"
    async for batch in _cursor(tx, names, tx.company):
        await _copy(tx, "known", ((row["id"], _name_key(row["name"])) for row in batch))
    await _run(
        tx,
        """insert into known_keys
           select k.id, k.name_key, n.number from known k join client_numbers n on n.company_id = $1 and n.client_id = k.id
           union all select k.id, k.name_key, case when c.email = '' then '' else 'mail:' || lower(c.email) end
           from known k join clients c on c.company_id = $1 and c.id = k.id
           where c.email <> '' or not exists (select 1 from client_numbers n where n.company_id = $1 and n.client_id = k.id)""",
        tx.company,
    )
    await _run(tx, "analyze known_keys")


async def _meant(tx: Tx) -> None:
    await _run(
        tx,
        """insert into meant select distinct on (leader) leader, id from (
               select i.leader, k.id, count(distinct i.key) filter (where i.key like '+%') as numbers,
                   bool_or(i.key like 'mail:%') as address
               from incoming_keys i join known_keys k on k.name_key = i.name_key and k.key = i.key
               group by i.leader, k.id) as fitting
           order by leader, numbers desc, address desc, id""",
    )
    await _run(tx, "analyze meant")
    # Who has no name must not get what would make him another row's the next time: a key of a row that has his name by then.
    nameless = await tx.connection.fetch(
        """select leader, id from (
               select i.leader, k.id, i.key from incoming_keys i join known_keys k on k.key = i.key
               where i.name_key = '' and i.key like '+%' and not exists (
                   select 1 from incoming_keys z join incoming_keys o on o.key = z.key
                   where z.leader = i.leader and o.name_key = k.name_key)
               union select i.leader, k.id, i.key from incoming_keys i join known_keys k on k.key = i.key
               where k.name_key = '' and i.key like '+%' and not exists (
                   select 1 from known_keys z join incoming_keys o on o.key = z.key
                   where z.id = k.id and o.name_key = i.name_key and o.leader <> i.leader)) as fitting
           where not exists (select 1 from meant m where m.leader = fitting.leader)
             and not exists (select 1 from meant m where m.id = fitting.id)
           group by leader, id order by leader, count(*) desc, id""",
        timeout=_LONGEST_S,
    )
    found: dict[int, int] = {}
    gone: set[int] = set()
    for row in nameless:
        if row["leader"] not in found and row["id"] not in gone:
            found[row["leader"]] = row["id"]
            gone.add(row["id"])
    await _copy(tx, "meant", found.items())


async def _target(tx: Tx) -> None:
    """What is to be written of whom: one row a client, new or known."""
    await _run(
        tx,
        """insert into target (leader, id, new, contactless)
           select g.leader, coalesce(m.id, nextval(pg_get_serial_sequence('clients', 'id'))), m.id is null, g.contactless
           from (select leader, not bool_or(key like '+%') as contactless from incoming_keys group by leader order by leader) g
           left join meant m using (leader)""",
    )
    await _run(tx, "analyze target")
    # Rows without numbers come last: they were found by the address, which must stay for them to be found by again.
    last = "(array_agg({0} order by t.contactless desc, i.row desc) filter (where {0} <> ''))[1]"
    await _run(
        tx,
        f"""insert into written
            select t.id, bool_or(t.new), min(i.line), {", ".join(last.format(f"i.{name}") for name in _WRITTEN)}
            from target t join incoming i on i.leader = t.leader group by t.id""",
    )
    await _run(
        tx,
        """insert into written_numbers
           select id, number, coalesce(most + 1, 0) + row_number() over (partition by id order by contactless, row, place) - 1
           from (select distinct on (t.id, k.key) t.id, k.key as number, t.contactless, k.row, k.place,
                     (select max(position) from client_numbers n where not t.new and n.company_id = $1 and n.client_id = t.id) as most
                 from target t join incoming_keys k on k.leader = t.leader and k.key like '+%'
                 where t.new or not exists (select 1 from client_numbers n where n.company_id = $1 and n.client_id = t.id
                                            and n.number = k.key)
                 order by t.id, k.key, t.contactless, k.row, k.place) as added""",
        tx.company,
    )
    await _run(tx, "analyze written")
    await _run(tx, "analyze written_numbers")


async def _bound(tx: Tx, taken: Taken, skip_bad: bool) -> None:
    """Nobody gets more numbers than a client may have: only rows that come together can make so many."""
    rows = await tx.connection.fetch(
        """delete from written w using (
               select id, count(*) + (select count(*) from client_numbers c where c.company_id = $1 and c.client_id = n.id) as many
               from written_numbers n group by id) as counted
           where w.id = counted.id and counted.many > $2 returning w.id, w.line, counted.many""",
        tx.company, MAX_NUMBERS, timeout=_LONGEST_S,
    )  # fmt: skip
    for row in sorted(rows, key=lambda row: row["line"]):
        taken.skip(
            f"line {row['line']}: with what else is known, {row['many']} numbers; a client has at most {MAX_NUMBERS}"
        )
    if rows:
        await _run(tx, "delete from written_numbers where id = any($1::bigint[])", [row["id"] for row in rows])
        if not skip_bad:
            raise ClientsInvalid(taken.problems, taken.skipped)


# --- what is written


async def _change(tx: Tx, now: datetime, taken: Taken, progress: Progress) -> None:
    await _run(
        tx,
        f"""insert into changing select w.id from written w join clients c on c.company_id = $1 and c.id = w.id
            where not w.new and ({" or ".join(f"w.{name} <> c.{name}" for name in _WRITTEN if name != "owner")}
                or (w.owner is not null and w.owner is distinct from c.owner)
                or exists (select 1 from written_numbers n where n.id = w.id))""",
        tx.company,
    )
    locked = """select c.id, c.merged_into from clients c where c.company_id = $1 and c.id in (select id from changing)
                order by c.id for no key update"""
    async for batch in _cursor(tx, locked, tx.company):
        for row in batch:
            if row["merged_into"] is not None:
                raise Refused(f"client {row['id']} was merged into {row['merged_into']} meanwhile: import again")
    await _run(
        tx,
        f"""update clients c set {", ".join(f"{name} = coalesce(w.{name}, c.{name})" for name in _WRITTEN)},
                updated_at = $2, revision = revision + 1
            from changing join written w using (id) where c.company_id = $1 and c.id = changing.id""",
        tx.company, now,
    )  # fmt: skip
    await _run(
        tx,
        """insert into client_numbers (company_id, number, client_id, position)
           select $1, number, id, position from written_numbers join changing using (id)""",
        tx.company,
    )
    found = (
        "select c.id, c.name, c.organisation, c.email from changing join clients c using (id) where c.company_id = $1"
    )
    async for batch in _cursor(tx, found, tx.company):
        await _run(
            tx, "delete from client_words where company_id = $1 and client_id = any($2::bigint[])",
            tx.company, [row["id"] for row in batch],
        )  # fmt: skip
        await _copy(tx, "new_words", _words(batch))
        taken.changed += len(batch)
        progress("changing", taken.changed)
    known = await tx.connection.fetchval("select count(*) from written where not new", timeout=_LONGEST_S)
    taken.same = known - taken.changed


async def _create(tx: Tx, now: datetime, taken: Taken, progress: Progress) -> None:
    found = """select id, coalesce(kind, 'person') as kind, coalesce(name, '') as name, coalesce(organisation, '') as organisation,
                   coalesce(email, '') as email, coalesce(notes, '') as notes, owner from written where new order by id"""
    async for batch in _cursor(tx, found):
        await _copy(tx, "clients", (
            (tx.company, r["id"], r["kind"], r["name"], r["organisation"], r["email"], r["notes"], r["owner"], now, now) for r in batch
        ), ("company_id", "id", "kind", "name", "organisation", "email", "notes", "owner", "created_at", "updated_at"))  # fmt: skip
        await _copy(tx, "new_words", _words(batch))
        taken.new += len(batch)
        progress("creating", taken.new)
    # In the order of the largest index of each table: a million in the order of the file take it apart page by page.
    progress("indexing numbers", 0)
    await _run(
        tx,
        """insert into client_numbers (company_id, number, client_id, position)
           select $1, n.number, n.id, n.position from written_numbers n join written w on w.id = n.id and w.new
           order by n.number, n.id""",
        tx.company,
    )
    progress("indexing words", 0)
    await _run(
        tx,
        "insert into client_words (company_id, word, client_id) select $1, word, id from new_words order by word, id",
        tx.company,
    )


async def _tell(tx: Tx) -> None:
    """Routers hear of every number whose owner the file may have changed. A new client without an owner changes nobody's."""
    status = await tx.connection.execute(
        """insert into number_changes (company_id, number)
           select $1, n.number from changing g join client_numbers n on n.company_id = $1 and n.client_id = g.id
           union all select $1, n.number from written_numbers n join written w on w.id = n.id
           where w.new and w.owner is not null""",
        tx.company, timeout=_LONGEST_S,
    )  # fmt: skip
    if status != "INSERT 0 0":
        await tx.tell("number_changes")


def _words(rows: Iterable[Row]) -> Iterator[tuple[str, int]]:
    return ((word, row["id"]) for row in rows for word in words.of(row["name"], row["organisation"], row["email"]))


def _name_key(name: str) -> str:
    return " ".join(sorted(set(words.of(name))))


async def _run(tx: Tx, statement: str, *arguments: object) -> None:
    await tx.connection.execute(statement, *arguments, timeout=_LONGEST_S)


async def _copy(tx: Tx, table: str, records: Iterable[Sequence[object]], columns: Sequence[str] | None = None) -> None:
    await tx.connection.copy_records_to_table(
        table, records=records, columns=columns or _COLUMNS[table], timeout=_LONGEST_S
    )


async def _cursor(tx: Tx, query: str, *arguments: object) -> AsyncIterator[list[Row]]:
    cursor = await tx.connection.cursor(query, *arguments, timeout=_LONGEST_S)
    while batch := await cursor.fetch(BATCH, timeout=_LONGEST_S):
        yield batch


_WRITTEN: Final = ("name", "kind", "organisation", "email", "owner", "notes")
_FIELDS: Final = 'name text collate "C", kind text, organisation text, email text, owner text, notes text'
_TABLES: Final = tuple(
    f"create temporary table {table} on commit drop"
    for table in (
        f'incoming (row integer, leader integer, line integer, name_key text collate "C", {_FIELDS})',
        'incoming_keys (row integer, leader integer, name_key text collate "C", key text collate "C", place smallint)',
        "following (row integer, leader integer)",
        "known_ids (id bigint)",
        'known (id bigint, name_key text collate "C")',
        'known_keys (id bigint, name_key text collate "C", key text collate "C")',
        "meant (leader integer, id bigint)",
        "target (leader integer, id bigint, new boolean, contactless boolean)",
        f"written (id bigint, new boolean, line integer, {_FIELDS})",
        'written_numbers (id bigint, number text collate "C", position integer)',
        "changing (id bigint)",
        'new_words (word text collate "C", id bigint)',
    )
)
"""A key of a row or a client is a number, or `mail:` and the address, or nothing where there is neither."""
_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "incoming": ("row", "leader", "line", "name_key", *_WRITTEN),
    "incoming_keys": ("row", "leader", "name_key", "key", "place"),
    "following": ("row", "leader"),
    "known": ("id", "name_key"),
    "meant": ("leader", "id"),
    "new_words": ("word", "id"),
}

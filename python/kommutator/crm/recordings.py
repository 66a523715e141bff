"""Recordings: what was recorded, where its sound is, and who has heard it. The sound itself is not kept in the
database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from kommutator.crm import outbox
from kommutator.crm.pool import Row, Tx
from kommutator.errors import NotFound
from kommutator.routing.entries import recording_key

Kind = Literal["voicemail", "conversation"]


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording."""

    name: str
    kind: Kind
    call_id: str
    seconds: float
    assign: str | None
    """The employee or department whom it is for."""
    at: datetime
    location: str | None
    """Where the sound is, such as a key of the object store; None until it has arrived."""
    bytes: int | None
    media_type: str | None
    stored_at: datetime | None
    heard_at: datetime | None
    heard_by: str | None
    expired_at: datetime | None
    """When its sound was deleted, by the company's rule of how long it is kept."""


async def expect(
    tx: Tx, name: str, kind: Kind, call_id: str, seconds: float, at: datetime, *, assign: str | None = None
) -> bool:
    """A recording was made and its sound is on its way, or there already; False when it is known. One or two statements."""
    key = recording_key(name)
    await _alone(tx, key)
    added = await tx.run(
        """with file as (delete from recording_files where company_id = $1 and key = $8
                         returning location, bytes, media_type, stored_at)
           insert into recordings (company_id, name, kind, call_id, seconds, assign, at, location, bytes, media_type,
               stored_at)
           select $1, $2, $3, $4, $5, $6, $7, file.location, file.bytes, file.media_type, file.stored_at
           from (values (1)) as one left join file on true
           on conflict (company_id, name) do nothing""",
        name, kind, call_id, seconds, assign, at, key,
    )  # fmt: skip
    return bool(added)


async def stored(tx: Tx, key: str, location: str, size: int, media_type: str, now: datetime) -> Recording | None:
    """The sound has arrived there, `size` in bytes, of the recording whose `recording_key` this is.

    Those who listen are told, and letters that waited for it are due. None when the ledger has not told of the recording
    yet: then it is found there when it does. Idempotent.
    """
    await _alone(tx, key)
    row = await tx.one(
        f"""update recordings set location = $3, bytes = $4, media_type = $5, stored_at = $6
            where company_id = $1 and regexp_replace(name, '[^A-Za-z0-9._~-]', '_', 'g') = $2 and expired_at is null
            returning {_COLUMNS}""",
        key, location, size, media_type, now,
    )  # fmt: skip
    if row is None:
        await tx.run(
            """insert into recording_files (company_id, key, location, bytes, media_type, stored_at)
               values ($1, $2, $3, $4, $5, $6) on conflict (company_id, key) do update
               set location = excluded.location, bytes = excluded.bytes, media_type = excluded.media_type""",
            key, location, size, media_type, now,
        )  # fmt: skip
        return None
    await tx.tell("recording", name=row["name"])
    await outbox.due_at_once(tx, row["call_id"], row["name"], now)
    return _of(row, row["name"])


async def arrived(tx: Tx, name: str) -> bool:
    """Whether the sound of a recording is here. One row by key."""
    query = "select stored_at is not null from recordings where company_id = $1 and name = $2"
    return bool(await tx.value(query, name))


async def _alone(tx: Tx, key: str) -> None:
    """The ledger and the sound tell of one recording one after the other."""
    await tx.value("select pg_advisory_xact_lock($1::integer, hashtext($2))", key)


async def heard(tx: Tx, name: str, now: datetime) -> Recording:
    """`tx.actor` has listened to it; the first listener counts. Raises `NotFound`."""
    row = await tx.one(
        f"""update recordings set heard_at = coalesce(heard_at, $3), heard_by = coalesce(heard_by, $4)
            where company_id = $1 and name = $2 returning {_COLUMNS}""",
        name, now, tx.actor,
    )  # fmt: skip
    return _of(row, name)


async def get(tx: Tx, name: str) -> Recording:
    """One recording. One row by key. Raises `NotFound`."""
    return _of(await tx.one(f"select {_COLUMNS} from recordings where company_id = $1 and name = $2", name), name)


async def of_call(tx: Tx, call_id: str) -> list[Recording]:
    """The recordings of a call, in order. One index range."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from recordings where company_id = $1 and call_id = $2 order by at", call_id
    )
    return [_of(row, row["name"]) for row in rows]


async def awaited(tx: Tx, *, limit: int = 100) -> list[Recording]:
    """Recordings whose sound has not arrived, the oldest first: to be fetched again, or to raise an alarm. One index
    range."""
    rows = await tx.fetch(
        f"select {_COLUMNS} from recordings where company_id = $1 and location is null and expired_at is null order by at limit $2",
        limit,
    )
    return [_of(row, row["name"]) for row in rows]


def _of(row: Row | None, name: str) -> Recording:
    if row is None:
        raise NotFound("recording", name)
    return Recording(**dict(row))


_COLUMNS = """name, kind, call_id, seconds, assign, at, location, bytes, media_type, stored_at, heard_at, heard_by,
expired_at"""

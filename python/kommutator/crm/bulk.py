"""Many clients at once: from another CRM, or to see how this one does with a million."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

from kommutator.crm import audit, clients, lookups, words
from kommutator.crm.clients import Draft
from kommutator.crm.numbers import e164
from kommutator.crm.pool import Tx

_BATCH = 5_000


async def load(tx: Tx, drafts: Iterable[Draft], now: datetime) -> int:
    """Creates clients by COPY, all or none, and returns how many. `member_of` is not read.

    Routers are not told number by number, but to forget all owners (`lookups.take_all`). The numbers are not
    compared with those of clients that exist: a number may stand at several. Raises `BadNumber`, and asyncpg's
    own error for an owner that does not exist.
    """
    rules = await clients.country(tx)
    done = 0
    remaining = iter(drafts)
    while batch := list(islice(remaining, _BATCH)):
        ids = await _ids(tx, len(batch))
        await _copy(tx, "clients", _CLIENT, ((tx.company, id, d.kind, d.name, d.organisation, d.email, d.notes, d.owner, now, now)
                                             for id, d in zip(ids, batch, strict=True)))  # fmt: skip
        await _copy(tx, "client_numbers", _NUMBER, _numbers(tx.company, ids, batch, rules))
        await _copy(tx, "client_words", _WORD, ((tx.company, word, id) for id, d in zip(ids, batch, strict=True)
                                                for word in words.of(d.name, d.organisation, d.email)))  # fmt: skip
        done += len(batch)
    await lookups.all_changed(tx)
    await audit.record(tx, "client.load", "client", "*", {"clients": done})
    return done


async def _ids(tx: Tx, many: int) -> list[int]:
    rows = await tx.connection.fetch(
        "select nextval(pg_get_serial_sequence('clients', 'id')) as id from generate_series(1, $1)", many
    )
    return [row["id"] for row in rows]


async def _copy(tx: Tx, table: str, columns: tuple[str, ...], records: Iterable[tuple[object, ...]]) -> None:
    await tx.connection.copy_records_to_table(table, records=records, columns=columns)


def _numbers(company: int, ids: list[int], batch: list[Draft], rules: str) -> Iterator[tuple[object, ...]]:
    for id, draft in zip(ids, batch, strict=True):
        for position, number in enumerate(dict.fromkeys(e164(number, rules) for number in draft.numbers)):
            yield company, number, id, position


_CLIENT = ("company_id", "id", "kind", "name", "organisation", "email", "notes", "owner", "created_at", "updated_at")
_NUMBER = ("company_id", "number", "client_id", "position")
_WORD = ("company_id", "word", "client_id")

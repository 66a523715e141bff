"""The search for clients: by number in any spelling, by its beginning or its last digits, and by the beginnings of
words.

Every search is a bounded number of index ranges, whatever the number of clients; that is why it looks for
beginnings, not for any part.
"""

from __future__ import annotations

from itertools import zip_longest

from kommutator.crm import clients, words
from kommutator.crm.clients import Client
from kommutator.crm.numbers import NumberQuery, number_query
from kommutator.crm.pool import Tx

_LOOKED_THROUGH = 10_000
"""Of the rarest word's clients, so many are looked through for the other words; beyond that some may be missed."""
_COUNTED = _LOOKED_THROUGH + 1
"""So far words are counted, to find the rarest."""


async def search(tx: Tx, typed: str, *, limit: int = 20) -> list[Client]:
    """The clients that `typed` may mean, the best first.

    A whole number in any spelling finds its clients. Three digits or more find the numbers that begin or end so. Anything else finds
    clients that have a word beginning with each word typed: those who have the rarest of them exactly, then those in contact with us
    last, among the first 200 in the order of that word.
    """
    number = number_query(typed, await clients.country(tx))
    if number is not None:
        return await _by_number(tx, number, limit)
    wanted = words.typed(typed)
    return await _by_words(tx, wanted, limit) if wanted else []


async def _by_number(tx: Tx, query: NumberQuery, limit: int) -> list[Client]:
    if query.whole is not None:
        found = await clients.by_number(tx, query.whole, limit=limit)
        if found:
            return found
    ways: list[list[int]] = []
    for beginning in query.beginnings:
        rows = await tx.fetch(
            """select client_id from client_numbers where company_id = $1 and number >= $2 and number < $3
               order by number limit $4""",
            beginning, words.after(beginning), limit,
        )  # fmt: skip
        ways.append([row["client_id"] for row in rows])
    backwards = query.ending[::-1]
    rows = await tx.fetch(
        """select client_id from client_numbers where company_id = $1 and reverse(number::text) collate "C" >= $2
           and reverse(number::text) collate "C" < $3 order by reverse(number::text) collate "C" limit $4""",
        backwards, words.after(backwards), limit,
    )  # fmt: skip
    ways.append([row["client_id"] for row in rows])
    # In turns, so that the many numbers that begin so never crowd out the one that ends so.
    ids = dict.fromkeys(id for each in zip_longest(*ways) for id in each if id is not None)
    return await _read(tx, list(ids)[:limit])


async def _by_words(tx: Tx, wanted: list[str], limit: int) -> list[Client]:
    counts = []
    for word in wanted if len(wanted) > 1 else ():
        counted = await tx.value(
            """select count(*) from (select 1 from client_words where company_id = $1 and word >= $2 and word < $3
               limit $4) as counted""",
            word, words.after(word), _COUNTED,
        )  # fmt: skip
        counts.append((counted, -len(word), word))
    first = min(counts)[2] if counts else wanted[0]
    others = [word for word in wanted if word != first]
    rows = await tx.fetch(
        """with found as materialized (
               select client_id, word from client_words where company_id = $1 and word >= $2 and word < $3
               order by word limit $4),
           fitting as materialized (
               select client_id, word from found s where not exists (
                   select 1 from unnest($5::text[], $6::text[]) as other (beginning, beyond) where not exists (
                       select 1 from client_words w where w.company_id = $1 and w.client_id = s.client_id
                       and w.word >= other.beginning and w.word < other.beyond))
               limit $7)
           select f.client_id from (select client_id, min(word) as word from fitting group by client_id) f
           join clients c on c.company_id = $1 and c.id = f.client_id
           order by f.word <> $2, c.last_contact_at desc nulls last, f.word, f.client_id limit $8""",
        first, words.after(first), _LOOKED_THROUGH if others else 10 * limit, others,
        [words.after(word) for word in others], 10 * limit, limit,
    )  # fmt: skip
    return await _read(tx, [row["client_id"] for row in rows])


async def _read(tx: Tx, ids: list[int]) -> list[Client]:
    """The clients of these ids, in this order."""
    rows = await tx.fetch(
        f"{clients.SELECT} and c.id = any($2::bigint[]) order by array_position($2::bigint[], c.id)", ids
    )
    return [clients.of_row(row) for row in rows]

"""Calls that go on, as the entries that were told of them: for a desk that has not heard all of them itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
import structlog

from kommutator.crm.pool import Tx
from kommutator.routing.doings import CALL_BACK, Doing
from kommutator.routing.entries import Began, CallEntry, Ended, Turned
from kommutator.routing.turn import Turn

_MOST: Final = 5_000


@dataclass(frozen=True, slots=True)
class KnownCall:
    """A call with everything that was told of it."""

    call_id: str
    router: str
    entries: list[CallEntry]


async def going_on(tx: Tx, since: datetime, ended_since: datetime) -> list[KnownCall]:
    """Calls, and calls back, that began since then and have not ended, or have ended lately; 5,000 of each at most, the newest.
    Four index ranges."""
    called = await _whole(
        tx,
        """select call_id, coalesce(router, '') as router, did, caller, began_at, ended_at, disposition, fault from calls
           where company_id = $1 and began_at >= $2 and (ended_at is null or ended_at >= $3)
           order by began_at desc limit $4""",
        since, ended_since, _MOST,
    )  # fmt: skip
    rows = await tx.fetch(
        """select call_id from call_doings where company_id = $1 and kind = 'called_back' and at >= $2
           group by call_id having coalesce(max(at) filter (where state = 'over') >= $3, true)
           order by max(at) desc limit $4""",
        since, ended_since, _MOST,
    )  # fmt: skip
    back = {row["call_id"]: KnownCall(row["call_id"], "", []) for row in rows}
    await _doings(tx, list(back), back)
    return [*called, *back.values()]


async def one(tx: Tx, call_id: str) -> KnownCall | None:
    """One call; None when nothing was told of it."""
    found = await _whole(
        tx,
        """select call_id, coalesce(router, '') as router, did, caller, began_at, ended_at, disposition, fault from calls
           where company_id = $1 and call_id = $2""",
        call_id,
    )
    if found or not call_id.startswith(CALL_BACK):
        return found[0] if found else None
    back = {call_id: KnownCall(call_id, "", [])}
    await _doings(tx, [call_id], back)
    return back[call_id] if back[call_id].entries else None


async def _whole(tx: Tx, query: str, *arguments: object) -> list[KnownCall]:
    rows = await tx.fetch(query, *arguments)
    known = {row["call_id"]: KnownCall(row["call_id"], row["router"], []) for row in rows}
    for row in rows:
        if row["began_at"] is not None:
            told = Began(row["call_id"], row["did"] or "", row["caller"], _ms(row["began_at"]))
            known[row["call_id"]].entries.append(told)
    ids = list(known)
    await _turns(tx, ids, known)
    await _doings(tx, ids, known)
    for row in rows:
        if row["ended_at"] is not None:
            ended = Ended(row["call_id"], _ms(row["ended_at"]), row["disposition"], row["fault"])
            known[row["call_id"]].entries.append(ended)
    return list(known.values())


async def _turns(tx: Tx, ids: Sequence[str], known: dict[str, KnownCall]) -> None:
    rows = await tx.fetch(
        """select call_id, sequence, at, event, action, effects from call_turns
           where company_id = $1 and call_id = any($2::text[]) order by call_id, sequence""",
        list(ids),
    )
    for row in rows:
        content = {"state": "", "sequence": row["sequence"], "action": row["action"], "effects": row["effects"]}
        try:
            turn = msgspec.convert(content, Turn)
        except msgspec.ValidationError as error:
            structlog.get_logger().error("a turn of the ledger cannot be read", call=row["call_id"], reason=str(error))
            continue
        known[row["call_id"]].entries.append(Turned(row["call_id"], _ms(row["at"]), row["event"], turn))


async def _doings(tx: Tx, ids: Sequence[str], known: dict[str, KnownCall]) -> None:
    rows = await tx.fetch(
        "select call_id, facts from call_doings where company_id = $1 and call_id = any($2::text[]) order by at",
        list(ids),
    )
    for row in rows:
        try:
            known[row["call_id"]].entries.append(msgspec.convert(row["facts"], Doing))
        except msgspec.ValidationError as error:
            structlog.get_logger().error("a doing of the ledger cannot be read", call=row["call_id"], reason=str(error))


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)

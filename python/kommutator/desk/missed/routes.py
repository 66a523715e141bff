"""Calls that nobody answered, until somebody has handled them."""

from __future__ import annotations

from collections.abc import Sequence

from kommutator.crm import clients, missed
from kommutator.crm.pool import Tx
from kommutator.desk import own
from kommutator.desk.missed.forms import MissedCall, MissedCalls, MissedQuery
from kommutator.desk.operations import Asked, Feature

feature = Feature(
    "missed calls", "Calls that nobody answered, each somebody's until it is handled or the caller is reached"
)


@feature.get("/api/missed-calls", query=MissedQuery, returns=MissedCalls)
async def list_missed_calls(asked: Asked, query: MissedQuery) -> MissedCalls:
    """Missed calls that wait to be called back, the newest first."""
    async with asked.transaction() as tx:
        owners: list[str] | None = None
        if query.mine:
            owners = await own.names(tx, asked.who)
        elif query.owner is not None:
            owners = [query.owner]
        return MissedCalls(items=await _views(tx, await missed.waiting(tx, owners, limit=query.limit)))


@feature.get("/api/missed-calls/<word:missed_id>", returns=MissedCall)
async def get_missed_call(asked: Asked, missed_id: str) -> MissedCall:
    """One missed call."""
    async with asked.transaction() as tx:
        (view,) = await _views(tx, [await missed.get(tx, missed_id)])
    return view


@feature.post("/api/missed-calls/<word:missed_id>/handle", returns=MissedCall)
async def handle_missed_call(asked: Asked, missed_id: str) -> MissedCall:
    """Somebody has handled it; the first one counts."""
    async with asked.transaction() as tx:
        (view,) = await _views(tx, [await missed.handle(tx, missed_id, asked.now)])
    return view


async def _views(tx: Tx, found: Sequence[missed.MissedCall]) -> list[MissedCall]:
    at_number = await clients.at_numbers(tx, [each.caller for each in found if each.caller])
    return [MissedCall.of(each, at_number) for each in found]

"""Calls as the ledger has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kommutator import _engine
from kommutator.crm import calls, clients, numbers, recordings
from kommutator.crm.calls import Filter
from kommutator.crm.pool import Tx
from kommutator.desk.calls.forms import (
    Call,
    CallLeg,
    Calls,
    CallsQuery,
    CallStory,
    CallSummary,
    CallTurn,
    GoingOnQuery,
    StoryQuery,
    SummaryQuery,
)
from kommutator.desk.operations import Asked, Feature
from kommutator.desk.paging import Page, PageQuery, cut, moment_after
from kommutator.desk.recordings.forms import Recording
from kommutator.errors import BadEvent

feature = Feature("calls", "The ledger: every call, how it ended, and why it went as it did")


@feature.get("/api/calls", query=CallsQuery, returns=Page[Call])
async def list_calls(asked: Asked, query: CallsQuery) -> Page[Call]:
    """Calls, the newest first."""
    async with asked.transaction() as tx:
        country = await clients.country(tx)
        which = Filter(
            since=query.since,
            until=query.until,
            disposition=query.disposition,
            caller=numbers.normalize(query.caller, country),
            did=numbers.normalize(query.did, country),
            answered_by=query.employee,
            answered=query.answered,
        )
        return await _page(tx, which, query)


@feature.get("/api/clients/<id:client_id>/calls", query=PageQuery, returns=Page[Call])
async def list_client_calls(asked: Asked, client_id: int, query: PageQuery) -> Page[Call]:
    """Calls from any of a client's numbers, the newest first."""
    async with asked.transaction() as tx:
        client = await clients.get(tx, client_id)
        return await _page(tx, Filter(callers=client.numbers), query)


@feature.get("/api/calls/going-on", query=GoingOnQuery, returns=Calls)
async def list_calls_going_on(asked: Asked, query: GoingOnQuery) -> Calls:
    """Calls whose end the ledger has not been told yet, the oldest first."""
    async with asked.transaction() as tx:
        return Calls(items=await _views(tx, await calls.going_on(tx, limit=query.limit)))


@feature.get("/api/calls/summary", query=SummaryQuery, returns=CallSummary)
async def sum_up_calls(asked: Asked, query: SummaryQuery) -> CallSummary:
    """How many calls that arrived in a time ended how."""
    async with asked.transaction() as tx:
        return CallSummary(dispositions=await calls.dispositions(tx, query.since, query.until))


@feature.get("/api/calls/<word:call_id>", query=StoryQuery, returns=CallStory)
async def get_call(asked: Asked, call_id: str, query: StoryQuery) -> CallStory:
    """A call with its turns, reasons, legs, effects and recordings."""
    async with asked.transaction() as tx:
        story = await calls.story(tx, call_id)
        (call,) = await _views(tx, [story.call])
        recorded = await recordings.of_call(tx, call_id)
    return CallStory(
        call=call,
        turns=[_turn(each, query.language) for each in story.turns],
        legs=[CallLeg.model_validate(each) for each in story.legs],
        recordings=[Recording.model_validate(each) for each in recorded],
    )


def _turn(turn: calls.TurnTaken, language: str) -> CallTurn:
    """A turn with its reasons in words; a reason of an engine that knew more than this one stays without."""
    told = []
    for step in turn.trace:
        try:
            told.append({**step, "says": _engine.explain(step["why"], language)})
        except (BadEvent, KeyError):
            told.append(step)
    return CallTurn.model_validate(replace(turn, trace=told))


async def _page(tx: Tx, which: Filter, query: PageQuery) -> Page[Call]:
    rows = await calls.listed(tx, which, after=moment_after(query), limit=query.limit + 1)
    page, after = cut(rows, query.limit, lambda each: [each.began_at, each.call_id])
    return Page[Call](items=await _views(tx, page), next=after)


async def _views(tx: Tx, found: Sequence[calls.Call]) -> list[Call]:
    at_number = await clients.at_numbers(tx, [each.caller_number for each in found if each.caller_number])
    return [Call.of(each, at_number) for each in found]

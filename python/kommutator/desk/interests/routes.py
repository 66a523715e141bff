"""Interests: lists, the workplace, history, change."""

from __future__ import annotations

from collections.abc import Sequence

from kommutator.crm import audit, clients, interests
from kommutator.crm.pool import Tx
from kommutator.desk import idempotency, own
from kommutator.desk.interests.forms import (
    Interest,
    InterestChange,
    InterestHistory,
    Interests,
    InterestsQuery,
    InterestStep,
    NewInterest,
    WorkplaceQuery,
)
from kommutator.desk.operations import Asked, Feature, Reply
from kommutator.desk.paging import Page, cut, number_after

feature = Feature(
    "interests", "What clients want, each with somebody responsible, and everything that was changed in it"
)


@feature.get("/api/interests", query=InterestsQuery, returns=Page[Interest])
async def list_interests(asked: Asked, query: InterestsQuery) -> Page[Interest]:
    """Interests, the newest first."""
    mine = [asked.who.employee] if asked.who.employee else []
    async with asked.transaction() as tx:
        rows = await interests.listed(
            tx,
            assignees=mine if query.mine else None if query.assignee is None else [query.assignee],
            department=query.department,
            client_id=query.client_id,
            service_type=query.service_type,
            statuses=query.statuses,
            before=number_after(query),
            limit=query.limit + 1,
        )
        page, after = cut(rows, query.limit, lambda each: [each.id])
        return Page[Interest](items=await with_clients(tx, page), next=after)


@feature.get("/api/me/interests", query=WorkplaceQuery, returns=Interests)
async def my_interests(asked: Asked, query: WorkplaceQuery) -> Interests:
    """What is open on the own workplace: new ones first, then those due first."""
    employee = own.employee(asked.who)
    async with asked.transaction() as tx:
        found = await interests.of_assignee(tx, employee, limit=query.limit)
        return Interests(items=await with_clients(tx, found))


@feature.post(
    "/api/interests",
    body=NewInterest,
    returns=Interest,
    statuses=(201, 200),
    revision=True,
    headers=("Idempotency-Key",),
    also=(404,),
)
async def create_interest(asked: Asked, body: NewInterest) -> Reply:
    """Makes an interest of a known client; the same key again gives the one that it made (200)."""
    async with asked.transaction() as tx:
        client = await clients.get(tx, body.client_id)
        key = idempotency.key("interest", asked.who)
        made, new = await interests.create(tx, client.merged_into or client.id, body.draft(), key, asked.now)
        if new:
            await audit.record(tx, "interest.create", "interest", made.id, {"client": made.client_id})
        (view,) = await with_clients(tx, [made])
    return Reply(view, 201 if new else 200, {"Location": f"/api/interests/{made.id}"})


@feature.get("/api/interests/<id:interest_id>", returns=Interest, revision=True)
async def get_interest(asked: Asked, interest_id: int) -> Interest:
    """One interest."""
    async with asked.transaction() as tx:
        (view,) = await with_clients(tx, [await interests.get(tx, interest_id)])
    return view


@feature.put("/api/interests/<id:interest_id>", body=InterestChange, returns=Interest, revision=True, if_match=True)
async def change_interest(asked: Asked, interest_id: int, revision: int, body: InterestChange) -> Interest:
    """Writes everything of the form over an interest; its history keeps what changed, and the comment."""
    async with asked.transaction() as tx:
        changed = await interests.change(tx, interest_id, body.draft(), revision, asked.now, body.comment)
        (view,) = await with_clients(tx, [changed])
    return view


@feature.get("/api/interests/<id:interest_id>/history", returns=InterestHistory)
async def get_interest_history(asked: Asked, interest_id: int) -> InterestHistory:
    """Everything that changed in an interest, the first first."""
    async with asked.transaction() as tx:
        await interests.get(tx, interest_id)
        steps = await interests.history(tx, interest_id)
    return InterestHistory(items=[InterestStep.model_validate(step) for step in steps])


async def with_clients(tx: Tx, found: Sequence[interests.Interest]) -> list[Interest]:
    """Interests with what lists show of their clients."""
    briefs = await clients.briefly(tx, list({each.client_id for each in found}))
    return [Interest.of(each, briefs.get(each.client_id)) for each in found]

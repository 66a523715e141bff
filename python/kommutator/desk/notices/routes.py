"""SMS and e-mail on their way out: what became of each, and once more."""

from __future__ import annotations

from kommutator.crm import audit, outbox
from kommutator.desk.notices.forms import Notice, NoticeCounts, NoticesQuery
from kommutator.desk.operations import Asked, Feature
from kommutator.desk.paging import Page, cut, number_after

feature = Feature("notices", "SMS and e-mail: what became of each, and once more")


@feature.get("/api/notices", query=NoticesQuery, returns=Page[Notice])
async def list_notices(asked: Asked, query: NoticesQuery) -> Page[Notice]:
    """Notices, the newest first; of one call, in their order."""
    async with asked.transaction() as tx:
        if query.call_id is not None:
            found = [each for each in await outbox.of_call(tx, query.call_id) if query.state in (None, each.state)]
            return Page[Notice](items=[Notice.model_validate(each) for each in found], next=None)
        rows = await outbox.listed(tx, state=query.state, before=number_after(query), limit=query.limit + 1)
    page, after = cut(rows, query.limit, lambda each: [each.place])
    return Page[Notice](items=[Notice.model_validate(each) for each in page], next=after)


@feature.get("/api/notices/counts", returns=NoticeCounts)
async def count_notices(asked: Asked) -> NoticeCounts:
    """How many wait, and how many were given up."""
    async with asked.transaction() as tx:
        return NoticeCounts(counts=await outbox.counts(tx))


@feature.get("/api/notices/<word:notice_id>", returns=Notice)
async def get_notice(asked: Asked, notice_id: str) -> Notice:
    """One notice."""
    async with asked.transaction() as tx:
        return Notice.model_validate(await outbox.get(tx, notice_id))


@feature.post("/api/notices/<word:notice_id>/again", returns=Notice)
async def send_notice_again(asked: Asked, notice_id: str) -> Notice:
    """Sends a notice again that was given up or did not arrive; of any other: 404."""
    async with asked.transaction() as tx:
        again = await outbox.again(tx, notice_id, asked.now)
        await audit.record(tx, "notice.again", "notice", notice_id)
    return Notice.model_validate(again)

"""Who did what."""

from __future__ import annotations

from typing import Any

from kommutator.crm import audit
from kommutator.desk.forms import Moment, Name, View
from kommutator.desk.operations import Asked, Feature
from kommutator.desk.paging import Page, PageQuery, cut, number_after

feature = Feature("audit", "Who did what; nothing of it can be changed or taken out")


class AuditQuery(PageQuery):
    """Which deeds."""

    subject: Name | None = None
    """Such as `client`, `version`, `user`."""
    subject_id: Name | None = None


class AuditEntry(View):
    """One deed."""

    id: int
    at: Moment
    actor: str
    action: str
    subject: str
    subject_id: str
    details: dict[str, Any]


@feature.get("/api/audit", query=AuditQuery, returns=Page[AuditEntry])
async def list_audit(asked: Asked, query: AuditQuery) -> Page[AuditEntry]:
    """Deeds, the newest first."""
    async with asked.transaction() as tx:
        rows = await audit.read(
            tx,
            subject=query.subject,
            subject_id=query.subject_id,
            before=number_after(query),
            limit=query.limit + 1,
        )
    page, after = cut(rows, query.limit, lambda each: [each.id])
    return Page[AuditEntry](items=[AuditEntry.model_validate(each) for each in page], next=after)

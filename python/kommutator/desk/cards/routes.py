"""Cards are changed by making a version with them, and activating it."""

from __future__ import annotations

import asyncio

from kommutator.company.cards import with_changes
from kommutator.crm import people, versions
from kommutator.desk.cards.forms import CardChanges
from kommutator.desk.operations import Asked, Feature
from kommutator.desk.versions.forms import Version
from kommutator.errors import CompanyInvalid, Conflict, NotFound

feature = Feature("cards", "The cards of employees, departments and service types, changed by making another version")


@feature.post("/api/company/cards", body=CardChanges, returns=Version, also=(404, 412))
async def change_cards(asked: Asked, body: CardChanges) -> Version:
    """Writes cards into the active version's document, checks it, keeps it as the next version and activates it.

    When the check finds an error, nothing is kept, and the answer (422, `company_invalid`) tells what and where.
    """
    async with asked.transaction() as tx:
        active = (await people.company(tx)).active_version
        if active is None:
            raise NotFound("company", "active version")
        if active != body.base:
            raise Conflict("company", "cards", active)
        files = await versions.files(tx, active)
    changed = await asyncio.to_thread(with_changes, files, body.changes())
    draft = await asyncio.to_thread(versions.draft_of, changed, round(asked.now.timestamp() * 1000))
    if not draft.report.ok:
        raise CompanyInvalid([each for each in draft.report.findings if each["severity"] == "error"])
    async with asked.transaction() as tx:
        number, _ = await versions.add(tx, draft, body.comment, asked.now)
        if (await people.company(tx)).active_version != active:
            raise Conflict("company", "cards", number)
        if number != active:
            await versions.activate(tx, number, body.comment, asked.now)
        kept = Version.model_validate(await versions.get(tx, number))
    await asked.services.versions_changed()
    return kept

"""Half-filled wizards: kept from the first keystroke, each user's own."""

from __future__ import annotations

from kommutator.crm import drafts
from kommutator.desk.drafts.forms import DraftForm, WizardDraft, WizardDrafts
from kommutator.desk.operations import Asked, Feature
from kommutator.desk.problems import Problem

feature = Feature("drafts", "Half-filled wizards, kept from the first keystroke")


@feature.get("/api/drafts", returns=WizardDrafts)
async def list_drafts(asked: Asked) -> WizardDrafts:
    """The own open wizards, the oldest first."""
    async with asked.transaction() as tx:
        found = await drafts.of_user(tx, asked.who.user.id)
    return WizardDrafts(items=[_view(each) for each in found])


@feature.get("/api/drafts/<word:draft_id>", returns=WizardDraft)
async def get_draft(asked: Asked, draft_id: str) -> WizardDraft:
    """One of the own wizards."""
    async with asked.transaction() as tx:
        return _view(await drafts.get(tx, draft_id, asked.who.user.id))


@feature.put("/api/drafts/<word:draft_id>", body=DraftForm, returns=WizardDraft, also=(409,))
async def keep_draft(asked: Asked, draft_id: str, body: DraftForm) -> WizardDraft:
    """Keeps what was typed. 409 with the code `draft_newer` when this revision, or a newer one, is kept already."""
    async with asked.transaction() as tx:
        kept = await drafts.keep(
            tx, draft_id, asked.who.user.id, body.fields, body.revision, asked.now, call_id=body.call_id
        )
        if not kept:
            raise Problem(409, "draft_newer", "something newer is kept of this wizard")
        return _view(await drafts.get(tx, draft_id, asked.who.user.id))


@feature.delete("/api/drafts/<word:draft_id>")
async def discard_draft(asked: Asked, draft_id: str) -> None:
    """Throws a wizard away; one that is not there is thrown away already."""
    async with asked.transaction() as tx:
        await drafts.discard(tx, draft_id, asked.who.user.id)


def _view(found: drafts.Draft) -> WizardDraft:
    return WizardDraft(
        id=found.id,
        call_id=found.call_id,
        fields=found.content,
        revision=found.revision,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )

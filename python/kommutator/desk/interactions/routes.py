"""Contacts with a client."""

from __future__ import annotations

from kommutator.crm import clients, interactions
from kommutator.desk.interactions.forms import Interaction, Note
from kommutator.desk.operations import Asked, Feature
from kommutator.desk.paging import Page, PageQuery, cut, number_after

feature = Feature("interactions", "Contacts with clients: calls, letters, notes")


@feature.get("/api/clients/<id:client_id>/interactions", query=PageQuery, returns=Page[Interaction])
async def list_interactions(asked: Asked, client_id: int, query: PageQuery) -> Page[Interaction]:
    """A client's contacts, the newest first."""
    async with asked.transaction() as tx:
        await clients.get(tx, client_id)
        rows = await interactions.of_client(tx, client_id, before=number_after(query), limit=query.limit + 1)
    page, after = cut(rows, query.limit, lambda each: [each.id])
    return Page[Interaction](items=[Interaction.model_validate(each) for each in page], next=after)


@feature.post("/api/clients/<id:client_id>/interactions", body=Note, returns=Interaction, statuses=(201,))
async def note_interaction(asked: Asked, client_id: int, body: Note) -> Interaction:
    """Notes a contact in words: a call with a client whose interest goes on, or anything else."""
    async with asked.transaction() as tx:
        client = await clients.get(tx, client_id)
        made = await interactions.add(
            tx,
            client.merged_into or client.id,
            "note" if body.call_id is None else "call",
            asked.now,
            call_id=body.call_id,
            employee=asked.who.employee,
            topic=body.topic,
            body=body.body,
        )
    return Interaction.model_validate(made)

"""Clients: search, card, change, merge."""

from __future__ import annotations

from kommutator.crm import client_search, clients
from kommutator.desk.clients.forms import Client, ClientForm, Clients, Merge, Search
from kommutator.desk.operations import Asked, Feature, Reply

feature = Feature("clients", "People and companies, with their numbers and owners")


@feature.get("/api/clients", query=Search, returns=Clients)
async def search_clients(asked: Asked, query: Search) -> Clients:
    """Finds clients by number or by name, the best first."""
    async with asked.transaction() as tx:
        found = await client_search.search(tx, query.q, limit=query.limit)
    return Clients(items=[Client.of(each) for each in found])


@feature.post("/api/clients", body=ClientForm, returns=Client, statuses=(201,), revision=True)
async def create_client(asked: Asked, body: ClientForm) -> Reply:
    """Makes a client."""
    async with asked.transaction() as tx:
        made = await clients.create(tx, body.draft(), asked.now)
    return Reply(Client.of(made), 201, {"Location": f"/api/clients/{made.id}"})


@feature.get("/api/clients/<id:client_id>", returns=Client, revision=True)
async def get_client(asked: Asked, client_id: int) -> Client:
    """One client; one that was merged into another tells into which."""
    async with asked.transaction() as tx:
        return Client.of(await clients.get(tx, client_id))


@feature.put("/api/clients/<id:client_id>", body=ClientForm, returns=Client, revision=True, if_match=True)
async def change_client(asked: Asked, client_id: int, revision: int, body: ClientForm) -> Client:
    """Writes everything of the form over a client."""
    async with asked.transaction() as tx:
        return Client.of(await clients.change(tx, client_id, body.draft(), revision, asked.now))


@feature.post("/api/clients/<id:client_id>/merge", body=Merge, returns=Client, revision=True)
async def merge_clients(asked: Asked, client_id: int, body: Merge) -> Client:
    """Makes two clients one: the other's numbers, contacts and interests go to this one, whose own words stay."""
    async with asked.transaction() as tx:
        return Client.of(await clients.merge(tx, client_id, body.merged, asked.now))

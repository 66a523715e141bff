"""Clients: search, card, change, merge."""

from __future__ import annotations

from kommutator.crm import client_search, clients, interactions, interests, people
from kommutator.desk.clients.brief import ClientBrief
from kommutator.desk.clients.forms import Client, ClientCard, ClientForm, Clients, Merge, Search
from kommutator.desk.interactions.forms import Interaction
from kommutator.desk.interests.forms import Interest
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


@feature.get("/api/clients/<id:client_id>/card", returns=ClientCard)
async def get_client_card(asked: Asked, client_id: int) -> ClientCard:
    """A client with his interests and last contacts, in one answer."""
    async with asked.transaction() as tx:
        client = await clients.get(tx, client_id)
        open_ones = await interests.of_client(tx, client_id, only_open=True, limit=20)
        latest = await interests.of_client(tx, client_id, limit=20)
        contacts = await interactions.of_client(tx, client_id, limit=10)
        company = await clients.briefly(tx, [client.member_of] if client.member_of is not None else [])
        owner = await people.get(tx, client.owner) if client.owner is not None else None
        members = await clients.members(tx, client_id)
    ids = {each.id for each in open_ones}
    wanted = [*open_ones, *(each for each in latest if each.id not in ids)][:20]
    return ClientCard(
        client=Client.of(client),
        owner_name=None if owner is None else owner.name,
        company=next((ClientBrief.of(each) for each in company.values()), None),
        members=[ClientBrief.of(each) for each in members],
        interests=[Interest.of(each) for each in wanted],
        interactions=[Interaction.model_validate(each) for each in contacts],
    )


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

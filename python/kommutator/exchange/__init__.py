"""What routers and desks tell each other, over NATS: calls that happened, versions, the floor, claims, questions and
orders.

The modules here are the router's side, on trio, behind `bridge`; `nats/` is asyncio: the client, and the desk's side.
"""

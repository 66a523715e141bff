"""Acceptance of an enquiry: client, interaction and interest, all or none, once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from kommutator.crm import audit, clients, interactions, interests
from kommutator.crm.pool import Tx
from kommutator.errors import Refused


@dataclass(frozen=True, slots=True)
class Enquiry:
    """What the operator has entered."""

    key: str
    """The enquiry's identity, given by the desk: accepted twice, it makes one interest."""
    interest: interests.Draft
    client_id: int | None
    """The client who was found; None for a new one, who is made of `client`."""
    client: clients.Draft | None
    call_id: str | None = None
    employee: str | None = None
    """The operator."""
    at: datetime | None = None
    """When the contact was; None: at the acceptance."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of it."""

    interest: interests.Interest
    new: bool
    """False when it had been accepted before."""


async def accept(tx: Tx, enquiry: Enquiry, now: datetime) -> Accepted:
    """Creates what the enquiry tells, in this one transaction; an enquiry accepted before changes nothing.

    A new client's owner is the one responsible for the interest, unless the draft names another. Where only a
    department is responsible, the enquiry is its member's with the fewest open interests, the one of the lowest rank
    among equals; nobody there: the department's. About twelve statements. Raises `BadNumber`, `NotFound`, `Refused`.
    """
    await tx.value("select pg_advisory_xact_lock($1::integer, hashtext($2))", enquiry.key)
    known = await interests.by_key(tx, enquiry.key)
    if known is not None:
        return Accepted(known, new=False)
    interest = await _assigned(tx, enquiry.interest)
    if enquiry.client_id is not None:
        client = await clients.get(tx, enquiry.client_id, lock=True)  # so that it is not merged meanwhile
        client_id = client.merged_into or client.id
    elif enquiry.client is not None:
        owner = enquiry.client.owner or interest.assignee
        made = replace(enquiry.client, owner=owner)
        client_id = (await clients.create(tx, made, now)).id
    else:
        raise Refused("an enquiry names a client or describes one")
    contact = await interactions.add(
        tx,
        client_id,
        "call",
        enquiry.at or now,
        call_id=enquiry.call_id,
        employee=enquiry.employee,
        topic=interest.topic,
    )
    accepted, new = await interests.create(tx, client_id, interest, enquiry.key, now, interaction_id=contact.id)
    await audit.record(tx, "enquiry.accept", "interest", accepted.id, {"client": client_id, "call": enquiry.call_id})
    return Accepted(accepted, new)


async def _assigned(tx: Tx, draft: interests.Draft) -> interests.Draft:
    if draft.assignee is not None or draft.department is None:
        return draft
    found: str | None = await tx.value(
        """select e.id from employees e where e.company_id = $1 and e.department = $2 and e.active
           order by (select count(*) from interests i where i.company_id = $1 and i.assignee = e.id
                     and i.status in ('new', 'active')), e.rank nulls last, e.position limit 1""",
        draft.department,
    )
    return replace(draft, assignee=found)

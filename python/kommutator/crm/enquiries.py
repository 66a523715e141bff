"""Acceptance of an enquiry: client, interaction and interest, all or none, once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from kommutator.crm import audit, clients, interactions, interests
from kommutator.crm.numbers import e164
from kommutator.crm.pool import Tx
from kommutator.errors import Refused
from kommutator.routing.doings import CALL_BACK


@dataclass(frozen=True, slots=True)
class Corrections:
    """What the operator has corrected of a client who is known. None: as it was."""

    name: str | None = None
    organisation: str | None = None
    email: str | None = None
    number: str | None = None
    """One more, unless he has it."""
    notes: str = ""
    """What was learnt of him: put below what is noted already."""


@dataclass(frozen=True, slots=True)
class Continued:
    """The interest that an enquiry goes on with, as the operator has seen it."""

    id: int
    revision: int


@dataclass(frozen=True, slots=True)
class Enquiry:
    """What the operator has entered. One of `client_id`, `client` and `continues` says whose it is."""

    key: str
    """The enquiry's identity, given by the desk: accepted twice, it makes one interest."""
    interest: interests.Draft
    client_id: int | None
    """The client who was found; None for a new one, who is made of `client`."""
    client: clients.Draft | None
    call_id: str | None = None
    """The call in which it was taken down, or the call back."""
    employee: str | None = None
    """The operator."""
    at: datetime | None = None
    """When the contact was; None: at the acceptance."""
    continues: Continued | None = None
    """What is empty in `interest` stays as it is there, and its status stays."""
    corrections: Corrections = Corrections()
    """Of the client who was found, or whose interest it is."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of it."""

    interest: interests.Interest
    new: bool
    """False when it had been accepted before."""


async def accept(tx: Tx, enquiry: Enquiry, now: datetime) -> Accepted:
    """Makes what the enquiry tells, in this one transaction; an enquiry accepted before changes nothing.

    A new client's owner is the one responsible for the interest, unless the draft names another. Where only a
    department is responsible, the enquiry is its member's with the fewest open interests, the one of the lowest rank
    among equals; nobody there: the department's. About twelve statements. Raises `BadNumber`, `NotFound`, `Refused`, and
    `Conflict` when the interest to be continued is at another revision.
    """
    await tx.value("select pg_advisory_xact_lock($1::integer, hashtext($2))", enquiry.key)
    known = await interests.by_key(tx, enquiry.key)
    if known is not None:
        return Accepted(known, new=False)
    seen = enquiry.continues
    accepted = await (_begun(tx, enquiry, now) if seen is None else _continued(tx, enquiry, seen, now))
    about = {"client": accepted.client_id, "call": enquiry.call_id}
    await audit.record(tx, "enquiry.accept", "interest", accepted.id, about)
    return Accepted(accepted, new=True)


async def _begun(tx: Tx, enquiry: Enquiry, now: datetime) -> interests.Interest:
    """A new interest."""
    interest = await _assigned(tx, enquiry.interest)
    if enquiry.client_id is not None:
        client_id = await _corrected(tx, enquiry.client_id, enquiry.corrections, now)
    elif enquiry.client is not None:
        owner = enquiry.client.owner or interest.assignee
        made = replace(enquiry.client, owner=owner)
        client_id = (await clients.create(tx, made, now)).id
    else:
        raise Refused("an enquiry names a client or describes one")
    contact = await _contact(tx, enquiry, client_id, interest.topic, "", now)
    accepted, _ = await interests.create(tx, client_id, interest, enquiry.key, now, interaction_id=contact.id)
    return accepted


async def _continued(tx: Tx, enquiry: Enquiry, seen: Continued, now: datetime) -> interests.Interest:
    """The interest that goes on."""
    before = await interests.get(tx, seen.id, lock=True)
    given, was = enquiry.interest, before.draft
    somebody = given.assignee is not None or given.department is not None
    interest = interests.Draft(
        topic=given.topic or was.topic,
        to_do=given.to_do or was.to_do,
        service_type=given.service_type or was.service_type,
        assignee=given.assignee if somebody else was.assignee,
        department=given.department or was.department,
        status=was.status,
        due_at=given.due_at or was.due_at,
    )
    interest = await _assigned(tx, interest)
    client_id = await _corrected(tx, before.client_id, enquiry.corrections, now)
    await _contact(tx, enquiry, client_id, interest.topic, given.to_do, now)
    return await interests.change(tx, seen.id, interest, seen.revision, now, key=enquiry.key)


async def _contact(
    tx: Tx, enquiry: Enquiry, client_id: int, topic: str, body: str, now: datetime
) -> interactions.Interaction:
    back = enquiry.call_id is not None and enquiry.call_id.startswith(CALL_BACK)
    return await interactions.add(
        tx,
        client_id,
        "call_back" if back else "call",
        enquiry.at or now,
        call_id=enquiry.call_id,
        employee=enquiry.employee,
        topic=topic,
        body=body,
    )


async def _corrected(tx: Tx, client_id: int, corrections: Corrections, now: datetime) -> int:
    """The client, with what was corrected of him: the one into whom he was merged, if he was."""
    client = await clients.get(tx, client_id, lock=True)  # so that it is not merged meanwhile
    if client.merged_into is not None:
        client = await clients.get(tx, client.merged_into, lock=True)
    given = {
        key: value for key in ("name", "organisation", "email") if (value := getattr(corrections, key)) is not None
    }
    draft = replace(client.draft, **given)
    if corrections.number is not None:
        number = e164(corrections.number, await clients.country(tx))
        if number not in draft.numbers:
            draft = replace(draft, numbers=(*draft.numbers, number))
    if corrections.notes and corrections.notes not in draft.notes:
        draft = replace(draft, notes="\n\n".join(filter(None, (draft.notes, corrections.notes))))
    if draft != client.draft:
        await clients.change(tx, client.id, draft, client.revision, now)
    return client.id


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

"""Acceptance of what an operator has taken down."""

from __future__ import annotations

from kommutator.crm import drafts, enquiries
from kommutator.desk import idempotency
from kommutator.desk.enquiries.forms import Accepted, EnquiryForm, enquiry
from kommutator.desk.interests.routes import with_clients
from kommutator.desk.operations import Asked, Feature, Reply

feature = Feature("enquiries", "What operators take down for managers")


@feature.post(
    "/api/enquiries",
    body=EnquiryForm,
    returns=Accepted,
    statuses=(201, 200),
    headers=("Idempotency-Key",),
    also=(404, 412),
)
async def accept_enquiry(asked: Asked, body: EnquiryForm) -> Reply:
    """Accepts an enquiry: client, contact and interest are made or go on together, once for each key.

    The key is the id of the wizard's draft, which is closed with it. The same key again gives what it made (200). 412 when the
    interest that is to go on was changed since it was seen; the ETag has its revision.
    """
    draft = idempotency.given()
    key = idempotency.key("enquiry", asked.who)
    async with asked.transaction() as tx:
        accepted = await enquiries.accept(tx, enquiry(body, key, asked.who.employee), asked.now)
        await drafts.discard(tx, draft, asked.who.user.id)
        (interest,) = await with_clients(tx, [accepted.interest])
    location = {"Location": f"/api/interests/{interest.id}"}
    return Reply(Accepted(interest=interest, new=accepted.new), 201 if accepted.new else 200, location)

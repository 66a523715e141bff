"""Who is at the workplace, and whose line is free."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from kommutator.crm import attendance, audit, people
from kommutator.crm.pool import Tx
from kommutator.desk import own
from kommutator.desk.floor.forms import EmployeeFacts, Floor, PresenceForm
from kommutator.desk.operations import Asked, Feature

feature = Feature("floor", "Who is at the workplace, and whose line is free")


@feature.get("/api/floor", returns=Floor)
async def get_floor(asked: Asked) -> Floor:
    """The live facts of all employees of the active version."""
    async with asked.transaction() as tx:
        employees = await people.employees(tx)
    facts: dict[str, dict[str, Any]] = {}
    for fact in asked.services.floor.facts():
        at = datetime.fromtimestamp(fact.at / 1000, UTC)
        facts.setdefault(fact.employee, {}).update({fact.kind: fact.value, f"{fact.kind}_at": at})
    return Floor(
        connected=asked.services.exchange.connected,
        items=[
            EmployeeFacts(employee=each.id, **{**dict.fromkeys(_KINDS), **facts.get(each.id, {})}) for each in employees
        ],
    )


@feature.put("/api/me/presence", body=PresenceForm, also=(409,))
async def set_my_presence(asked: Asked, body: PresenceForm) -> None:
    """Tells whether one is at the workplace oneself."""
    employee = own.employee(asked.who)
    async with asked.transaction() as tx:
        await _tell(tx, asked, employee, body)


@feature.put("/api/floor/<word:employee>/presence", body=PresenceForm)
async def set_presence(asked: Asked, employee: str, body: PresenceForm) -> None:
    """Tells whether somebody else is at the workplace."""
    async with asked.transaction() as tx:
        found = await people.get(tx, employee)
        await audit.record(tx, "presence.set", "employee", found.id, {"presence": body.presence})
        await _tell(tx, asked, found.id, body)


async def _tell(tx: Tx, asked: Asked, employee: str, body: PresenceForm) -> None:
    await attendance.returned(tx, employee)  # what was said by hand stays
    await asked.services.floor.presence(employee, body.presence, round(asked.now.timestamp() * 1000))


_KINDS = ("presence", "presence_at", "line", "line_at")

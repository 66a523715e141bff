"""What is one's own: of the employee whom a user is, and of his department."""

from __future__ import annotations

from kommutator.crm import people
from kommutator.crm.pool import Tx
from kommutator.desk.auth.identity import Who
from kommutator.desk.problems import Problem
from kommutator.errors import NotFound


async def names(tx: Tx, who: Who) -> list[str]:
    """To whom what is his is assigned: himself and his department; nobody when he is no employee."""
    if who.employee is None:
        return []
    try:
        department = (await people.get(tx, who.employee)).department
    except NotFound:
        department = None
    return [who.employee, *([department] if department else [])]


def employee(who: Who) -> str:
    """The employee who asks. Raises `Problem` 409 when he is none."""
    if who.employee is None:
        raise Problem(409, "no_employee", "this account is no employee of the company")
    return who.employee

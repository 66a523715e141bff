"""Interests: what clients want, each with somebody responsible, and everything that was ever changed in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import asyncpg

from kommutator.crm.pool import Row, Tx, where
from kommutator.errors import Conflict, NotFound, Refused

Status = Literal["new", "active", "won", "lost"]
OPEN: tuple[Status, ...] = ("new", "active")


@dataclass(frozen=True, slots=True)
class Draft:
    """What can be written of an interest. An employee or a department is responsible."""

    topic: str = ""
    to_do: str = ""
    service_type: str | None = None
    assignee: str | None = None
    department: str | None = None
    status: Status = "new"
    due_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Interest:
    """An interest as it is kept."""

    id: int
    client_id: int
    interaction_id: int | None
    topic: str
    to_do: str
    service_type: str | None
    assignee: str | None
    department: str | None
    status: Status
    due_at: datetime | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    revision: int

    @property
    def draft(self) -> Draft:
        """What can be written of it."""
        return Draft(**{key: getattr(self, key) for key in Draft.__slots__})


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of an interest's history."""

    revision: int
    at: datetime
    actor: str
    changes: dict[str, list[Any]]
    """Of each field that changed: its value before and after."""
    comment: str


async def create(
    tx: Tx, client_id: int, draft: Draft, key: str, now: datetime, *, interaction_id: int | None = None
) -> tuple[Interest, bool]:
    """A new interest, and whether it is new: the same `key` again is the same interest, unchanged.

    Those who listen are told. Three statements. Raises `Refused` when nobody is responsible, or somebody or
    something that is unknown.
    """
    async with _rules(tx):
        row = await tx.one(
            f"""insert into interests (company_id, client_id, interaction_id, topic, to_do, service_type, assignee,
            department,
                    status, due_at, key, created_by, created_at, updated_at)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
                on conflict (company_id, key) do nothing returning {_COLUMNS}""",
            client_id, interaction_id, draft.topic, draft.to_do, draft.service_type, draft.assignee, draft.department,
            draft.status, draft.due_at, key, tx.actor, now,
        )  # fmt: skip
    if row is None:
        known = await tx.one(f"select {_COLUMNS} from interests where company_id = $1 and key = $2", key)
        assert known is not None
        return _of(known), False
    made = _of(row)
    await _note(tx, made, Draft(status="new"), now, "")
    await tx.tell(
        "interest", id=made.id, assignee=made.assignee, department=made.department, status=made.status, new=True
    )
    return made, True


async def change(
    tx: Tx, interest_id: int, draft: Draft, revision: int, now: datetime, comment: str = "", *, key: str | None = None
) -> Interest:
    """Writes everything of `draft` over the interest at that revision, and keeps in its history what changed; by `key`
    the change is found again, and it is made once.

    Raises `NotFound`, `Conflict` when it is at another revision, `Refused`.
    """
    before = await get(tx, interest_id, lock=True)
    if before.revision != revision:
        raise Conflict("interest", interest_id, before.revision)
    async with _rules(tx):
        row = await tx.one(
            f"""update interests set topic = $3, to_do = $4, service_type = $5, assignee = $6, department = $7,
            status = $8,
                    due_at = $9, updated_at = $10, revision = revision + 1
                where company_id = $1 and id = $2 returning {_COLUMNS}""",
            interest_id, draft.topic, draft.to_do, draft.service_type, draft.assignee, draft.department, draft.status,
            draft.due_at, now,
        )  # fmt: skip
    assert row is not None
    after = _of(row)
    await _note(tx, after, before.draft, now, comment, key)
    for assignee in dict.fromkeys([before.assignee, after.assignee]):
        await tx.tell(
            "interest", id=after.id, assignee=assignee, department=after.department, status=after.status,
            new=assignee == after.assignee != before.assignee,
        )  # fmt: skip
    return after


async def get(tx: Tx, interest_id: int, *, lock: bool = False) -> Interest:
    """One interest. One row by key. Raises `NotFound`."""
    query = f"select {_COLUMNS} from interests where company_id = $1 and id = $2" + (
        " for no key update" if lock else ""
    )
    row = await tx.one(query, interest_id)
    if row is None:
        raise NotFound("interest", interest_id)
    return _of(row)


async def by_key(tx: Tx, key: str) -> Interest | None:
    """The interest that was created, or changed, with this key. Two index look-ups."""
    row = await tx.one(
        f"""select {_COLUMNS} from interests where company_id = $1 and (key = $2 or id =
                (select interest_id from interest_history where company_id = $1 and key = $2))""",
        key,
    )
    return None if row is None else _of(row)


async def history(tx: Tx, interest_id: int) -> list[Step]:
    """Everything that changed in an interest, the first first."""
    rows = await tx.fetch(
        """select revision, at, actor, changes, comment from interest_history
           where company_id = $1 and interest_id = $2 order by revision""",
        interest_id,
    )
    return [Step(**dict(row)) for row in rows]


async def of_client(tx: Tx, client_id: int, *, only_open: bool = False, limit: int = 50) -> list[Interest]:
    """A client's interests, the newest first. One index range."""
    rows = await tx.fetch(
        f"""select {_COLUMNS} from interests where company_id = $1 and client_id = $2
            and (not $3 or status in ('new', 'active')) order by id desc limit $4""",
        client_id, only_open, limit,
    )  # fmt: skip
    return [_of(row) for row in rows]


async def listed(
    tx: Tx,
    *,
    assignees: Sequence[str] | None = None,
    department: str | None = None,
    client_id: int | None = None,
    service_type: str | None = None,
    statuses: Sequence[Status] | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Interest]:
    """The newest first; `before` is the id that the next page begins after; what is None does not matter.

    Of an assignee, a department or a client: one index range, where only open ones are asked for; else through the
    newest ids.
    """
    which, values = where(
        ("assignee = any({}::text[])", None if assignees is None else list(assignees)),
        ("department = {}", department),
        ("client_id = {}", client_id),
        ("service_type = {}", service_type),
        ("status = any({}::text[])", None if statuses is None else list(statuses)),
        ("id < {}", before),
    )
    rows = await tx.fetch(
        f"select {_COLUMNS} from interests where company_id = $1{which} order by id desc limit {int(limit)}", *values
    )
    return [_of(row) for row in rows]


async def of_assignee(tx: Tx, assignee: str, *, limit: int = 200) -> list[Interest]:
    """What is open on a manager's workplace: the new ones first, then those due first. Reads all that is open of
    his."""
    rows = await tx.fetch(
        f"""select {_COLUMNS} from interests where company_id = $1 and assignee = $2 and status in ('new', 'active')
            order by status <> 'new', due_at nulls last, id desc limit $3""",
        assignee, limit,
    )  # fmt: skip
    return [_of(row) for row in rows]


async def of_department(tx: Tx, department: str, *, limit: int = 200) -> list[Interest]:
    """What is open and waits for somebody of a department to take it, the oldest first."""
    rows = await tx.fetch(
        f"""select {_COLUMNS} from interests where company_id = $1 and department = $2 and assignee is null
            and status in ('new', 'active') order by id limit $3""",
        department, limit,
    )  # fmt: skip
    return [_of(row) for row in rows]


class _rules:
    """What the schema refuses, in our words. The transaction stays usable."""

    def __init__(self, tx: Tx) -> None:
        self._savepoint = tx.connection.transaction()

    async def __aenter__(self) -> None:
        await self._savepoint.start()

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            await self._savepoint.commit()
            return
        await self._savepoint.rollback()
        if isinstance(error, asyncpg.ForeignKeyViolationError):
            named = str(error.constraint_name).removeprefix("interests_company_id_").removesuffix("_fkey")
            raise Refused(f"there is no such {named.replace('_', ' ')}") from error
        if isinstance(error, asyncpg.CheckViolationError):
            raise Refused("an interest has an employee or a department responsible, and a known status") from error


async def _note(tx: Tx, after: Interest, before: Draft, now: datetime, comment: str, key: str | None = None) -> None:
    changes = {
        key: [getattr(before, key), getattr(after, key)]
        for key in Draft.__slots__
        if getattr(before, key) != getattr(after, key)
    }
    await tx.run(
        """insert into interest_history (company_id, interest_id, revision, at, actor, changes, comment, key)
           values ($1, $2, $3, $4, $5, $6, $7, $8)""",
        after.id, after.revision, now, tx.actor, changes, comment, key,
    )  # fmt: skip


def _of(row: Row) -> Interest:
    return Interest(**dict(row))


_COLUMNS = """id, client_id, interaction_id, topic, to_do, service_type, assignee, department, status, due_at,
created_by,
    created_at, updated_at, revision"""

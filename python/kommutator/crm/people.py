"""Employees, departments and service types: the projection of the active version.

The version is what counts; these tables make it joinable. A person who left stays as a row that is not active, so that
what he is responsible for keeps a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kommutator.crm import lookups
from kommutator.crm.pool import Tx
from kommutator.errors import NotFound


@dataclass(frozen=True, slots=True)
class Employee:
    """A person of the company."""

    id: str
    name: str
    department: str | None
    rank: int | None
    endpoint: str | None
    mobile: str | None
    email: str | None
    pbx: str | None
    """The router where the phone is registered; None: the first."""
    softphone: bool
    """His phone is the browser."""
    active: bool


@dataclass(frozen=True, slots=True)
class Department:
    """A department with the service types it provides."""

    id: str
    name: str
    service_types: tuple[str, ...]
    active: bool


@dataclass(frozen=True, slots=True)
class ServiceType:
    """What clients ask for."""

    id: str
    name: str
    active: bool


@dataclass(frozen=True, slots=True)
class Company:
    """The company's own card, as in its active version."""

    name: str
    country: str
    timezone: str
    language: str
    active_version: int | None


async def employees(tx: Tx, *, service_type: str | None = None, everybody: bool = False) -> list[Employee]:
    """The employees in the document's order; of the departments that provide a service type, when one is given.

    `everybody`: those who have left too. One query over all of them: hundreds, not millions.
    """
    rows = await tx.fetch(
        """select e.id, e.name, e.department, e.rank, e.endpoint, e.mobile, e.email, e.pbx, e.softphone, e.active
           from employees e
           where e.company_id = $1 and (e.active or $3)
             and ($2::text is null or exists (select 1 from department_services s where s.company_id = e.company_id
                  and s.service_type = $2 and s.department = e.department))
           order by e.position, e.id""",
        service_type, everybody,
    )  # fmt: skip
    return [Employee(**dict(row)) for row in rows]


async def get(tx: Tx, employee: str) -> Employee:
    """One employee, one who has left too. One row by key. Raises `NotFound`."""
    row = await tx.one(
        """select id, name, department, rank, endpoint, mobile, email, pbx, softphone, active from employees
           where company_id = $1 and id = $2""",
        employee,
    )
    if row is None:
        raise NotFound("employee", employee)
    return Employee(**dict(row))


async def company(tx: Tx) -> Company:
    """The company's own card. One row by key."""
    row = await tx.one("select name, country, timezone, language, active_version from companies where id = $1")
    assert row is not None
    return Company(**dict(row))


async def departments(tx: Tx) -> list[Department]:
    """The departments in the document's order. One query."""
    rows = await tx.fetch(
        """select d.id, d.name, d.active, coalesce(array_agg(s.service_type order by t.position)
                  filter (where s.service_type is not null), '{}') as service_types
           from departments d
           left join department_services s on s.company_id = d.company_id and s.department = d.id
           left join service_types t on t.company_id = d.company_id and t.id = s.service_type
           where d.company_id = $1 and d.active group by d.id, d.name, d.active, d.position order by d.position, d.id"""
    )
    return [Department(row["id"], row["name"], tuple(row["service_types"]), row["active"]) for row in rows]


async def service_types(tx: Tx) -> list[ServiceType]:
    """The service types in the document's order. One query."""
    rows = await tx.fetch(
        "select id, name, active from service_types where company_id = $1 and active order by position, id"
    )
    return [ServiceType(**dict(row)) for row in rows]


async def project(tx: Tx, document: Mapping[str, Any]) -> None:
    """Makes the tables those of an engine document. Ten statements, whatever the number of people; routers are told of the
    clients of those who came and went."""
    here = "select array_agg(id) from employees where company_id = $1 and active"
    before = set(await tx.value(here) or ())
    card = document["company"]
    await tx.run(
        "update companies set name = $2, country = $3, timezone = $4, language = $5 where id = $1",
        card["name"], card["country"], card["timezone"], card["language"],
    )  # fmt: skip
    for table in ("service_types", "departments"):
        items = document[table]
        await tx.run(
            f"""insert into {table} (company_id, id, name, position)
                select $1, id, name, position from unnest($2::text[], $3::text[])
                    with ordinality as given (id, name, position)
                on conflict (company_id, id) do update set name = excluded.name, position = excluded.position, active
                = true""",
            list(items), [item["name"] for item in items.values()],
        )  # fmt: skip
    given = document["employees"]
    columns = [[item.get(key) for item in given.values()] for key in _COLUMNS]
    await tx.run(
        """insert into employees (company_id, id, name, department, rank, endpoint, mobile, email, pbx, softphone,
                                  position)
           select $1, given.*
           from unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::text[], $7::text[], $8::text[], $9::text[],
                       $10::boolean[])
               with ordinality as given (id, name, department, rank, endpoint, mobile, email, pbx, softphone, position)
           on conflict (company_id, id) do update set name = excluded.name, department = excluded.department,
               rank = excluded.rank, endpoint = excluded.endpoint, mobile = excluded.mobile, email = excluded.email,
               pbx = excluded.pbx, softphone = excluded.softphone, position = excluded.position, active = true""",
        list(given), *columns, [bool(item.get("softphone")) for item in given.values()],
    )  # fmt: skip
    for table in ("employees", "departments", "service_types"):
        await tx.run(
            f"update {table} set active = false where company_id = $1 and active and id <> all($2::text[])",
            list(document[table]),
        )
    await lookups.clients_changed(tx, sorted(before ^ set(await tx.value(here) or ())))
    provided = [
        (department, service)
        for department, card in document["departments"].items()
        for service in dict.fromkeys(card.get("service_types") or ())
    ]
    await tx.run("delete from department_services where company_id = $1")
    await tx.run(
        "insert into department_services (company_id, department, service_type) "
        "select $1, department, service from unnest($2::text[], $3::text[]) as given (department, service)",
        [department for department, _ in provided], [service for _, service in provided],
    )  # fmt: skip


_COLUMNS = ("name", "department", "rank", "endpoint", "mobile", "email", "pbx")

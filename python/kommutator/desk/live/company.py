"""What cards say by the active version: the schemes of the numbers dialled, regions of callers, departments of employees."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from kommutator.crm import people, versions
from kommutator.crm.numbers import normalize
from kommutator.crm.pool import Database
from kommutator.engine import Engine
from kommutator.errors import BadNumber


@dataclass(frozen=True, slots=True)
class CompanyFacts:
    """The facts of one version."""

    number: int | None = None
    country: str = "RU"
    departments: Mapping[str, str | None] = field(default_factory=dict)
    """Of each employee."""
    _schemes: Mapping[str, str] = field(default_factory=dict)
    _regions: Mapping[str, str] = field(default_factory=dict)
    _engine: Engine | None = None

    def names(self, employee: str | None) -> tuple[str, ...]:
        """To whom what is an employee's is assigned: himself and his department."""
        if employee is None:
            return ()
        department = self.departments.get(employee)
        return (employee,) if department is None else (employee, department)

    def e164(self, raw: str | None) -> str | None:
        """A number as the memory has it."""
        return normalize(raw, self.country)

    def scheme(self, did: str | None) -> str | None:
        """The scheme that serves a number dialled."""
        number = self.e164(did)
        return None if number is None else self._schemes.get(number)

    def region(self, caller: str | None) -> str | None:
        """The name of a caller's region, where the company has it."""
        number = self.e164(caller)
        if number is None or self._engine is None:
            return None
        try:
            region = self._engine.region_of(number)
        except BadNumber:
            return None
        return None if region is None else self._regions.get(region, region)


async def read(database: Database, last: CompanyFacts) -> CompanyFacts:
    """The active version's facts; `last` when that is it. Raises `DatabaseUnreachable`."""
    async with database.transaction() as tx:
        company = await people.company(tx)
        number = company.active_version
        if number == last.number and number is not None:
            return last
        if number is None:
            return CompanyFacts(None, company.country)
        document = await versions.engine_document(tx, number)
        departments = {each.id: each.department for each in await people.employees(tx)}
    return await asyncio.to_thread(_made, number, document, departments)


def _made(number: int, raw: bytes, departments: dict[str, str | None]) -> CompanyFacts:
    document: dict[str, Any] = orjson.loads(raw)
    country = document["company"]["country"]
    return CompanyFacts(
        number,
        country,
        departments,
        {normalize(each, country) or each: card["scheme"] for each, card in document["numbers"].items()},
        {each: card.get("name") or each for each, card in document["regions"].items()},
        Engine(raw),
    )

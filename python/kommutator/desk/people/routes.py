"""The company's people, as the active version has them. They are changed by making another version."""

from __future__ import annotations

from kommutator.crm import people
from kommutator.desk.operations import Asked, Feature
from kommutator.desk.people.forms import (
    Company,
    Department,
    Departments,
    Employee,
    Employees,
    EmployeesQuery,
    ServiceType,
    ServiceTypes,
)

feature = Feature(
    "people", "Employees, departments and service types of the active version; another version changes them"
)


@feature.get("/api/company", returns=Company)
async def get_company(asked: Asked) -> Company:
    """The company's own card, with its zone and language."""
    async with asked.transaction() as tx:
        card = Company.model_validate(await people.company(tx))
    return card.model_copy(update={"virtual_phones": asked.services.phones is not None})


@feature.get("/api/employees", query=EmployeesQuery, returns=Employees)
async def list_employees(asked: Asked, query: EmployeesQuery) -> Employees:
    """Employees in the document's order."""
    async with asked.transaction() as tx:
        found = await people.employees(tx, service_type=query.service_type, everybody=query.everybody)
    return Employees(items=[Employee.model_validate(each) for each in found])


@feature.get("/api/departments", returns=Departments)
async def list_departments(asked: Asked) -> Departments:
    """Departments with the service types that they provide."""
    async with asked.transaction() as tx:
        found = await people.departments(tx)
    items = [Department(id=each.id, name=each.name, service_types=list(each.service_types)) for each in found]
    return Departments(items=items)


@feature.get("/api/service-types", returns=ServiceTypes)
async def list_service_types(asked: Asked) -> ServiceTypes:
    """What clients ask for."""
    async with asked.transaction() as tx:
        found = await people.service_types(tx)
    return ServiceTypes(items=[ServiceType.model_validate(each) for each in found])

"""The company's people as they go out."""

from __future__ import annotations

from kommutator.desk.forms import Form, Name, View


class EmployeesQuery(Form):
    """Which employees."""

    service_type: Name | None = None
    """Of the departments that provide it."""
    everybody: bool = False
    """Those who have left too."""


class Company(View):
    """The company's own card."""

    name: str
    country: str
    """ISO 3166, by whose rules numbers are read."""
    timezone: str
    """In which times are shown."""
    language: str
    active_version: int | None
    virtual_phones: bool = False
    """Whether a PBX is simulated here, whose phones `/api/phones` has."""


class Employee(View):
    """A person who can be rung."""

    id: str
    name: str
    department: str | None
    rank: int | None
    endpoint: str | None
    mobile: str | None
    email: str | None
    softphone: bool
    """His phone is the browser."""
    active: bool


class Employees(View):
    """Employees in the document's order."""

    items: list[Employee]


class Department(View):
    """A department with the service types that it provides."""

    id: str
    name: str
    service_types: list[str]


class Departments(View):
    """Departments in the document's order."""

    items: list[Department]


class ServiceType(View):
    """What clients ask for."""

    id: str
    name: str


class ServiceTypes(View):
    """Service types in the document's order."""

    items: list[ServiceType]

"""A small company, as `people.project` reads it."""

from __future__ import annotations

from typing import Any, Final

COMPANY: Final[dict[str, Any]] = {
    "company": {"name": "Ромашка", "country": "RU", "timezone": "Europe/Moscow", "language": "ru"},
    "service_types": {},
    "departments": {},
    "employees": {"anna": {"name": "Анна Ильина"}, "boris": {"name": "Борис"}, "boris2": {"name": "Борис"}},
}

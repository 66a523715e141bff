"""What takes long is marked, so that `make check` stays fast."""

from __future__ import annotations

from pathlib import Path

import pytest

SERVICES = tuple(Path(__file__).parent / room for room in ("api", "crm", "desk_services", "exchange", "notify"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the rooms whose tests start servers and kill them."""
    for item in items:
        if any(item.path.is_relative_to(room) for room in SERVICES):
            item.add_marker("services")

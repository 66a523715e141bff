"""What takes long is marked, so that `make check` stays fast."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("KOMMUTATOR_EXAMPLES", "steady"))
"""Equal code has equal examples, so that a run says something of what was changed; `search` looks for new ones."""

SERVICES = tuple(Path(__file__).parent / room for room in ("api", "crm", "desk_services", "exchange", "notify"))


@pytest.fixture(autouse=True)
def plain_log() -> Iterator[None]:
    """A command that a test runs in this process sets up the log of the process: the next test has its own again."""
    yield
    structlog.reset_defaults()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the rooms whose tests start servers and kill them."""
    for item in items:
        if any(item.path.is_relative_to(room) for room in SERVICES):
            item.add_marker("services")

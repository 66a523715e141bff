"""A stack for each test, and the end of its log where the test fails."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.drills.stack import Stack
from tests.telephony.asterisk import Asterisk

_STACKS = pytest.StashKey[list[Stack]]()


@pytest.fixture
def build(request: pytest.FixtureRequest) -> Iterator[Callable[..., Stack]]:
    """Makes a stack with routers of these names; see `Stack`.

    Its folder is one that the unprivileged user of PostgreSQL can enter, as pytest's own cannot be.
    """
    folder = Path(tempfile.mkdtemp(prefix="kt-drill-"))
    folder.chmod(0o755)
    stacks = request.node.stash[_STACKS] = []

    def make(*routers: str, asterisk: Asterisk | None = None) -> Stack:
        stacks.append(Stack(folder, *routers, asterisk=asterisk))
        return stacks[-1]

    yield make
    for stack in stacks:
        stack.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: Any) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the end of the stack's log to the report of a failure."""
    report = yield
    if report.failed and call.when == "call":
        for stack in item.stash.get(_STACKS, []):
            report.sections.append(("the stack's log", stack.tail()))
    return report

"""What the tests of notices share."""

import asyncio

import pytest

from tests.notify.memory import FakeClock, MemoryOutbox


@pytest.fixture
def anyio_backend() -> str:
    """Notices are asyncio's."""
    return "asyncio"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def outbox(clock: FakeClock) -> MemoryOutbox:
    assert asyncio.get_running_loop()
    return MemoryOutbox(clock)

"""A house for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.telephony.asterisk import Asterisk

from .house import House


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Makes a house with routers of these names; see `House`."""
    houses: list[House] = []

    def make(*routers: str, asterisk: Asterisk | None = None) -> House:
        house = House(tmp_path, *routers, asterisk=asterisk)
        houses.append(house)
        return house

    yield make
    for house in houses:
        house.close()


@pytest.fixture(scope="session")
def asterisk() -> Iterator[Asterisk]:
    """One Asterisk for all."""
    with Asterisk() as running:
        yield running

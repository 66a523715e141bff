"""A house for each test."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .house import House


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Makes a house with routers of these names, each at a simulated PBX of its own."""
    houses: list[House] = []

    def make(*routers: str) -> House:
        house = House(tmp_path, *routers)
        houses.append(house)
        return house

    yield make
    for house in houses:
        house.close()

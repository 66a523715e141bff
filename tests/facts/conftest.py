"""A database, an exchange, a desk's side, and routers' sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kommutator.exchange.settings import ExchangeSettings
from tests.crm.conftest import dsn_of_company, server, server_folder  # noqa: F401 - fixtures
from tests.exchange.conftest import Nats, nats  # noqa: F401 - fixtures
from tests.facts.sides import DeskSide, RouterSide, engine

Route = Callable[..., RouterSide]


@pytest.fixture
def settings(nats: Nats) -> Callable[[], ExchangeSettings | None]:  # noqa: F811
    """Where the exchange is now."""
    return lambda: nats.settings


@pytest.fixture
def desk(
    dsn_of_company: str,  # noqa: F811
    settings: Callable[[], ExchangeSettings | None],
    tmp_path: Path,
) -> Iterator[DeskSide]:
    """A desk's side that runs."""
    side = DeskSide(dsn_of_company, settings, tmp_path / "desk")
    side.start()
    yield side
    side.stop()


@pytest.fixture
def route(settings: Callable[[], ExchangeSettings | None], tmp_path: Path) -> Route:
    """Makes a router's side with a new engine, on the disk of a name."""

    def make(name: str = "r1", **options: object) -> RouterSide:
        return RouterSide(engine(tmp_path), settings, tmp_path / name, name=name, **options)  # type: ignore[arg-type]

    return make

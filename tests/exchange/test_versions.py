"""Company versions: told by a desk, fetched, adopted and kept by routers; never changed."""

from pathlib import Path

import pytest
import trio

from kommutator import Engine
from kommutator.company import load
from kommutator.errors import CompanyInvalid, ExchangeRefused
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.bundle import bundle, unbundle
from kommutator.exchange.messages import Activation, CompanyVersion
from kommutator.exchange.nats.versions import DeskVersions
from kommutator.exchange.versions import VersionShelf, VersionWatch
from tests.scenario_files import folders

from .conftest import Desk, Nats, until

pytestmark = pytest.mark.trio
FOLDER = next(folder for folder in folders() if folder.name.startswith("1-"))


def version(name: str) -> CompanyVersion:
    loaded = load(FOLDER / "company.yaml")
    return bundle(name, loaded.engine_json, loaded.prompts)


class Database:
    """Which version is active, as a desk's database has it."""

    def __init__(self, name: str) -> None:
        self.active: tuple[Activation, CompanyVersion] | None = (Activation(name, 1, "anna"), version(name))

    async def read(self) -> tuple[Activation, CompanyVersion] | None:
        return self.active

    def activate(self, name: str, at_ms: int) -> None:
        self.active = (Activation(name, at_ms, "anna"), version(name))


async def test_a_router_adopts_the_active_version_and_the_next_and_starts_with_the_last_without_an_exchange(
    nats: Nats, desk: Desk, tmp_path: Path
) -> None:
    database = Database("version 1")
    telling = DeskVersions(desk.exchange, database.read)
    desk.start()
    adopted: list[str] = []

    async def adopt(adopting: CompanyVersion) -> None:
        Engine(adopting.engine_json)
        adopted.append(adopting.version)

    bridge, shelf = Bridge(nats.settings, "r1"), VersionShelf(tmp_path / "versions")
    watch = VersionWatch(bridge, shelf, adopt)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bridge.run)
        nursery.start_soon(watch.run)
        await until(lambda: adopted == ["version 1"])
        database.activate("версия/2", 2)
        await trio.to_thread.run_sync(desk.do, lambda exchange: telling.announce())
        await until(lambda: adopted == ["version 1", "версия/2"])
        await until(lambda: len(shelf.read()) == 2)
        # Rolled back while the exchange is away; the desk makes up for it.
        await trio.to_thread.run_sync(nats.kill)
        database.activate("version 1", 3)
        await trio.to_thread.run_sync(nats.start)
        await until(lambda: adopted == ["version 1", "версия/2", "version 1"])
        await until(lambda: [each.version for each in shelf.read()] == ["версия/2", "version 1"])
        nursery.cancel_scope.cancel()
    assert shelf.read()[-1] == version("version 1")


async def test_a_version_that_is_refused_leaves_the_last_one_active_and_the_next_is_adopted(
    nats: Nats, desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database = Database("bad")
    telling = DeskVersions(desk.exchange, database.read)
    desk.start()
    tried: list[str] = []

    async def adopt(adopting: CompanyVersion) -> None:
        tried.append(adopting.version)
        if adopting.version == "bad":
            raise CompanyInvalid([])

    bridge = Bridge(nats.settings, "r1")
    watch = VersionWatch(bridge, VersionShelf(tmp_path / "versions"), adopt, "good")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bridge.run)
        nursery.start_soon(watch.run)
        await until(lambda: tried == ["bad"])
        assert watch.current == "good"
        database.activate("better", 2)
        await trio.to_thread.run_sync(desk.do, lambda exchange: telling.announce())
        await until(lambda: watch.current == "better")
        nursery.cancel_scope.cancel()
    assert tried == ["bad", "better"]
    assert "the active version is refused" in capsys.readouterr().out


async def test_a_version_once_told_never_changes(desk: Desk) -> None:
    database = Database("version 1")
    telling = DeskVersions(desk.exchange, database.read)
    desk.start()
    await trio.to_thread.run_sync(desk.do, lambda exchange: telling.announce())
    database.active = (Activation("version 1", 2), CompanyVersion("version 1", b"{}", {}))
    with pytest.raises(ExchangeRefused, match="never changes"):
        await trio.to_thread.run_sync(desk.do, lambda exchange: telling.announce())


async def test_prompts_travel_with_their_sound(tmp_path: Path) -> None:
    loaded = load(FOLDER / "company.yaml")
    sources = unbundle(version("v"), tmp_path)
    assert sources.keys() == loaded.prompts.keys()
    for prompt, source in loaded.prompts.items():
        assert sources[prompt].seconds == source.seconds
        if source.file is not None:
            came = sources[prompt].file
            assert came is not None
            assert came.read_bytes() == source.file.read_bytes()


async def test_the_shelf_keeps_the_last_few_and_survives_a_damaged_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = VersionShelf(tmp_path)
    for number in range(12):
        shelf.put(CompanyVersion(f"v{number}", b"{}", {}))
    assert [each.version for each in shelf.read()] == [f"v{number}" for number in range(4, 12)]
    assert len(list(tmp_path.glob("*.version"))) == 8
    (tmp_path / "v7.version").write_bytes(b"\xc1")
    assert [each.version for each in shelf.read()] == ["v4", "v5", "v6", "v8", "v9", "v10", "v11"]
    assert "cannot be read" in capsys.readouterr().out

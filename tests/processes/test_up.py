"""`kommutator up`: its table of processes, and the real database and exchange under it."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import signal
import socket
import urllib.request
from pathlib import Path

import asyncpg
import pytest

from kommutator.cli.up import children_of, desk_address
from kommutator.configuration import Configuration
from kommutator.exchange.embedded import read_address

from .conftest import ROOT, Running, Start, gone, wait_until

SIMULATED = {"pbx": {"kind": "simulated"}}
ASTERISK = {"pbx": {"kind": "asterisk", "url": "http://pbx", "user": "u", "password": "p"}}


def configured(**values: object) -> Configuration:
    return Configuration.model_validate(values)


def test_the_table_has_each_part_after_what_it_needs(tmp_path: Path) -> None:
    table = children_of(configured(data=tmp_path, routers={"office": SIMULATED, "field": ASTERISK}), Path("k.toml"))
    assert {child.name: child.after for child in table} == {
        "postgres": (),
        "nats": (),
        "desk": ("postgres", "nats"),
        "pbx-office": (),
        "route-office": ("desk", "pbx-office"),
        "route-field": ("desk",),
    }
    (router,) = [child for child in table if child.name == "route-office"]
    assert router.command[2:] == (
        "-m", "kommutator", "route", "office", "--data", str(tmp_path), "--config", "k.toml",
    )  # fmt: skip


def test_servers_of_others_are_not_started() -> None:
    elsewhere = configured(postgres={"dsn": "postgresql://db/k"}, exchange={"urls": ["nats://n"]})
    assert [(child.name, child.after) for child in children_of(elsewhere, None)] == [("desk", ())]


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("0.0.0.0:80", "http://localhost:80/"),
        ("[::]:80", "http://localhost:80/"),
    ],
)
def test_where_the_desk_is(listen: str, address: str) -> None:
    assert desk_address(configured(desk={"listen": listen})) == address


def test_a_second_up_is_refused_and_told_who_is_there(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "kommutator.toml"
    file.write_text('[postgres]\ndsn = "postgresql://127.0.0.1:1/k"\n[exchange]\nurls = "nats://127.0.0.1:1"\n')
    command = ("-m", "kommutator", "up", "--config", file, "--data", tmp_path / "data")
    first = start(*command)
    first.until(lambda line: "no router is configured" in line)
    first.until(lambda line: 'kind = "simulated"' in line)
    first.until(lambda line: line.startswith("desk │ starting"))
    second = start(*command)
    assert second.wait() == 5
    assert f"`up` runs already on {tmp_path / 'data'}, as process {first.process.pid}" in second.heard[-1]
    assert first.end(signal.SIGINT) == 0


def test_a_broken_configuration_starts_nothing(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "kommutator.toml"
    file.write_text("nonsense = 1\n")
    broken = start("-m", "kommutator", "up", "--config", file, "--data", tmp_path / "data")
    assert broken.wait() == 2
    assert f"{file}:1: nonsense: there is no such key" in broken.heard[-1]
    assert not (tmp_path / "data").exists()


# --- with the real servers


def server_pids(data: Path) -> tuple[int, int]:
    """Of PostgreSQL and of NATS."""
    postmaster = (data / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0]
    return int(postmaster), int(json.loads((data / "nats" / "server.json").read_text())["pid"])


def dsn(up: Running) -> str:
    """Where the database is, as its launcher says."""
    said = up.said(process="postgres", event=lambda event: "postgresql://" in event)
    return str(said["event"]).split(": ", 1)[1]


def asked(address: str, *statements: str) -> object:
    """The last statement's value."""

    async def ask() -> object:
        connection = await asyncpg.connect(address)
        try:
            return [await connection.fetchval(statement) for statement in statements][-1]
        finally:
            await connection.close()

    return asyncio.run(ask())


def greeted(data: Path) -> bool:
    """Whether the exchange answers."""
    address = read_address(data / "nats")
    assert address is not None
    host, _, port = address.url.removeprefix("nats://").rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            return connection.recv(4096).startswith(b"INFO ")
    except OSError:
        return False


@pytest.mark.services
def test_servers_come_up_come_back_and_are_stopped_in_order(start: Start, open_folder: Path) -> None:
    data = open_folder / "data"
    up = start("-m", "tests.processes.servers", data)
    up.said(process="up", event="all is ready")
    address = dsn(up)
    assert asked(address, "select 41 + 1") == 42
    assert greeted(data)

    postgres, nats = server_pids(data)
    for name, pid in (("postgres", postgres), ("nats", nats)):
        up.said(process=name, state="ready")
        os.kill(pid, signal.SIGKILL)
    up.said(process="postgres", state="pausing", event=lambda event: event.startswith("ended with exit code 6"))
    up.said(process="postgres", state="ready")
    assert asked(address, "select 41 + 1") == 42
    wait_until(lambda: greeted(data))
    assert set(server_pids(data)).isdisjoint({postgres, nats})

    pids = server_pids(data)
    assert up.end(signal.SIGTERM) == 0
    assert all(gone(pid) for pid in pids)
    order = [(each["process"], each["state"]) for each in up.everything() if "state" in each]
    assert order.index(("desk", "stopped")) < order.index(("postgres", "stopping"))


@pytest.mark.services
def test_after_kill_9_of_up_nothing_is_orphaned_and_the_next_has_the_data(start: Start, open_folder: Path) -> None:
    data = open_folder / "data"
    first = start("-m", "tests.processes.servers", data)
    first.said(process="up", event="all is ready")
    address = dsn(first)
    asked(address, "create table kept (n int)", "insert into kept values (7)")
    launchers = [pid for pid, _ in json.loads((data / "up.json").read_text()).values()]
    assert len(launchers) == 3
    first.end(signal.SIGKILL)
    second = start("-m", "tests.processes.servers", data)
    second.said(process="up", event="all is ready")
    assert all(gone(pid) for pid in launchers)
    assert asked(dsn(second), "select n from kept") == 7
    assert greeted(data)

    third = start("-m", "kommutator", "up", "--data", data)
    assert third.wait() == 5
    pids = server_pids(data)
    second.end(signal.SIGKILL)
    for pid in pids:
        wait_until(functools.partial(gone, pid))


@pytest.mark.services
def test_commands_of_the_memory_find_the_database_by_the_configuration(start: Start, open_folder: Path) -> None:
    data = open_folder / "data"
    up = start("-m", "tests.processes.servers", data)
    up.said(process="up", event="all is ready")
    company = ROOT / "tests" / "scenarios" / "1-office-hours" / "company.yaml"
    by_data, by_dsn = open_folder / "data.toml", open_folder / "dsn.toml"
    by_data.write_text('data = "data"\n')
    by_dsn.write_text(f'data = "elsewhere"\n[postgres]\ndsn = "{dsn(up)}"\n')
    for arguments, environ in (
        (("import", company, "--config", by_data), {}),
        (("activate", "1", "--config", by_dsn), {}),
        (("versions", "--data", data), {}),
        (("versions",), {"KOMMUTATOR_CONFIG": str(by_data)}),
        (("versions",), {"KOMMUTATOR_DATA": str(data)}),
    ):
        done = start("-m", "kommutator", *arguments, **environ)
        assert done.wait() == 0, done.heard
    assert asked(dsn_of(by_dsn), "select count(*) from company_versions") == 1
    assert not (open_folder / "elsewhere").exists()
    assert up.end() == 0


@pytest.fixture
def house(open_folder: Path) -> Path:
    """The configuration of one company with a simulated PBX."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    file = open_folder / "kommutator.toml"
    file.write_text(
        f'data = "data"\n[log]\nform = "json"\n[desk]\nlisten = "127.0.0.1:{port}"\n'
        '[routers.office.pbx]\nkind = "simulated"\n'
    )
    return file


@pytest.mark.services
def test_the_whole_comes_up_on_an_empty_folder_comes_back_piece_by_piece_and_goes_in_order(
    start: Start, house: Path
) -> None:
    up = start("-m", "kommutator", "up", "--config", house)
    up.said(process="desk", state="ready")
    up.said(process="route-office", state="starting", event=lambda event: "no company version yet" in event)
    company = ROOT / "tests" / "scenarios" / "1-office-hours" / "company.yaml"
    imported = start("-m", "kommutator", "import", company, "--activate", "--config", house)
    assert imported.wait() == 0, imported.heard
    up.said(process="route-office", state="ready")
    all_ready = up.said(process="up", state="ready")
    address = str(all_ready["event"]).removeprefix("all is ready; the desk is at ")
    with urllib.request.urlopen(f"{address}healthz", timeout=10) as answer:
        assert answer.status == 200

    def children() -> dict[str, int]:
        kept: dict[str, list[int]] = json.loads((house.parent / "data" / "up.json").read_text())
        return {name: pid for name, (pid, _) in kept.items()}

    before = children()
    assert set(before) == {"postgres", "nats", "desk", "pbx-office", "route-office"}
    for name, pid in before.items():
        os.kill(pid, signal.SIGKILL)
        up.said(process=name, state="pausing")
        up.said(process=name, state="ready")
    assert set(children().values()).isdisjoint(before.values())

    after = (*children().values(), *server_pids(house.parent / "data"))
    assert up.end(signal.SIGTERM) == 0
    assert all(gone(pid) for pid in after)
    order = [each["process"] for each in up.everything() if each.get("state") == "stopped"]
    assert order[0] == "route-office"
    assert set(order[1:3]) == {"desk", "pbx-office"}
    assert set(order[3:]) == {"postgres", "nats"}
    assert not [each for each in up.everything() if "has not stopped" in str(each.get("event"))]


@pytest.mark.services
def test_the_whole_killed_with_kill_9_is_there_again_with_its_version(start: Start, house: Path) -> None:
    first = start("-m", "kommutator", "up", "--config", house)
    first.said(process="desk", state="ready")
    company = ROOT / "tests" / "scenarios" / "1-office-hours" / "company.yaml"
    assert start("-m", "kommutator", "import", company, "--activate", "--config", house).wait() == 0
    first.said(process="up", state="ready")
    first.end(signal.SIGKILL)
    second = start("-m", "kommutator", "up", "--config", house)
    second.said(process="route-office", state="ready", event=lambda event: "version 1" in event)
    second.said(process="up", state="ready")
    assert second.end() == 0


def dsn_of(file: Path) -> str:
    return file.read_text().split('"')[3]

"""The units of `deploy/systemd`: as systemd reads them, and each command driven as systemd drives `Type=notify`."""

from __future__ import annotations

import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from kommutator.cli import main
from kommutator.configuration import FastAgi

from .conftest import PATIENCE_S, ROOT, Start

UNITS = ROOT / "deploy" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
PROGRAM = "/opt/kommutator/bin/kommutator"
DATA = "/var/lib/kommutator"
FILE = "/etc/kommutator/kommutator.toml"


def command_line(unit: Path, instance: str = "office") -> list[str]:
    """The words of `ExecStart` after the program."""
    (line,) = [line for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    program, *words = shlex.split(line.removeprefix("ExecStart=").replace("%i", instance))
    assert program == PROGRAM
    return words


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_each_unit_starts_a_command_that_there_is_with_options_that_it_has(unit: Path) -> None:
    name, *arguments = command_line(unit)
    context = click.Context(main)
    command = main.get_command(context, name)
    assert command is not None, f"there is no command {name}"
    with command.make_context(name, arguments, parent=context) as parsed:
        assert {str(parsed.params["config"]), str(parsed.params["data"])} == {FILE, DATA}


def test_everything_belongs_to_the_target_and_starts_again_for_ever() -> None:
    assert [unit.stem for unit in SERVICES] == [
        "kommutator-desk", "kommutator-nats", "kommutator-pbx@", "kommutator-postgres", "kommutator-route@",
    ]  # fmt: skip
    for unit in SERVICES:
        lines = unit.read_text().splitlines()
        for needed in (
            "PartOf=kommutator.target", "WantedBy=kommutator.target", "Type=notify", "Restart=always",
            "StartLimitIntervalSec=0", "TimeoutStartSec=infinity", "ProtectSystem=strict", "NoNewPrivileges=yes",
            "StateDirectory=kommutator",
        ):  # fmt: skip
            assert needed in lines, f"{unit.name} has no {needed}"


def test_a_router_may_write_where_asterisk_has_messages_and_call_files_by_default() -> None:
    lines = (UNITS / "kommutator-route@.service").read_text().splitlines()
    (allowed,) = [Path(line.removeprefix("ReadWritePaths=-")) for line in lines if line.startswith("ReadWritePaths=")]
    for name in ("messages", "outgoing"):
        assert Path(FastAgi.model_fields[name].default).is_relative_to(allowed)


@pytest.fixture
def as_installed(tmp_path: Path) -> Path:
    """The units as on a machine where the program is, with a router of the template."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not here: install the package systemd")
    program = tmp_path / "kommutator"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m kommutator "$@"\n')
    program.chmod(0o755)
    folder = tmp_path / "units"
    folder.mkdir()
    for unit in (*SERVICES, UNITS / "kommutator.target"):
        text = unit.read_text().replace(PROGRAM, str(program))
        (folder / unit.name).write_text(text)
        if "@" in unit.name:
            (folder / unit.name.replace("@", "@office")).write_text(text)
    return folder


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def test_systemd_finds_nothing_wrong_with_the_units(as_installed: Path) -> None:
    units = [unit for unit in as_installed.iterdir() if "@." not in unit.name]
    done = analyze("verify", "--man=no", *units)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    broken = as_installed / "kommutator-desk.service"
    broken.write_text(broken.read_text().replace("Restart=always", "Restart=perhaps"))
    assert "perhaps" in analyze("verify", "--man=no", broken).stderr, "it would not have found anything"


def test_the_services_are_exposed_little(as_installed: Path) -> None:
    for unit in as_installed.glob("*.service"):
        if "@." not in unit.name:
            done = analyze("security", "--offline=true", "--threshold=20", unit)  # of 100
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A socket such as systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(PATIENCE_S)
        yield str(tmp_path / "notify"), ear


@pytest.mark.services
@pytest.mark.parametrize("name", ["postgres", "nats"])
def test_a_unit_tells_systemd_that_it_is_ready_and_that_it_stops(
    name: str, start: Start, open_folder: Path, notified: tuple[str, socket.socket]
) -> None:
    address, ear = notified
    file = open_folder / "kommutator.toml"
    file.touch()
    places = {DATA: str(open_folder / "data"), FILE: str(file)}
    words = [places.get(word, word) for word in command_line(UNITS / f"kommutator-{name}.service")]
    service = start("-m", "kommutator", *words, NOTIFY_SOCKET=address)

    def told(wanted: str) -> list[str]:
        """What was told until a message has this line."""
        heard: list[str] = []
        while wanted not in heard:
            heard += ear.recv(4096).decode().splitlines()
        return heard

    assert told("READY=1")[0] == "STATUS=starting the server"
    service.process.send_signal(signal.SIGTERM)
    told("STOPPING=1")
    assert service.wait() == 0

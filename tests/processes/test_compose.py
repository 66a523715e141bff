"""The compose file: what it names is there, and what it sets is known."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from kommutator.cli import main
from kommutator.exchange.embedded import server_binary
from kommutator.settings import Settings, read

from .conftest import ROOT

FOLDER = ROOT / "deploy" / "compose"
OURS = ("desk", "pbx-office", "route-office")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    parsed: dict[str, Any] = YAML(typ="safe").load(FOLDER / "compose.yaml")
    return parsed


def merged(service: dict[str, Any]) -> dict[str, Any]:
    """Without variables: each has a value from `.env`."""
    variables = {
        name: re.sub(r"\$\{(\w+)[^}]*\}", r"secretof\1", str(value))
        for name, value in service.get("environment", {}).items()
    }
    return {**service, "environment": variables}


def settings_of(service: dict[str, Any]) -> Settings:
    return read(FOLDER / "kommutator.toml", {**merged(service)["environment"], "KOMMUTATOR_CONFIG": ""})


def test_what_services_name_is_there(document: dict[str, Any]) -> None:
    services = document["services"]
    assert set(services) == {"postgres", "nats", *OURS}
    used = set()
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= services.keys(), name
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] in ("service_healthy", "service_started")
            assert how["condition"] == "service_started" or "healthcheck" in services[other], (
                f"{name} waits for {other}"
            )
        for volume in service.get("volumes", ()):
            source, target, *_ = volume.split(":")
            assert target.startswith("/")
            if source.startswith("."):
                assert (FOLDER / source).is_file(), f"{name}: there is no {source}"
            else:
                used.add(source)
        assert service["restart"] == "unless-stopped"
    assert used == set(document["volumes"])


def test_each_of_our_services_runs_a_command_that_there_is(document: dict[str, Any]) -> None:
    for service in OURS:
        name, *arguments = document["services"][service]["command"]
        context = click.Context(main)
        command = main.get_command(context, name)
        assert command is not None, f"{service}: there is no command {name}"
        command.make_context(name, arguments, parent=context).close()


def test_what_the_environment_sets_is_known_and_fits_the_other_services(document: dict[str, Any]) -> None:
    for service in OURS:
        settings = settings_of(document["services"][service])
        assert settings.warnings == ()
        found = settings.configuration
        assert found.data == Path("/data")
        assert found.postgres.dsn is not None
        dsn = found.postgres.dsn.get_secret_value()
        postgres = merged(document["services"]["postgres"])["environment"]
        assert dsn == (
            f"postgresql://{postgres['POSTGRES_USER']}:{postgres['POSTGRES_PASSWORD']}@postgres/{postgres['POSTGRES_DB']}"
        )
        assert found.exchange.urls == ("nats://nats:4222",)
        assert found.exchange.password is not None
        exchange = merged(document["services"]["nats"])["environment"]
        assert found.exchange.password.get_secret_value() == exchange["NATS_PASSWORD"].strip('"')
    routers = settings.configuration.routers
    assert list(routers) == ["office"]
    assert f":{settings.configuration.desk.listen.rpartition(':')[2]}/" in str(
        document["services"]["desk"]["healthcheck"]["test"]
    )
    assert f":{str(routers['office'].metrics).rpartition(':')[2]}/" in str(
        document["services"]["route-office"]["healthcheck"]["test"]
    )


def test_the_server_takes_the_configuration_of_the_exchange(tmp_path: Path) -> None:
    text = (FOLDER / "nats.conf").read_text()
    assert '"/data"' in text
    file = tmp_path / "nats.conf"

    def taken(text: str, **environ: str) -> subprocess.CompletedProcess[str]:
        file.write_text(text.replace('"/data"', f'"{tmp_path}"'))
        return subprocess.run(
            [server_binary(), "-t", "-c", file], capture_output=True, text=True, timeout=30, check=False, env=environ
        )

    for password in ("secret", "12e45"):
        good = taken(text, NATS_PASSWORD=f'"{password}"')
        assert good.returncode == 0, good.stderr
    assert taken(text).returncode != 0, "without a password it must not start"
    assert taken(text.replace("always", "sometimes"), NATS_PASSWORD='"secret"').returncode != 0


def test_the_image_is_built_of_what_there_is() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    sources = [word for line in lines if re.match(r"COPY (?!--)", line) for word in line.split()[1:-1]]
    assert "pyproject.toml" in sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    members = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]
    folders = [folder.relative_to(ROOT) for member in members for folder in ROOT.glob(member)]
    assert folders and [at for at in folders if not any(at.is_relative_to(source) for source in sources)] == []
    assert 'ENTRYPOINT ["kommutator"]' in lines
    made, wheel = (next(at for at, line in enumerate(lines) if words in line) for words in ("make ui", "maturin build"))
    assert made <= wheel, "the pages are in the wheel"


def test_compose_takes_the_file() -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not here")
    done = subprocess.run(
        [docker, "compose", "--file", FOLDER / "compose.yaml", "config", "--quiet"],
        capture_output=True, text=True, timeout=60, check=False,
        env={"PATH": "/usr/bin:/bin", "POSTGRES_PASSWORD": "a", "NATS_PASSWORD": "b"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

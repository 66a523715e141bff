"""The commands of the memory, on a real database."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result

from kommutator.cli import main
from kommutator.crm.embedded import Server

COMPANY = Path(__file__).parent.parent / "scenarios" / "8-expanding" / "company.yaml"


class Commands:
    """Runs commands on one database."""

    def __init__(self, dsn: str) -> None:
        self._environment = {"KOMMUTATOR_DSN": dsn, "KOMMUTATOR_AUTHOR": "anna", "COLUMNS": "200"}

    def __call__(self, *arguments: object, exit_code: int = 0) -> Result:
        done = CliRunner(env=self._environment).invoke(main, [str(argument) for argument in arguments])
        assert done.exit_code == exit_code, done.output
        return done


@pytest.fixture
def run(server: Server, request: pytest.FixtureRequest) -> Iterator[Commands]:
    """Commands on a database that is empty: they migrate it themselves."""
    name = f"cli_{abs(hash(request.node.name))}"

    async def admin(statement: str) -> None:
        connection = await asyncpg.connect(server.dsn.replace("/migrated?", "/postgres?"))
        await connection.execute(statement)
        await connection.close()

    asyncio.run(admin(f"create database {name}"))
    yield Commands(server.dsn.replace("/migrated?", f"/{name}?"))
    asyncio.run(admin(f"drop database {name} with (force)"))


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """The document in a folder of its own, with its prompts."""
    for file in COMPANY.parent.rglob("*"):
        if file.is_file() and file.name not in ("scenarios.yaml", "company.json"):
            target = tmp_path / "company" / file.relative_to(COMPANY.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    return tmp_path / "company"


def test_a_version_goes_in_and_comes_out_the_same(run: Commands, company: Path, tmp_path: Path) -> None:
    assert "no version yet" in run("versions").output
    run("export", tmp_path / "out", exit_code=1)
    assert run("import", company, "--comment", "первая", "--activate").output.startswith("version 1 kept")
    assert "already" in run("import", company).output
    run("export", tmp_path / "out")
    before = {file.relative_to(company): file.read_bytes() for file in company.rglob("*") if file.is_file()}
    after = {
        file.relative_to(tmp_path / "out"): file.read_bytes()
        for file in (tmp_path / "out").rglob("*")
        if file.is_file()
    }
    assert after == before
    run("export", tmp_path / "out", exit_code=1)
    (version,) = [json.loads(line) for line in run("versions", "--json").output.splitlines()]
    assert (version["author"], version["comment"], version["active"], version["ok"]) == ("anna", "первая", True, True)


def test_versions_are_activated_compared_and_rolled_back(run: Commands, company: Path) -> None:
    run("import", company, "--activate")
    file = company / "company.yaml"
    file.write_text(file.read_text() + "\n# другая\n")
    run("import", company)
    assert "+# другая" in run("diff", 1, 2).output
    assert run("diff", 1, 2, "--json").output == ""
    run("diff", 1, 9, exit_code=1)
    # A document under another name is still the document.
    renamed = file.rename(company / "tomorrow.yaml")
    renamed.write_text(renamed.read_text() + "# третья\n")
    run("import", company)
    told = run("diff", 2, 3).output.splitlines()
    assert told[:2] == ["--- company.yaml (version 2)", "+++ tomorrow.yaml (version 3)"]
    assert [line for line in told[2:] if line.startswith(("+", "-"))] == ["+# третья"]
    run("activate", 2)
    run("activate", 2, exit_code=1)
    assert "version 1 is active" in run("rollback").output
    run("rollback", exit_code=1)


def test_a_document_with_errors_is_kept_and_told_and_never_activated(
    run: Commands, company: Path, tmp_path: Path
) -> None:
    file = company / "company.yaml"
    file.write_text(file.read_text() + "\nnonsense: {}\n")
    assert "unknown_key" in run("import", company, "--activate", exit_code=1).output
    assert "unknown_key" in run("activate", 1, exit_code=1).output
    assert "has errors" in run("versions").output
    run("import", tmp_path / "nothing", exit_code=2)


def test_a_database_that_is_not_there_is_told() -> None:
    environment = {"KOMMUTATOR_DSN": "postgresql://nobody@/none?host=%2Fnonexistent"}
    assert CliRunner(env=environment).invoke(main, ["versions"]).exit_code == 6


def test_the_embedded_server_runs_until_it_is_told_to_stop() -> None:
    with tempfile.TemporaryDirectory(prefix="kt-pg-") as name:
        Path(name).chmod(0o755)
        command = [sys.executable, "-c", "from kommutator.cli import main; main()", "postgres", "--data", name]
        first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert first.stdout is not None
        told = ""
        while not told.startswith("started: "):
            told = first.stdout.readline()
            assert told
        assert subprocess.run(command, capture_output=True, check=False).returncode == 1
        listed = CliRunner(env={"KOMMUTATOR_DATA": name}).invoke(main, ["versions"])
        assert "no version yet" in listed.output
        first.kill()
        first.wait()
        first.stdout.close()
        second = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert second.stdout is not None
        assert second.stdout.readline() == told.replace("started", "found")
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
        second.stdout.close()
        assert not (Path(name) / "postgres" / "cluster" / "postmaster.pid").exists()


def test_accounts_are_made_and_get_other_passwords(run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOMMUTATOR_PASSWORD", "long enough")
    assert run("user", "add", "Vera", "--role", "administrator").output == "vera: administrator\n"
    run("user", "add", "vera", "--role", "operator", exit_code=1)
    run("user", "password", "VERA")
    run("user", "password", "nobody", exit_code=1)
    assert run("user", "list").output == "vera\tadministrator\t-\tVera\n"

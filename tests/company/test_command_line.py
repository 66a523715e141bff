"""Commands that need no proof: what they print, and their exit codes."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from kommutator.cli import COMMANDS, main

from .conftest import CARD, Write


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_teaches_with_an_example(name: str) -> None:
    groups = {"clients": "import", "config": "show", "numbering-plan": "import", "user": "add"}
    group = [name, groups[name]] if name in groups else [name]
    result = run(*group, "--help")
    assert result.exit_code == 0
    assert "Example" in result.output
    assert f"kommutator {' '.join(group)} " in result.output
    assert "Exit code" in result.output


def test_check_prints_its_object_for_a_document_that_cannot_be_read(write: Write) -> None:
    file = write("company.yaml", "company: {\n")
    result = run("check", file, "--json")
    assert result.exit_code == 2
    report = orjson.loads(result.stdout)
    assert (report["ok"], report["schemes"]) == (False, {})
    (finding,) = report["findings"]
    assert finding | {"message": ""} == {
        "code": "unreadable",
        "severity": "error",
        "scheme": None,
        "node": None,
        "file": str(file),
        "line": 2,
        "message": "",
        "path": [],
    }


def test_check_without_json_says_where(tmp_path: Path) -> None:
    result = run("check", tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert f"{tmp_path}/none.yaml" in result.output
    assert "No such file" in result.output


def test_compile_prints_the_engine_document(write: Write, tmp_path: Path) -> None:
    file = write("company.yaml", CARD)
    result = run("compile", file)
    assert result.exit_code == 0
    document = orjson.loads(result.stdout)
    assert document["company"]["name"] == "Ромашка"
    assert run("compile", file, "-o", tmp_path / "out.json").exit_code == 0
    assert orjson.loads((tmp_path / "out.json").read_bytes()) == document


def test_compile_tells_of_holes(write: Write) -> None:
    result = run("compile", write("company.yaml", CARD + "employees: {anna: 1}"))
    assert result.exit_code == 1
    assert orjson.loads(result.stdout)["employees"] == {"anna": {"broken": True}}
    assert "[wrong_type]" in result.stderr


@pytest.mark.parametrize("command", [["compile"], ["trace", "--did", "1"]])
def test_a_document_that_cannot_be_read_is_exit_code_2(tmp_path: Path, command: list[str]) -> None:
    result = run(*command, tmp_path / "none.yaml")
    assert result.exit_code == 2
    assert "none.yaml" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--at", "yesterday"], "--at"),
        (["--event", '{"type": "played"}', "--event", "{"], "--event 2"),
        (["--event", "[]"], "--event 1"),
        (["--event", '{"type": "played", "at": []}'], "--event 1"),
        (["--event", '{"type": "played", "at": "soon"}'], "--event 1"),
    ],
)
def test_trace_names_the_argument_that_is_wrong(write: Write, arguments: list[str], named: str) -> None:
    result = run("trace", write("company.yaml", CARD), "--did", "1", *arguments)
    assert result.exit_code == 2
    assert f"Invalid value for {named}:" in result.stderr


def test_a_numbering_plan_is_imported(write: Write, tmp_path: Path) -> None:
    plan = write("plan.csv", "343;2000000;2999999;1000000;О;Урал\n")
    output = tmp_path / "numbering-plan.csv.gz"
    result = run("numbering-plan", "import", plan, "--output", output)
    assert result.exit_code == 0, result.output
    assert "1 rows, 1 ranges, 1 regions" in result.output
    plan.write_text("343;x\n", encoding="utf-8")
    result = run("numbering-plan", "import", plan, "--output", output)
    assert result.exit_code == 1
    assert f"{plan}:1: " in result.stderr

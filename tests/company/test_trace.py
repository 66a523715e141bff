"""`kommutator trace`, the engine loaded from a document, and the whole check, on the example company."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from kommutator import CompanyInvalid, CompanyUnreadable, Engine, company
from kommutator.cli import main

NOON = "2026-11-18T12:00:00+03:00"
NOON_MS = 1_794_992_400_000


def trace(folder: Path, *arguments: str, did: str = "+74951112233") -> Result:
    path = str(folder / "company.yaml")
    return CliRunner().invoke(main, ["trace", path, "--did", did, "--caller", "89161230099", "--at", NOON, *arguments])


def turns(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [orjson.loads(line) for line in result.stdout.splitlines()]


def test_json_prints_the_arrival_and_a_line_for_each_event(romashka: Path) -> None:
    result = trace(
        romashka,
        "--json",
        "--event",
        '{"type": "played"}',
        "--event",
        '{"type": "no_answer", "at": "2026-11-18T12:00:25"}',
        "--event",
        '{"type": "recorded", "seconds": 12}',
    )
    arrival, rung, recording, ended = turns(result)
    assert arrival["action"] == {"type": "play", "prompt": "greeting"}
    assert (arrival["effects"], arrival["trace"]) == ([], [])
    assert [passed["exit"] for passed in rung["trace"]] == ["done", "open"]
    assert rung["action"]["endpoints"] == [
        {"employee": "anna", "endpoint": "PJSIP/101"},
        {"employee": "boris", "endpoint": "PJSIP/102"},
    ]
    assert recording["action"]["type"] == "record"
    assert [effect["type"] for effect in ended["effects"]] == ["voicemail"]


def test_the_floor_leaves_people_out(romashka: Path) -> None:
    floor = '{"anna": {"line": "busy"}, "boris": {"presence": "away"}}'
    _, turn = turns(trace(romashka, "--json", "--floor", floor, "--event", '{"type": "played"}'))
    assert [passed["exit"] for passed in turn["trace"]] == ["done", "open", "busy"]
    assert turn["action"]["type"] == "record"


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ([], ["звонит на +74951112233", "team → busy", "разговор", "записать сообщение не длиннее 120 с"]),
        (["--language", "en"], ["calls +74951112233", "skipped, on another call", "record a message of at most 120 s"]),
    ],
)
def test_readable_output_gives_reasons_in_words(romashka: Path, language: list[str], said: list[str]) -> None:
    floor = '{"anna": {"line": "busy"}, "boris": {"line": "busy"}}'
    result = trace(romashka, *language, "--floor", floor, "--event", '{"type": "played"}')
    assert result.exit_code == 0, result.output
    assert [phrase for phrase in said if phrase not in result.output] == []


def test_an_event_that_is_refused_is_named(romashka: Path) -> None:
    events = ["--event", '{"type": "played"}', "--event", '{"type": "hung_up"}']
    result = trace(romashka, "--json", *events)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2
    assert "--event 2" in result.stderr
    assert "[unexpected_event]" in result.stderr
    result = trace(romashka, "--event", '{"type": "sung"}')
    assert result.exit_code == 1
    assert "--event 1" in result.stderr
    assert "[bad_event]" in result.stderr


@pytest.mark.parametrize(
    "floor",
    ['{"clara": {}}', '{"anna": "busy"}', '{"anna": {"line": "engaged"}}', '{"anna": {"mood": "good"}}', "[]", "{"],
)
def test_a_wrong_floor_is_wrong_usage(romashka: Path, floor: str) -> None:
    result = trace(romashka, "--floor", floor)
    assert result.exit_code == 2
    assert "--floor" in result.stderr


def test_a_company_with_errors_is_not_traced(romashka: Path) -> None:
    file = romashka / "company.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("prompt: greeting", "prompt: hello"), encoding="utf-8")
    result = trace(romashka)
    assert result.exit_code == 1
    assert f"{file}:41: " in result.stderr
    assert "[unknown_reference]" in result.stderr


def test_the_engine_loads_a_document(romashka: Path) -> None:
    engine = Engine.load(romashka / "company.yaml")
    assert type(engine) is Engine
    turn = engine.arrive("call-1", "+74951112233", "89161230099", NOON_MS)
    turn = engine.handle(turn.state, {"type": "played"}, NOON_MS)
    assert turn.action.type == "ring"


@pytest.mark.parametrize(
    ("written", "instead", "code"),
    [("prompt: greeting", "prompt: hello", "unknown_reference"), ("kind: hangup", "kind: hangup, x: 1", "unknown_key")],
)
def test_findings_of_the_engine_and_of_the_reader_are_those_of_the_check(
    romashka: Path, written: str, instead: str, code: str
) -> None:
    file = romashka / "company.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace(written, instead), encoding="utf-8")
    with pytest.raises(CompanyInvalid) as caught:
        Engine.load(file)
    report = company.check(file, NOON_MS)
    assert caught.value.findings == [finding for finding in report.findings if finding["severity"] == "error"]
    assert code in [finding["code"] for finding in caught.value.findings]
    assert all(finding["file"] == str(file) and finding["line"] > 1 for finding in caught.value.findings)
    result = CliRunner().invoke(main, ["check", str(file), "--json", "--at", NOON])
    assert result.exit_code == 1
    assert orjson.loads(result.stdout) == report.to_dict()


def test_an_engine_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(CompanyUnreadable):
        Engine.load(tmp_path / "company.yaml")


def test_the_example_passes_the_check(romashka: Path) -> None:
    result = CliRunner().invoke(main, ["check", str(romashka / "company.yaml"), "--json", "--at", NOON])
    report = orjson.loads(result.stdout)
    assert [finding for finding in report["findings"] if finding["severity"] == "error"] == []
    assert (result.exit_code, report["ok"]) == (0, True)

"""The demo and its sample company, as a newcomer meets them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from kommutator import sample
from kommutator.cli import main
from kommutator.cli.demo import RUSH, stories
from kommutator.company import check, load

FROM_MS = 1_795_000_000_000


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_the_sample_company_is_proven() -> None:
    report = check(sample.COMPANY, FROM_MS)
    assert [finding["code"] for finding in report.findings] == ["allowed_loss"]
    assert len(report.schemes) == 8
    assert all(scheme["longest_seconds"] > 0 for scheme in report.schemes.values())


def test_the_sample_company_has_a_number_for_each_scheme_and_ten_people_in_four_departments() -> None:
    document = load(sample.COMPANY).document
    assert [card["scheme"] for card in document["numbers"].values()] == list(document["schemes"])
    assert (len(document["employees"]), len(document["departments"])) == (10, 4)


def test_every_scheme_is_called_in_the_demo() -> None:
    assert {story.arrival.did for story in stories()} == set(load(sample.COMPANY).document["numbers"])


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_demo_ends_by_itself_and_what_it_proposes_works(language: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kommutator", "demo", "--data", tmp_path / "demo", "--language", language],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = [orjson.loads(line) for line in (tmp_path / "demo/ledger.jsonl").read_bytes().splitlines()]
    assert len({line["call_id"] for line in lines}) == len(lines) == len(stories()) + RUSH
    ends = {line["call_id"]: line["disposition"] for line in lines}
    assert [ends[story.arrival.call_id] for story in stories()] == [story.ends for story in stories()]
    assert "\x1b[" not in done.stdout
    trace, broken, call = done.stdout.splitlines()[-5::2]
    assert "boris" in shell(trace, 0)
    assert "lost_call" in shell(broken, 1)
    assert "answered" in shell(call, 0)


def shell(line: str, exit_code: int) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, check=False, timeout=60, env={**os.environ, "PATH": path}
    )
    assert done.returncode == exit_code, (line, done.stdout, done.stderr)
    return done.stdout


def test_the_demo_plays_as_many_calls_as_wanted(tmp_path: Path) -> None:
    result = run("demo", "--calls", "2", "--data", str(tmp_path))
    assert result.exit_code == 0
    calls = Counter(orjson.loads(line)["call_id"][:4] for line in (tmp_path / "ledger.jsonl").read_bytes().splitlines())
    assert calls == {"demo": 2, "rush": RUSH}


# --- one call


def test_a_call_is_told_as_it_goes() -> None:
    result = run(
        "call", "+74951112201", "--as", "89161230099", "--at", "2026-11-18T12:00",
        "--phone", "PJSIP/101=busy", "--phone", "PJSIP/102=answer:4:20",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    told = [line.split("  ", 2)[-1].strip() for line in result.output.splitlines()]
    assert told[0] == "+74951112201 ← 89161230099"
    assert "✘ Анна Смирнова (PJSIP/101) is busy" in told
    assert "✔ Борис Орлов (PJSIP/102) answers" in told
    assert "12:00:07" in next(line for line in result.output.splitlines() if "answers" in line)
    assert told[-1].startswith("■ answered")


def test_a_call_as_a_line_of_the_ledger() -> None:
    result = run(
        "call", "+74951112202", "--as", "89035554433", "--at", "2026-11-18T12:00", "--press", "7", "--press", "9",
        "--hang-up", "play:2", "--json",
    )  # fmt: skip
    line = orjson.loads(result.stdout)
    assert [[step["node"], step["exit"]] for step in line["trace"]][-1] == ["menu", "route"]
    assert line["disposition"] == "abandoned"


def test_each_ringing_of_a_phone_may_differ() -> None:
    result = run(
        "call", "+74951112205", "--at", "2026-11-18T12:00", "--phone", "PJSIP/101=busy,answer:1:5", "--json"
    )  # fmt: skip
    line = orjson.loads(result.stdout)
    assert [leg["outcome"] for leg in line["legs"]] == ["busy", "answered"]
    assert line["disposition"] == "answered"


def test_the_desk_and_the_floor_answer_as_told() -> None:
    options = ["call", "+74951112207", "--as", "89161230099", "--speak", "3", "--json"]
    owned = orjson.loads(run(*options, "--owner", "vera").stdout)
    assert [leg["employee"] for leg in owned["legs"]] == ["vera", "anna", "boris"]
    unknown = orjson.loads(run(*options, "--owner", "nobody", "--away", "anna").stdout)
    assert [leg["employee"] for leg in unknown["legs"]] == ["boris"]
    assert unknown["disposition"] == "voicemail"


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--phone", "PJSIP/101", "PJSIP/101=answer:4:20"),
        ("--phone", "PJSIP/101=sings", "not `sings`"),
        ("--phone", "PJSIP/101=answer:soon", "no number of seconds"),
        ("--phone", "PJSIP/101=answer:1:2:3", "at most two times"),
        ("--hang-up", "sleep:2", "not in `sleep`"),
        ("--hang-up", "ring:soon", "no number of seconds"),
        ("--away", "nobody", "no employee `nobody`"),
        ("--at", "noon", "no ISO 8601 time"),
        ("--company", "nowhere.yaml", "nowhere.yaml"),
    ],
)
def test_a_call_that_cannot_be_understood_is_refused_with_words(option: str, value: str, told: str) -> None:
    result = run("call", "+74951112201", option, value)
    assert result.exit_code == 2
    assert told in result.output

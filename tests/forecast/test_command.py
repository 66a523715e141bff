"""`kommutator simulate` as typed."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import orjson
import pytest
from click.testing import CliRunner, Result

from kommutator.cli import main

SCENARIOS = Path(__file__).parents[1] / "scenarios"
ONE, SIX = str(SCENARIOS / "1-office-hours/company.yaml"), str(SCENARIOS / "6-hold-and-repeat/company.yaml")
DAY = ("--date", "2026-11-23", "--calls", "300")


def typed(*words: str) -> Result:
    return CliRunner().invoke(main, ["simulate", *words])


def test_figures_are_told_as_a_table_as_json_and_as_a_page(tmp_path: Path) -> None:
    page = tmp_path / "forecast.html"
    shown = typed(SIX, *DAY, "--html", str(page))
    assert shown.exit_code == 0, shown.output
    assert "service level: answered within 20 s" in shown.output and "sergey" in shown.output
    told = orjson.loads(typed(SIX, *DAY, "--json").stdout)
    assert f"{told['calls']} " in shown.output and told["answered"] > 0.5
    assert {each["employee"] for each in told["agents"]} == {"anna", "boris", "sergey"}
    text = page.read_text(encoding="utf-8")
    plots = text.split("<svg")[1:]
    assert len(plots) == 3
    for plot in plots:
        drawn = ElementTree.fromstring("<svg" + plot.split("</svg>")[0] + "</svg>")
        assert drawn.findall(".//rect"), "a plot without anything in it"
    assert "http" not in text, "the page needs nothing else"


def test_two_documents_get_the_same_callers(tmp_path: Path) -> None:
    hurried = tmp_path / "company.yaml"
    source = (SCENARIOS / "6-hold-and-repeat/company.yaml").read_text(encoding="utf-8")
    hurried.write_text(source.replace("times: 2", "times: 1"), encoding="utf-8")
    shutil.copytree(SCENARIOS / "6-hold-and-repeat/prompts", tmp_path / "prompts")
    main = tmp_path / "day.yaml"
    main.write_text('numbers: {"+73432000000": 1}\ntalk: exp:600\npatience: never\n')
    busy = ("--assume", str(main))
    shown = typed(SIX, *DAY, *busy, "--compare", str(hurried), "--json")
    assert shown.exit_code == 0, shown.output
    told = orjson.loads(shown.stdout)
    before, after = told[SIX], told[str(hurried)]
    assert before["calls"] == after["calls"]
    assert before["answered"] > after["answered"], "who asks again finds somebody more often"


def test_an_assumption_of_the_file_gives_way_to_one_that_is_typed(tmp_path: Path) -> None:
    day = tmp_path / "day.yaml"
    day.write_text('patience: fixed:1\nnumbers: {"+73432000000": 1}\n')
    of_file = orjson.loads(typed(SIX, *DAY, "--json", "--assume", str(day)).stdout)
    typed_over = orjson.loads(typed(SIX, *DAY, "--json", "--assume", str(day), "--set", "patience=never").stdout)
    assert of_file["abandoned"] > 0.9
    assert typed_over["abandoned"] < 0.1


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((SIX, "--set", "talk=long"), 1, "talk: `long` is no distribution of seconds"),
        ((SIX, "--set", "talk"), 2, "`talk` is not KEY=VALUE"),
        (("nowhere.yaml",), 2, "nowhere.yaml"),
        ((SIX, "--calls", "0"), 2, "--calls"),
    ],
)
def test_what_cannot_be_played_is_said(words: tuple[str, ...], code: int, says: str) -> None:
    told = typed(*words)
    assert told.exit_code == code and says in told.output


def test_an_unknown_shift_or_number_is_said(tmp_path: Path) -> None:
    day = tmp_path / "day.yaml"
    day.write_text('shifts: {nobody: ["09:00-10:00"]}\n')
    assert "`nobody` is no employee, department or group" in typed(SIX, "--assume", str(day)).output
    day.write_text('numbers: {"+74950000000": 1}\n')
    assert "`+74950000000` is none of the company's" in typed(SIX, "--assume", str(day)).output

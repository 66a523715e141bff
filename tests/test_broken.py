"""Every document of `tests/broken/` through `kommutator check --json`: exactly the findings of `expected.yaml`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import orjson
import pytest

import kommutator.company
from kommutator.company import check
from kommutator.company.findings import READER_CODES
from tests.scenario_files import moment_ms, read_yaml

FOLDER: Final = Path(__file__).parent / "broken"
EXPECTED: Final[dict[str, list[dict[str, Any]]]] = read_yaml(FOLDER / "expected.yaml")
AT: Final = "2026-11-18T12:00:00+03:00"


def test_every_document_is_expected() -> None:
    documents = {path.name for path in FOLDER.glob("*.yaml")} - {"expected.yaml"}
    assert documents == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_exactly_these_findings(name: str) -> None:
    report = check(FOLDER / name, moment_ms(AT)).to_dict()
    seen = [compared(finding) for finding in report["findings"]]
    assert seen == [whole(name, finding) for finding in EXPECTED[name]], report["findings"]
    assert report["ok"] == all(finding["severity"] != "error" for finding in EXPECTED[name])


@pytest.mark.parametrize(
    ("name", "code"), [("lost-when-busy.yaml", 1), ("allowed-loss.yaml", 0), ("not-a-mapping.yaml", 2)]
)
def test_command_says_the_same_and_exits_so(name: str, code: int) -> None:
    kommutator = Path(sys.executable).with_name("kommutator")
    command = [str(kommutator), "check", str(FOLDER / name), "--json", "--at", AT]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == code, done.stderr.decode()
    report = orjson.loads(done.stdout)
    assert [compared(finding) for finding in report["findings"]] == [whole(name, finding) for finding in EXPECTED[name]]
    assert report["ok"] == (code == 0)


@pytest.mark.parametrize("name", ["nobody-at-night.yaml", "two-greetings.yaml"])
def test_strict_makes_warnings_errors(name: str) -> None:
    report = check(FOLDER / name, moment_ms(AT))
    assert report.ok
    assert not report.strict().ok


def compared(finding: dict[str, Any]) -> dict[str, Any]:
    """What of a finding is compared; the file relative to the folder."""
    kept = {key: finding[key] for key in ("code", "severity", "scheme", "node", "line", "path")}
    return kept | {"file": str(Path(finding["file"]).relative_to(FOLDER))}


def whole(name: str, finding: dict[str, Any]) -> dict[str, Any]:
    """An expected finding with what the index leaves out."""
    return {"scheme": None, "node": None, "path": [], "file": name} | finding


def test_every_code_is_documented() -> None:
    page = (Path(kommutator.company.__file__).parent / "CHECKS.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    given = {finding["code"] for findings in EXPECTED.values() for finding in findings}
    assert (given | set(READER_CODES)) - documented == set()

"""What is written wrongly is said with its place, before anybody is called."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from kommutator.cli.load import command

from .serving import COMPANY, DID, NOON

NOBODY = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "what is put under load?"),
        (("gopher://x", "--did", DID), "`gopher://x` begins with none of http:"),
        (("http://:80", "--did", DID), "`http://:80` is not http://HOST:PORT"),
        (("http://a/other", "--did", DID), "leave `/other` out"),
        ((NOBODY,), "--company COMPANY names them, or --did NUMBER"),
        ((NOBODY, "--company", "none.yaml"), "none.yaml"),
        ((NOBODY, "--did", DID, "--ramp", "5"), "`5` is not FROM:TO"),
        ((NOBODY, "--did", DID, "--ramp", "0:0"), "`0:0`: rates are"),
        ((NOBODY, "--did", DID, "--rate", "5", "--ramp", "1:2"), "exclude each other"),
        ((NOBODY, "--did", DID, "--speed", "5"), "--speed is for --replay"),
        ((NOBODY, "--did", DID, "--caller", "abc"), "`abc` is neither `withheld` nor + and digits"),
        ((NOBODY, "--did", DID, "--chance", "luck=1"), "`luck=1` is none of answers"),
        ((NOBODY, "--did", DID, "--chance", "answers=0.9", "--chance", "no_answer=0.2"), "more than 1 together"),
        ((NOBODY, "--did", DID, "--at", "2026-11-18T12:00"), "no --company has a time zone"),
        (("pbx:/run/x.sock", "--did", DID, "--at", NOON), "`pbx` takes no time"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], reason: str) -> None:
    told = CliRunner().invoke(command, arguments, terminal_width=400)
    assert (told.exit_code, reason in told.stderr) == (2, True), told.stderr


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ('{"did": "1", "caller": null, "began": "2026-11-18T12:00:00Z"}\n{"did": 1}\n', "ledger.jsonl:2: not a line"),
        (
            '{"did": "1", "caller": null, "began": "2026-11-18T12:00:00"}\n',
            "ledger.jsonl:1: not a line of a ledger: `began`",
        ),
        ("\xff", "ledger.jsonl:1: not a line"),
        ("", "ledger.jsonl: no call is in it"),
        (None, "ledger.jsonl: cannot be read: No such file"),
    ],
)
def test_a_ledger_that_cannot_be_read(tmp_path: Path, written: str | None, reason: str) -> None:
    ledger = tmp_path / "ledger.jsonl"
    if written is not None:
        ledger.write_text(written, encoding="latin-1")
    told = CliRunner().invoke(command, (NOBODY, "--replay", str(ledger)))
    assert (told.exit_code, reason in told.stderr) == (2, True), told.stderr


def test_a_company_with_errors_is_not_called(tmp_path: Path) -> None:
    broken = tmp_path / "company.yaml"
    broken.write_text(Path(COMPANY).read_text().replace("exits: {done: hours}", "exits: {done: nowhere}"))
    told = CliRunner().invoke(command, (NOBODY, "--company", str(broken)))
    assert (told.exit_code, "company.yaml:" in told.stderr) == (1, True), told.stderr

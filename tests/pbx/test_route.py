"""`kommutator route`: what it says and how it exits when it cannot run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.telephony.asterisk import Asterisk
from tests.telephony.router import RouterProcess


def route(company: Path, asterisk: Asterisk, data: Path, *more: str) -> tuple[int, str]:
    done = subprocess.run(
        [
            sys.executable, "-c", "from kommutator.cli import main; main()", "route", str(company),
            "--ari", asterisk.ari_url, "--user", asterisk.ari_user, "--data", str(data), *more,
        ],
        env={**os.environ, "KOMMUTATOR_ARI_PASSWORD": asterisk.ari_password},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_a_document_with_errors(asterisk: Asterisk, company: Path, tmp_path: Path) -> None:
    broken = company.with_name("broken.yaml")
    broken.write_text(company.read_text(encoding="utf-8").replace("start: hello", "start: nowhere"), encoding="utf-8")
    code, said = route(broken, asterisk, tmp_path / "data")
    assert code == 1
    assert "nowhere" in said
    assert "kommutator check" in said


def test_no_document(asterisk: Asterisk, tmp_path: Path) -> None:
    code, said = route(tmp_path / "none.yaml", asterisk, tmp_path / "data")
    assert code == 2
    assert "none.yaml" in said


def test_a_prompt_that_cannot_be_spoken(asterisk: Asterisk, company: Path, tmp_path: Path) -> None:
    spoken = company.with_name("spoken.yaml")
    text = company.read_text(encoding="utf-8").replace("{file: greeting.wav}", "{say: Здравствуйте, seconds: 2}")
    spoken.write_text(text, encoding="utf-8")
    code, said = route(spoken, asterisk, tmp_path / "data", "--tts", "/does/not/exist")
    assert code == 3
    assert "greeting" in said


def test_a_wrong_password(asterisk: Asterisk, company: Path, tmp_path: Path) -> None:
    code, said = route(company, asterisk, tmp_path / "data", "--password", "wrong")
    assert code == 4
    assert "password" in said


def test_a_data_folder_in_use(asterisk: Asterisk, company: Path, router: RouterProcess, tmp_path: Path) -> None:
    assert router.ledger() == []
    code, said = route(company, asterisk, tmp_path / "data")
    assert code == 5
    assert "another router" in said

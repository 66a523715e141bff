"""`kommutator config show`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from kommutator.cli import main
from kommutator.cli.config import masked

SECRET = "hunter2"
FILE = f"""
company_id = 3
[postgres]
dsn = "postgresql://anna:{SECRET}@h:5432/db?sslpassword={SECRET}"
[exchange]
urls = ["nats://{SECRET}@a:4222", "nats://u:{SECRET}@b:4222"]
password = "{SECRET}"
[routers.office]
tts = "say --api-key={SECRET} {{output}}"
pbx = {{kind = "asterisk", url = "http://u:{SECRET}@pbx", user = "u", password = "{SECRET}"}}
[notices.sms]
kind = "http"
url = "https://sms/send?login=me&pwd={SECRET}&to={{to}}"
headers = {{Authorization = "Bearer {SECRET}", X-Any = "{SECRET}"}}
body = '{{"apiToken": "{SECRET}", "text": "{{text}}"}}'
[notices.email]
kind = "smtp"
host = "mail"
user = "u"
password = "{SECRET}"
sender = "desk@example.org"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "kommutator.toml"
    path.write_text(FILE)
    return path


def shown(*arguments: object, **environ: str) -> str:
    done = CliRunner(env=environ).invoke(main, ["config", "show", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


def test_every_setting_is_shown_as_toml_with_its_source_and_no_secret(file: Path, tmp_path: Path) -> None:
    text = shown("--config", file, "--data", tmp_path, KOMMUTATOR_DESK__LISTEN="127.0.0.1:80")
    assert SECRET not in text
    document = tomllib.loads(text)
    assert document["company_id"] == 3
    assert document["data"] == str(tmp_path)
    assert document["notices"]["email"]["sender"] == "desk@example.org"
    sources = {line.split(" ")[0]: line.rpartition("  # ")[2] for line in text.splitlines()}
    assert sources["company_id"] == f"{file}:2"
    assert sources["data"] == "--data"
    assert sources["desk.listen"] == "$KOMMUTATOR_DESK__LISTEN"
    assert sources["desk.secure"] == "default"
    assert "# exchange.user is not set" in text


def test_json_has_the_same(file: Path) -> None:
    text = shown("--config", file, "--json")
    assert SECRET not in text
    said: dict[str, Any] = json.loads(text)
    assert said["company_id"] == {"value": 3, "source": f"{file}:2"}
    assert said["exchange.user"] == {"value": None, "source": "default"}
    assert said["postgres.dsn"]["value"] == "postgresql://anna:********@h:5432/db?sslpassword=********"
    assert said["exchange.urls"]["value"] == ["nats://********@a:4222", "nats://u:********@b:4222"]
    assert said["notices.sms.url"]["value"] == "https://sms/send?login=me&pwd=********&to={to}"
    assert said["notices.sms.body"]["value"] == '{"apiToken": "********", "text": "{text}"}'
    assert said["routers.office.pbx.password"] == {"value": "********", "source": f"{file}:10"}


def test_a_password_with_odd_letters_is_masked_whole() -> None:
    assert masked("postgresql://u:a/b@c:d@h/db") == "postgresql://u:********@h/db"
    assert masked("postgresql://u@h/db") == "postgresql://u@h/db"
    assert masked("http://h/path") == "http://h/path"


def test_a_broken_configuration_ends_with_all_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("company_id = 0\nnonsense = 1\n")
    done = CliRunner().invoke(main, ["config", "show", "--config", str(file)])
    assert done.exit_code == 2
    assert f"{file}:1: company_id" in done.output
    assert f"{file}:2: nonsense" in done.output


def test_a_variable_that_sets_nothing_is_warned_of() -> None:
    done = CliRunner(env={"KOMMUTATOR_DESK__LISSEN": "x"}).invoke(main, ["config", "show"])
    assert done.exit_code == 0
    assert "Warning: the environment variable KOMMUTATOR_DESK__LISSEN" in done.stderr

"""The configuration: read from a file and the environment, with sources; and everything that is wrong with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from kommutator.configuration import Asterisk, Simulated
from kommutator.errors import ConfigurationInvalid
from kommutator.settings import DEFAULT, read


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, without a configuration."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, text: str) -> Path:
    file = folder / "kommutator.toml"
    file.write_text(text, encoding="utf-8")
    return file


def problems(path: Path | None, **environ: str) -> list[str]:
    with pytest.raises(ConfigurationInvalid) as caught:
        read(path, environ)
    return list(caught.value.problems)


def test_without_anything_everything_has_its_default() -> None:
    settings = read(None, {})
    assert settings.configuration.data == Path("kommutator-data")
    assert settings.configuration.routers == {}
    assert (settings.file, settings.sources, settings.warnings) == (None, {}, ())
    assert settings.source("desk.listen") == DEFAULT


def test_each_value_has_the_line_it_stands_in(elsewhere: Path) -> None:
    file = written(
        elsewhere,
        '''# ours
company_id = 7
log = {form = "json", level = "debug"}

[routers.office]
tts = [
  "say",   # [not.a.table]
  "{output}",
]
metrics = """\\
127.0.0.1:9100"""
[routers.office.pbx]
kind = "asterisk"
url = "http://127.0.0.1:8088"
"user" = 'kommutator'
password = "a#b"
[ routers . "lab" . pbx ]
kind = "simulated"
[desk]
throttle.attempts = 3
''',
    )
    settings = read(file, {})
    office = settings.configuration.routers["office"]
    assert isinstance(office.pbx, Asterisk)
    assert isinstance(settings.configuration.routers["lab"].pbx, Simulated)
    assert office.pbx.password.get_secret_value() == "a#b"
    assert (office.tts, office.metrics) == (("say", "{output}"), "127.0.0.1:9100")
    assert settings.sources == {
        key: f"{file}:{line}"
        for key, line in {
            "company_id": 2,
            "log.form": 3,
            "log.level": 3,
            "routers.office.tts": 6,
            "routers.office.metrics": 10,
            "routers.office.pbx.kind": 13,
            "routers.office.pbx.url": 14,
            "routers.office.pbx.user": 15,
            "routers.office.pbx.password": 16,
            "routers.lab.pbx.kind": 18,
            "desk.throttle.attempts": 20,
        }.items()
    }


def test_a_file_is_found_by_the_option_then_the_variable_then_in_the_folder(elsewhere: Path) -> None:
    written(elsewhere, "company_id = 1")
    named, given = elsewhere / "named.toml", elsewhere / "given.toml"
    named.write_text("company_id = 2")
    given.write_text("company_id = 3")
    environ = {"KOMMUTATOR_CONFIG": str(named)}
    assert read(given, environ).configuration.company_id == 3
    assert read(None, environ).configuration.company_id == 2
    assert read(None, {"KOMMUTATOR_CONFIG": ""}).configuration.company_id == 1
    assert problems(elsewhere / "no.toml") == [f"{elsewhere / 'no.toml'}: No such file or directory"]


def test_the_environment_goes_over_the_file_and_the_option_over_both(elsewhere: Path) -> None:
    file = written(
        elsewhere,
        'data = "there"\n[routers.Of-fice.pbx]\nkind = "asterisk"\nurl = "http://pbx"\nuser = "u"\npassword = "old"\n',
    )
    settings = read(
        file,
        {
            "KOMMUTATOR_DESK__LISTEN": "0.0.0.0:80",
            "KOMMUTATOR_DESK__SECURE": "true",
            "KOMMUTATOR_DESK__THROTTLE__ATTEMPTS": "9",
            "KOMMUTATOR_ROUTERS__OF_FICE__PBX__PASSWORD": "new",
            "KOMMUTATOR_EXCHANGE__URLS": "nats://a:4222, tls://b:4222",
            "KOMMUTATOR_ROUTERS__LAB__PBX__KIND": "simulated",
            "KOMMUTATOR_ROUTERS__LAB__TTS": '["say", "{output}"]',
            "KOMMUTATOR_LOG__LEVEL": "",
        },
    )
    found = settings.configuration
    office = found.routers["Of-fice"].pbx
    assert isinstance(office, Asterisk)
    assert office.password.get_secret_value() == "new"
    assert (found.desk.listen, found.desk.secure, found.desk.throttle.attempts) == ("0.0.0.0:80", True, 9)
    assert found.exchange.urls == ("nats://a:4222", "tls://b:4222")
    assert found.routers["lab"].tts == ("say", "{output}")
    assert found.log.level == "info"
    assert settings.source("routers.Of-fice.pbx.password") == "$KOMMUTATOR_ROUTERS__OF_FICE__PBX__PASSWORD"
    assert settings.source("routers.Of-fice.pbx.user") == f"{file}:5"
    assert found.data == elsewhere / "there", "a folder named in the file is beside the file"
    optioned = settings.overridden("--data", data=Path("here"))
    assert (optioned.configuration.data, optioned.source("data")) == (Path("here"), "--data")
    assert optioned.configuration.routers == found.routers
    assert settings.overridden("--data", data=None) is settings


def test_the_old_names_of_variables_go_on() -> None:
    old = read(None, {"KOMMUTATOR_DATA": "d", "KOMMUTATOR_DSN": "postgresql://old/x"})
    assert old.configuration.data == Path("d")
    assert old.source("postgres.dsn") == "$KOMMUTATOR_DSN"
    both = {"KOMMUTATOR_DSN": "postgresql://old/x", "KOMMUTATOR_POSTGRES__DSN": "postgresql://new/x"}
    for environ in (both, dict(reversed(both.items()))):
        dsn = read(None, environ).configuration.postgres.dsn
        assert dsn is not None
        assert dsn.get_secret_value() == "postgresql://new/x"


def test_a_variable_that_sets_nothing_is_warned_of() -> None:
    settings = read(
        None,
        {
            "KOMMUTATOR_DESK__LISSEN": "x",
            "KOMMUTATOR_LOG": "x",
            "KOMMUTATOR_ROUTERS__LAB": "x",
            "KOMMUTATOR_AUTHOR": "anna",
            "HOME": "/",
        },
    )
    assert [warning.split()[3] for warning in settings.warnings] == [
        "KOMMUTATOR_DESK__LISSEN",
        "KOMMUTATOR_LOG",
        "KOMMUTATOR_ROUTERS__LAB",
    ]


def test_everything_wrong_is_told_at_once_with_its_place(elsewhere: Path) -> None:
    file = written(
        elsewhere,
        """company_id = 0
[log]
form = "jsn"
[routers.office]
metrics = "9100"
pbx = {kind = "asterisk", url = "pbx", user = 3}
[routers.bare]
[routers."a b".pbx]
kind = "simulated"
[desk]
lisen = "127.0.0.1:80"
[notices.sms]
kind = "pigeon"
[notices.email]
host = "mail"
[postgres]
dsn = "mysql://secret@h"
""",
    )
    found = problems(file, KOMMUTATOR_DESK__SESSION_S="soon", KOMMUTATOR_ROUTERS__OFFICE__PBX__SILENCE_S="99")
    assert sorted(found) == sorted(
        [
            f"{file}:1: company_id: should be greater than or equal to 1",
            f"{file}:3: log.form: should be 'text' or 'json'",
            f"{file}:5: routers.office.metrics: should be host:port, such as 127.0.0.1:8080",
            f"{file}:6: routers.office.pbx.url: should be an address that begins with http:// or https://",
            f"{file}:6: routers.office.pbx.user: should be a valid string",
            f"{file}:6: routers.office.pbx.password: is needed here",
            "$KOMMUTATOR_ROUTERS__OFFICE__PBX__SILENCE_S: routers.office.pbx.silence_s: "
            "should be less than or equal to 60",
            f"{file}:7: routers.bare.pbx: is needed here",
            f"{file}:8: routers.a b: a name has up to 32 Latin letters, digits, - and _",
            f"{file}:11: desk.lisen: there is no such key; `listen` is meant perhaps",
            "$KOMMUTATOR_DESK__SESSION_S: desk.session_s: should be a valid integer, unable to parse string as an integer",
            f"{file}:13: notices.sms.kind: should be 'file' or 'smpp' or 'http'",
            f"{file}:14: notices.email.kind: is needed here",
            f"{file}:17: postgres.dsn: should be an address that begins with postgresql:// or postgres://",
        ]
    )


def test_a_file_that_is_no_toml_is_told_with_its_line(elsewhere: Path) -> None:
    file = written(elsewhere, "company_id = 1\nlog = [\n")
    assert [problem.partition(": ")[0] for problem in problems(file)] == [f"{file}:2"]
    file.write_bytes(b"company_id = 1\n# \xff\n")
    assert problems(file) == [f"{file}:2: not UTF-8"]


@pytest.mark.parametrize(
    ("extra", "key"),
    [
        ('metrics = "127.0.0.1:9100"\npbx = {kind = "simulated"}', "routers.b.metrics"),
        ('metrics = "127.0.0.1:8080"\npbx = {kind = "simulated"}', "routers.b.metrics"),
        ('pbx = {kind = "asterisk", url = "http://x/", user = "u", password = "p"}', "routers.b.pbx.application"),
    ],
)
def test_what_two_processes_cannot_share_is_refused(elsewhere: Path, extra: str, key: str) -> None:
    pbx = '{kind = "asterisk", url = "http://x", user = "u", password = "p"}'
    file = written(elsewhere, f'[routers.a]\nmetrics = "127.0.0.1:9100"\npbx = {pbx}\n[routers.b]\n{extra}\n')
    (problem,) = problems(file)
    assert problem.startswith(f"{key} is the same as ")


def test_no_problem_shows_a_secret(elsewhere: Path) -> None:
    file = written(elsewhere, '[postgres]\ndsn = ["hunter2"]\n[exchange]\npassword = {a = "hunter2"}\n')
    assert all("hunter2" not in problem for problem in problems(file))
    file.unlink()
    assert "hunter2" not in repr(read(None, {"KOMMUTATOR_EXCHANGE__PASSWORD": "hunter2"}))


def test_what_is_kept_for_ever_can_be_said(elsewhere: Path) -> None:
    file = written(elsewhere, '[desk.retention]\nrecordings = "forever"\nturns = 30\n')
    kept = read(file, {"KOMMUTATOR_DESK__RETENTION__NOTICES": "forever"}).configuration.desk.retention
    assert (kept.recordings, kept.turns, kept.notices, kept.drafts) == (None, 30, None, 30)
    (problem,) = problems(written(elsewhere, "[desk.retention]\nturns = 3\n"))
    assert problem == f"{file}:2: desk.retention.turns: should be greater than or equal to 7"

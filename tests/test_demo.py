"""The demo and its sample company, as a newcomer meets them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import httpx
import orjson
import pytest
from click.testing import CliRunner, Result

from kommutator import sample
from kommutator.cli import main
from kommutator.cli.demo.guide import who_answers
from kommutator.cli.demo.house import open_house
from kommutator.cli.demo.story import RUSH, stories
from kommutator.cli.inputs import instant_ms
from kommutator.company import check, load
from kommutator.configuration import Simulated
from tests.processes.conftest import PATIENCE_S, gone, wait_until

FROM_MS = 1_795_000_000_000
STARTS_S = 120.0
"""Six processes, on a machine that has much else to do."""


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


def test_every_scheme_is_called_in_the_story() -> None:
    assert {story.arrival.did for story in stories()} == set(load(sample.COMPANY).document["numbers"])


@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_story_ends_by_itself_and_what_it_proposes_works(language: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kommutator", "demo", "--story", "--data", tmp_path / "demo", "--language", language],
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
    assert "answered" in shell(done.stdout.splitlines()[-1], 0)


def test_the_story_plays_as_many_calls_as_wanted(tmp_path: Path) -> None:
    result = run("demo", "--story", "--calls", "2", "--data", str(tmp_path))
    assert result.exit_code == 0
    calls = Counter(orjson.loads(line)["call_id"][:4] for line in (tmp_path / "ledger.jsonl").read_bytes().splitlines())
    assert calls == {"demo": 2, "rush": RUSH}


# --- the one that lives


@dataclass
class Demo:
    """A demo that runs, and what it has told."""

    process: subprocess.Popen[bytes]
    screen: Path

    @property
    def told(self) -> str:
        return self.screen.read_text()

    def until(self, words: str) -> None:
        """Wait until it has told this."""

        def told() -> bool:
            assert self.process.poll() is None, self.told
            return words in self.told

        wait_until(told, STARTS_S)

    def stop(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(PATIENCE_S) == 0, self.told


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the database's unprivileged user can enter, as pytest's own cannot be."""
    with tempfile.TemporaryDirectory(prefix="kt-demo-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def begin(open_folder: Path) -> Iterator[Callable[[], Demo]]:
    """Starts a demo in the folder."""
    demos: list[Demo] = []
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    def start() -> Demo:
        screen = open_folder / f"screen-{len(demos)}"
        command = [sys.executable, "-m", "kommutator", "demo", "--data", "demo", "--port", str(port)]
        with screen.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=open_folder)
        demos.append(Demo(process, screen))
        return demos[-1]

    yield start
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.kill()
            demo.process.wait()


@contextmanager
def signed_in(told: str, login: str) -> Iterator[httpx.Client]:
    """In the desk, with what the screen says."""
    found = re.search(r"the desk +(http://\S+)/", told)
    password = re.search(r"with the password +(\S+)", told)
    assert found is not None and password is not None, told
    with httpx.Client(base_url=found[1], trust_env=False) as client:
        answer = client.post("/api/sign-in", json={"login": login, "password": password[1]})
        assert answer.status_code == 200, answer.text
        yield client


@pytest.mark.services
def test_the_demo_lives_is_stopped_and_is_found_as_it_was(begin: Callable[[], Demo], open_folder: Path) -> None:
    file = open_house(open_folder / "demo", None).folder / "kommutator.toml"
    file.write_text(file.read_text().replace("calls_per_minute = 4", "calls_per_minute = 12"))  # the test is in a hurry
    demo = begin()
    demo.until("Ctrl-C stops it all.")
    assert begin().process.wait(PATIENCE_S) == 5
    told = demo.told
    assert "Starting. Everything will be kept in demo." in told
    assert "!" not in told

    call, trace, broken = (
        line for before, line in pairwise(told.splitlines()) if before.startswith("# ")
    )  # fmt: skip
    live = shell(f"{call} --phone PJSIP/103=answer:1:1 --hang-up ring:4", 0, open_folder)
    assert "the client's owner is vera" in live
    assert "■" in live
    assert "boris" in shell(trace, 0, open_folder)
    assert "known → delivery → sorry → bye" in shell(broken, 1, open_folder)
    program = call.split(" call ")[0]
    assert "is this document already" in shell(f"{program} import demo/company --data demo", 0, open_folder)

    def calls() -> dict[str, dict[str, object]]:
        return {each["call_id"]: each for each in desk.get("/api/calls").json()["items"]}

    def ended() -> list[dict[str, object]]:
        return [each for each in calls().values() if each["did"] == "+74951112207" and each["disposition"]]

    with signed_in(told, "operator") as desk:
        wait_until(lambda: any(str(each["call_id"]).startswith("live-") for each in ended()))
        live_call = next(each for each in ended() if str(each["call_id"]).startswith("live-"))
        assert [client["name"] for client in live_call["clients"]] == ["Мария Соколова"]  # type: ignore[attr-defined]
        floor = {each["employee"]: each for each in desk.get("/api/floor").json()["items"]}
        assert (floor["anna"]["presence"], floor["rita"]["presence"]) == ("present", "away")
        wait_until(lambda: any(id.startswith("office-") for id in calls()))  # somebody has come by himself
    with signed_in(told, "manager") as desk:
        topics = [each["topic"] for each in desk.get("/api/interests").json()["items"]]
        assert "Котёл для цеха" in topics
    for address in re.findall(r"http://\S+/metrics", told):
        assert httpx.get(address, trust_env=False).text.startswith("# HELP")

    data = open_folder / "demo"
    pids = [pid for pid, _ in json.loads((data / "up.json").read_text()).values()]
    assert len(pids) == 5
    demo.stop()
    assert all(gone(pid) for pid in pids)
    log = (data / "demo.log").read_text()
    assert "has not stopped" not in log
    assert "error" not in log
    assert "calls cannot be told" not in log

    again = begin()
    again.until("Ctrl-C stops it all.")
    assert "Starting again with what is kept in demo." in again.told
    assert "its clients and users are there" not in again.told
    with signed_in(again.told, "admin") as desk:
        assert live_call["call_id"] in calls()
        assert [each["number"] for each in desk.get("/api/versions").json()["items"]] == [1]
        assert len(desk.get("/api/users").json()["items"]) == 4
    again.stop()
    assert "demo keeps everything for the next time" in again.told


@pytest.mark.parametrize("at", ["2026-11-18T12:00", "2026-11-22T04:30"])
def test_at_any_hour_most_numbers_ring_somebody(at: str) -> None:
    company = load(sample.COMPANY)
    answers = who_answers(company, instant_ms(at, company, "at"))
    assert list(answers) == list(company.document["numbers"])
    ringing = {company.document["numbers"][number]["scheme"] for number, (what, _) in answers.items() if what == "ring"}
    assert {"by-region", "hold-and-repeat", "owner-first", "expanding"} <= ringing
    assert answers["+74951112203"][0] == "menu"  # whose every choice rings somebody
    assert answers["+74951112201"] == (
        ("ring", ["Анна Смирнова", "Борис Орлов"]) if at.endswith("12:00") else ("record", [])
    )


def test_the_demos_folder_is_made_once_and_stays_as_it_is_edited(tmp_path: Path) -> None:
    first = open_house(tmp_path / "demo", None)
    assert first.configuration.data == tmp_path / "demo"
    assert check(first.company, FROM_MS).ok
    file = tmp_path / "demo" / "kommutator.toml"
    edited = file.read_text().replace("calls_per_minute = 4", "calls_per_minute = 1")
    file.write_text(edited)
    (first.company / "lists" / "delivery.csv").write_text("number\n+74950000000\n")
    second = open_house(tmp_path / "demo", None)
    assert file.read_text() == edited
    assert (second.company / "lists" / "delivery.csv").read_text() == "number\n+74950000000\n"
    pbx = second.configuration.routers["office"].pbx
    assert isinstance(pbx, Simulated)
    assert pbx.calls_per_minute == 1
    assert "8 916 123-00-99" in pbx.callers


def test_a_port_that_is_taken_is_left_to_whoever_has_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        port = theirs.getsockname()[1]
        house = open_house(tmp_path / "demo", port)
    assert house.moved["desk.listen"] == port
    assert house.environ["KOMMUTATOR_DESK__LISTEN"] == house.configuration.desk.listen != f"127.0.0.1:{port}"


def test_another_houses_configuration_in_the_environment_does_not_reach_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOMMUTATOR_DSN", "postgresql://production/company")
    house = open_house(tmp_path / "demo", None)
    assert house.configuration.postgres.dsn is None
    assert "KOMMUTATOR_DSN" not in house.environ


def shell(line: str, exit_code: int, folder: Path | None = None) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == exit_code, (line, done.stdout, done.stderr)
    return done.stdout


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


def test_who_would_have_lost_patience_while_it_rings_leaves_a_message_where_nothing_rings() -> None:
    options = ["--at", "2026-11-22T12:00", "--hang-up", "ring:3", "--press", "7", "--speak", "4", "--json"]
    line = orjson.loads(run("call", "+74951112201", "--as", "89161230099", *options).stdout)
    assert line["disposition"] == "voicemail"


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

"""The supervisor, in a process of its own, with children that do as the test says."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ROOT, Running, Start, gone, wait_until

Keep = Callable[..., Running]


@pytest.fixture
def keep(start: Start, tmp_path: Path) -> Keep:
    """Starts a supervisor of children, each a name, its deeds, and those it comes after."""

    def run(*children: tuple[str, list[str], list[str]], **pace: float) -> Running:
        return start("-m", "tests.processes.keeper", tmp_path, json.dumps(children), json.dumps(pace))

    return run


def states(keeper: Running) -> list[tuple[str, str]]:
    """The states in the order in which they were told, each once."""
    told = [(each["process"], each["state"]) for each in keeper.everything() if "state" in each]
    return [each for number, each in enumerate(told) if each not in told[:number]]


def test_children_start_after_those_before_them_and_stop_before_them(keep: Keep) -> None:
    keeper = keep(
        ("base", ["status=warming", "ready=at work", "serve"], []),
        ("middle", ["ready", "serve"], ["base"]),
        ("top", ["ready", "serve"], ["middle", "base"]),
    )
    keeper.said(process="base", state="starting", event="warming")
    ready = keeper.said(process="base", state="ready")
    assert ready["event"].startswith("after ")
    assert ready["event"].endswith(" s: at work")
    keeper.said(process="up", event="all is ready")
    assert keeper.end(signal.SIGTERM) == 0
    order = states(keeper)
    for earlier, later in (
        (("base", "ready"), ("middle", "starting")),
        (("middle", "ready"), ("top", "starting")),
        (("top", "stopped"), ("middle", "stopping")),
        (("middle", "stopped"), ("base", "stopping")),
    ):
        assert order.index(earlier) < order.index(later)
    byes = [each["process"] for each in keeper.everything() if each["event"] == "bye"]
    assert byes == ["top", "middle", "base"]


def test_nobody_waits_for_ever_for_one_that_does_not_come(keep: Keep) -> None:
    keeper = keep(("base", ["serve"], []), ("top", ["ready", "serve"], ["base"]), order_s=0.3)
    keeper.said(process="top", state="waiting", event="for base")
    keeper.said(process="top", state="ready")
    assert ("base", "ready") not in states(keeper)
    assert keeper.end() == 0


def test_a_child_that_is_killed_is_started_again(keep: Keep) -> None:
    keeper = keep(("child", ["ready", "serve"], []), first_pause_s=0.05)
    for _ in range(2):
        pid = keeper.born("child")
        keeper.said(process="child", state="ready")
        os.kill(pid, signal.SIGKILL)
        assert keeper.said(process="child", state="pausing")["event"].startswith("killed by SIGKILL after ")
    last = keeper.born("child")
    keeper.said(process="child", state="ready")
    assert keeper.end() == 0
    assert gone(last)


def test_pauses_double_and_a_child_that_never_serves_is_said_loudly_and_tried_on(keep: Keep, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted"
    keeper = keep(
        ("child", [f"fail-without={wanted}", "ready", "serve"], []),
        ("other", ["ready", "serve"], []),
        first_pause_s=0.01, longest_pause_s=0.5, vain_starts=5,
    )  # fmt: skip
    failing = keeper.said(process="child", state="failing")
    assert failing["level"] == "error"
    assert failing["event"] == "failed 5 times in a row at its start, ended with exit code 3; tried again every 0.5 s"
    pauses = [each["event"].split()[-2] for each in keeper.everything() if each.get("state") == "pausing"]
    assert pauses == ["0.01", "0.02", "0.04", "0.08"]
    wanted.touch()
    keeper.said(process="child", state="ready")
    keeper.said(process="up", event="all is ready")
    assert keeper.end() == 0


def test_who_lived_long_begins_with_the_first_pause_again(keep: Keep) -> None:
    keeper = keep(("child", ["ready", "fail=1"], []), first_pause_s=0.01, longest_pause_s=0.05, stable_s=0.0)
    pauses = [keeper.said(process="child", state="pausing")["event"].split()[-2] for _ in range(4)]
    assert pauses == ["0.01"] * 4
    assert keeper.end() == 0


def test_a_program_that_is_not_there_is_told_and_tried_again(start: Start, tmp_path: Path) -> None:
    program = (
        "import os, sys, trio\n"
        "from pathlib import Path\n"
        "from kommutator.cli.progress import Progress\n"
        "from kommutator.supervisor import Child, Supervisor\n"
        "with Progress(['child'], 'json', lambda: []) as screen:\n"
        "    trio.run(Supervisor([Child('child', ('/no/such/program',))], Path(sys.argv[1]), screen, os.environ).run)\n"
    )
    keeper = start("-c", program, tmp_path)
    assert "No such file" in keeper.said(process="child", state="pausing")["event"]
    assert keeper.end() == 0


def test_a_child_that_does_not_stop_is_killed(keep: Keep) -> None:
    keeper = keep(("child", ["stubborn", "ready", "serve"], []), stop_s=0.3)
    pid = keeper.born("child")
    keeper.said(process="child", state="ready")
    assert keeper.end() == 0
    assert "has not stopped within 0.3 s: killed" in [each["event"] for each in keeper.everything()]
    assert gone(pid)


def test_a_second_sigint_kills_at_once(keep: Keep) -> None:
    keeper = keep(("base", ["ready", "serve"], []), ("top", ["stubborn", "ready", "serve"], ["base"]), stop_s=1000)
    keeper.said(process="up", event="all is ready")
    keeper.process.send_signal(signal.SIGINT)
    keeper.said(process="top", state="stopping")
    assert keeper.end(signal.SIGINT) == 0
    assert ("base", "stopped") in states(keeper)


def test_told_to_stop_while_children_wait_or_pause(keep: Keep) -> None:
    keeper = keep(
        ("base", ["fail=1"], []), ("top", ["ready", "serve"], ["base"]), first_pause_s=1000, longest_pause_s=1000
    )
    keeper.said(process="base", state="pausing")
    assert keeper.end() == 0
    assert ("top", "starting") not in states(keeper)


def test_a_second_supervisor_is_refused_and_told_who_is_there(keep: Keep) -> None:
    first = keep(("child", ["ready", "serve"], []))
    first.said(process="up", event="all is ready")
    second = keep(("child", ["ready", "serve"], []))
    assert second.wait() == 5
    (line,) = second.everything()
    assert line["event"].endswith(f"as process {first.process.pid}")
    assert first.end() == 0


def test_a_folder_that_takes_no_file_is_alarmed_and_the_children_are_kept(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    children: list[tuple[str, list[str], list[str]]] = [("child", ["ready", "serve"], [])]
    keeper = start("-m", "tests.processes.keeper", tmp_path / "file" / "data", json.dumps(children), "{}")
    alarm = keeper.said(process="up", level="error")
    assert alarm["event"] == f"{tmp_path / 'file' / 'data'} cannot be written: Not a directory"
    keeper.said(process="up", event="all is ready")
    assert keeper.end() == 0


def test_children_of_a_killed_supervisor_stop_by_themselves(keep: Keep) -> None:
    keeper = keep(("child", ["ready", "serve"], []), ("other", ["ready", "serve"], ["child"]))
    pids = [keeper.born("child"), keeper.born("other")]
    keeper.said(process="up", event="all is ready")
    keeper.process.kill()
    for pid in pids:
        wait_until(functools.partial(gone, pid))


@pytest.mark.services  # it takes the 20 s that such a child is given
def test_a_child_that_does_not_hear_of_it_ends_itself_by_force(keep: Keep) -> None:
    keeper = keep(("child", ["stubborn", "ready", "serve"], []))
    pid = keeper.born("child")
    keeper.said(process="child", state="ready")
    keeper.process.kill()
    wait_until(functools.partial(gone, pid))


def test_the_next_supervisor_sees_out_what_a_killed_one_left(keep: Keep) -> None:
    first = keep(("child", ["ready", "serve"], []))
    pid = first.born("child")
    first.said(process="up", event="all is ready")
    os.kill(pid, signal.SIGSTOP)  # it does not hear that its supervisor is gone
    first.process.kill()
    first.wait()
    second = keep(("child", ["ready", "serve"], []), leftover_s=0.3)
    second.said(process="up", event="waiting for what a killed `up` has left: child")
    killed = second.said(process="up", level="error")
    assert killed["event"] == f"child, process {pid} of a killed `up`, is killed"
    assert second.born("child") != pid
    assert gone(pid)
    assert second.end() == 0


def test_a_supervisor_that_waits_for_leftovers_can_be_told_to_stop(keep: Keep) -> None:
    first = keep(("child", ["ready", "serve"], []))
    pid = first.born("child")
    first.said(process="up", event="all is ready")
    os.kill(pid, signal.SIGSTOP)
    first.process.kill()
    first.wait()
    second = keep(("child", ["ready", "serve"], []), leftover_s=1000)
    second.said(event=lambda event: event.startswith("waiting for what"))
    assert second.end() == 0
    third = keep(("child", ["ready", "serve"], []), leftover_s=0.1)
    third.said(process="up", event="all is ready")
    assert gone(pid), "a supervisor that saw nobody out must not forget them"
    assert third.end() == 0


def test_lines_of_json_pass_unchanged_and_others_are_wrapped(keep: Keep) -> None:
    raw = '{"event": "привет", "call":"c-1"}'
    keeper = keep(("child", [f"say={raw}", "say=[1]", "say=просто", "ready", "serve"], []))
    keeper.until(lambda line: line == raw)
    keeper.said(process="child", event="[1]")
    keeper.said(process="child", event="просто")
    assert keeper.end() == 0


def test_a_log_that_nobody_reads_stops_nothing_and_what_was_dropped_is_told(tmp_path: Path) -> None:
    flooded = tmp_path / "flooded"
    children: list[tuple[str, list[str], list[str]]] = [
        ("child", ["flood=200000", f"touch={flooded}", "ready", "serve"], [])
    ]
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.processes.keeper", str(tmp_path), json.dumps(children), "{}"],
        cwd=ROOT, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT}"},
    )  # fmt: skip
    assert keeper.stderr is not None
    with keeper.stderr:
        try:
            wait_until(flooded.exists)
            for line in keeper.stderr:
                if b"lines were dropped" in line:
                    break
            else:
                raise AssertionError("it does not tell of what it has dropped")
            keeper.send_signal(signal.SIGTERM)
            assert keeper.wait(60) == 0, "it stops although nobody reads"
        finally:
            keeper.kill()
            keeper.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_cannot_speak_for_a_child(keep: Keep) -> None:
    keeper = keep(("child", ["foreign", "status=mine", "ready", "serve"], []))
    keeper.said(process="child", state="ready")
    told = [each["event"] for each in keeper.everything()]
    assert "mine" in told
    assert "not mine" not in " ".join(told)
    assert keeper.end() == 0

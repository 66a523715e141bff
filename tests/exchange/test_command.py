"""`kommutator nats`: supervises the server."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from .conftest import ROOT, gone


def command(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    program = "from kommutator.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, "nats", "--data", str(folder)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def serving(process: subprocess.Popen[str]) -> None:
    """Wait until it says where the exchange is."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("the exchange is at nats://127.0.0.1:"):
            return
    raise AssertionError("it does not serve")


def end(process: subprocess.Popen[str]) -> None:
    """kill -9, when it has not ended yet."""
    process.kill()
    process.wait()
    assert process.stderr is not None
    process.stderr.close()


def pid_within(folder: Path, other_than: int, deadline_s: float = 20.0) -> int:
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        kept = msgspec.json.decode((folder / "nats" / "server.json").read_bytes())
        if kept["pid"] not in (0, other_than):
            return int(kept["pid"])
        time.sleep(0.05)
    raise AssertionError("no server was started")


def test_the_command_restarts_a_server_that_dies_and_stops_it_when_told(tmp_path: Path) -> None:
    supervisor = command(tmp_path)
    try:
        serving(supervisor)
        first = pid_within(tmp_path, 0)
        os.kill(first, signal.SIGKILL)
        second = pid_within(tmp_path, first)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(20) == 0
        assert gone(second)
    finally:
        end(supervisor)


def test_the_command_takes_over_what_a_killed_one_left_and_refuses_to_run_twice(tmp_path: Path) -> None:
    first = command(tmp_path)
    try:
        serving(first)
        pid = pid_within(tmp_path, 0)
    finally:
        end(first)
    second = command(tmp_path)
    third = None
    try:
        serving(second)
        assert pid_within(tmp_path, 0) == pid
        third = command(tmp_path)
        assert third.wait(20) == 5
        second.send_signal(signal.SIGTERM)
        assert second.wait(20) == 0
        assert gone(pid)
    finally:
        for process in (second, third):
            if process is not None:
                end(process)

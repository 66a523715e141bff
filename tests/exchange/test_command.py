"""`kommutator nats`: supervises the server."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from kommutator.exchange.embedded import EmbeddedNats, _read_kept

from .conftest import ROOT, gone


def command(folder: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    program = "from kommutator.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, "nats", "--data", str(folder)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def pid_within(folder: Path, other_than: int, deadline_s: float = 20.0) -> int:
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        kept = _read_kept(folder / "nats")
        if kept is not None and kept.pid not in (0, other_than):
            return kept.pid
        time.sleep(0.05)
    raise AssertionError("no server was started")


def test_the_command_restarts_a_server_that_dies_and_stops_it_when_told(tmp_path: Path) -> None:
    supervisor = command(tmp_path)
    try:
        first = pid_within(tmp_path, 0)
        os.kill(first, signal.SIGKILL)
        second = pid_within(tmp_path, first)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(20) == 0
        assert gone(second)
    finally:
        supervisor.kill()
        supervisor.wait()


def test_the_command_takes_over_what_a_killed_one_left_and_refuses_to_run_twice(tmp_path: Path) -> None:
    first = command(tmp_path)
    try:
        pid = pid_within(tmp_path, 0)
    finally:
        first.kill()
        first.wait()
    second = command(tmp_path)
    third: subprocess.Popen[bytes] | None = None
    try:
        until = time.monotonic() + 20
        while _is_free(tmp_path):
            assert time.monotonic() < until
            time.sleep(0.05)
        third = command(tmp_path)
        assert third.wait(20) == 5
        second.send_signal(signal.SIGTERM)
        assert second.wait(20) == 0
        assert gone(pid)
    finally:
        for process in (second, third):
            if process is not None:
                process.kill()
                process.wait()


def _is_free(folder: Path) -> bool:
    probe = EmbeddedNats(folder / "nats")
    try:
        probe._hold()
    except Exception:  # noqa: BLE001 - whatever it is, the folder is not free
        return False
    probe.leave()
    return True

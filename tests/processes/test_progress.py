"""What `up` shows: on a terminal, and into a log as text."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from .conftest import PATIENCE_S, ROOT, Start

CHILDREN = json.dumps(
    [
        ("base", ["say=\x1b[31mred\x1b[0m", "status=warming", "ready=at work", "serve"], []),
        ("top", ["say=[bold]not markup[/bold]", "ready", "serve"], ["base"]),
    ]
)


def test_text_has_the_name_of_who_speaks_before_each_line(start: Start, tmp_path: Path) -> None:
    keeper = start("-m", "tests.processes.keeper", tmp_path, CHILDREN, "{}", "text")
    keeper.until(lambda line: line == "up   │ ready: all is ready")
    keeper.until(lambda line: line == "top  │ [bold]not markup[/bold]")
    keeper.until(lambda line: re.fullmatch(r"base │ ready: after [0-9.]+ s: at work", line) is not None)
    assert keeper.end() == 0
    assert "up   │ SIGTERM: stopping" in keeper.heard


def test_a_terminal_shows_a_table_while_the_parts_start_and_lines_from_then_on(tmp_path: Path) -> None:
    terminal, theirs = pty.openpty()
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.processes.keeper", str(tmp_path), CHILDREN, "{}", "text"],
        cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT}", "TERM": "xterm-256color", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""

    def until(wanted: bytes) -> None:
        nonlocal shown
        end = time.monotonic() + PATIENCE_S
        while wanted not in shown:
            assert time.monotonic() < end, shown
            shown += os.read(terminal, 65536)

    try:
        until(b"all is ready")
        keeper.send_signal(signal.SIGINT)
        until("· stopped".encode())
        # A terminal nobody reads is full some time; the rest is read until the other side is closed.
        while True:
            try:
                if not (chunk := os.read(terminal, 65536)):
                    break
            except OSError:  # EIO: Linux says so when the last of the other side is closed
                break
            shown += chunk
        assert keeper.wait(PATIENCE_S) == 0
    finally:
        keeper.kill()
        keeper.wait()
        os.close(terminal)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode()).replace("\r", "")
    assert "waiting" in text, "the table is there before anybody is ready"
    assert re.search(r"✓\s+base\s+ready\s+after [0-9.]+ s: at work", text)
    assert "top  │ [bold]not markup[/bold]" in text
    assert "SIGINT: stopping" in text
    assert "\x1b[31mred" in shown.decode(), "colours of a child's own are kept"

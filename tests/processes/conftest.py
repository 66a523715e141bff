"""Processes that tests start, listen to, and end."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0

Said = dict[str, Any]
"""A line of JSON that a supervisor has said."""


class Running:
    """A process whose standard error is read line by line."""

    def __init__(self, command: list[str], environ: dict[str, str]) -> None:
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT, env=environ)
        self.heard: list[str] = []
        self._left: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr:
            for line in self.process.stderr:
                self._lines.put(line.decode().rstrip("\n"))
        self._lines.put(None)

    def until(self, wanted: Callable[[str], bool], patience_s: float = PATIENCE_S) -> str:
        """The first line that is wanted among those heard and not taken yet; fails when the process ends without one,
        or after the time.

        Lines from different sources come in any order, so lines that are passed over stay to be taken later.
        """
        end = time.monotonic() + patience_s
        for line in self._left:
            if wanted(line):
                self._left.remove(line)
                return line
        while True:
            try:
                heard = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not heard within {patience_s} s; heard: {self.heard[-20:]}") from None
            assert heard is not None, f"it has ended; heard: {self.heard[-20:]}"
            self.heard.append(heard)
            if wanted(heard):
                return heard
            self._left.append(heard)

    def said(self, **wanted: object) -> Said:
        """The next line of JSON with these values; one that is a function is asked."""
        found: Said = {}

        def is_it(line: str) -> bool:
            nonlocal found
            found = json.loads(line)
            return all(
                value(found.get(key)) if callable(value) else found.get(key) == value for key, value in wanted.items()
            )

        self.until(is_it)
        return found

    def born(self, name: str) -> int:
        """The pid of the next child of this name that says that it was born."""
        return int(self.said(process=name, event=lambda event: event.startswith("born "))["event"].split()[1])

    def end(self, number: signal.Signals = signal.SIGTERM, patience_s: float = PATIENCE_S) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        return self.wait(patience_s)

    def wait(self, patience_s: float = PATIENCE_S) -> int:
        """The exit code; what it has said until then is in `heard`."""
        code = self.process.wait(patience_s)
        self._reader.join(PATIENCE_S)
        while (line := self._lines.get(timeout=PATIENCE_S)) is not None:
            self.heard.append(line)
        return code

    def everything(self) -> list[Said]:
        """All lines of JSON heard."""
        return [json.loads(line) for line in self.heard]


Start = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a Python program; what still runs at the end is killed."""
    running: list[Running] = []

    def run(*arguments: object, **environ: str) -> Running:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("KOMMUTATOR_")}
        running.append(
            Running(
                [sys.executable, *map(str, arguments)],
                {**clean, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT}", **environ},
            )
        )
        return running[-1]

    yield run
    for each in running:
        if each.process.poll() is None:
            each.process.kill()
            each.process.wait()
        each._reader.join(PATIENCE_S)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder under /tmp that a server's unprivileged user can enter, as pytest's own cannot be."""
    folder = Path(tempfile.mkdtemp(prefix="kt-up-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def gone(pid: int) -> bool:
    """Whether a process has ended, be it unburied."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait for something that must come true."""
    end = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < end, "it has not come true"
        time.sleep(0.02)

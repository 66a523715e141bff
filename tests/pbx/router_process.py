"""The router as a user runs it: `kommutator route` in a process of its own, which a test may kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_STEP_S = 0.02


class RouterProcess:
    """A router on a data folder. `kill` is SIGKILL; `start` runs it again on the same folder."""

    def __init__(self, ari_url: str, user: str, password: str, company: Path, data: Path) -> None:
        self._command = [
            sys.executable, "-c", "from kommutator.cli import main; main()", "route", str(company),
            "--ari", ari_url, "--user", user, "--data", str(data), "--silence", "2", "--log", "json",
        ]  # fmt: skip
        self._environment = {**os.environ, "KOMMUTATOR_ARI_PASSWORD": password}
        self._data = data
        self._log = data.parent / f"{data.name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._read_from = 0

    def start(self) -> float:
        """Run it, and wait until it is connected; returns when it had reached Asterisk, in seconds since the epoch."""
        self._read_from = self._log.stat().st_size if self._log.exists() else 0
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        self.wait_log(lambda line: line.get("event") == "pbx connected")
        reached = self.wait_log(lambda line: line.get("event") == "pbx reached")
        return datetime.fromisoformat(reached["timestamp"]).timestamp()

    def kill(self) -> float:
        """SIGKILL; returns when it was, in seconds since the epoch."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        return time.time()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(10)

    def wait_log(self, wanted: Callable[[dict[str, Any]], bool], seconds: float = 30.0) -> dict[str, Any]:
        """Wait for a line of the log since the last start."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for line in self.log_lines():
                if wanted(line):
                    return line
            assert self._process is not None
            if self._process.poll() is not None:
                raise AssertionError(f"the router exited with {self._process.returncode}\n{self.log_tail()}")
            time.sleep(_STEP_S)
        raise AssertionError(f"not in the log within {seconds} s\n{self.log_tail()}")

    def wait_action(self, action: str, **more: Any) -> dict[str, Any]:
        """Wait until the router has an action of this type performed."""
        return self.wait_log(
            lambda line: (
                line.get("event") == "turn"
                and line.get("action") == action
                and all(line.get(key) == value for key, value in more.items())
            )
        )

    def wait_idle(self, *employees: str) -> None:
        """Wait until the router knows that these employees' phones are there and free."""

        def all_idle(_: dict[str, Any]) -> bool:
            told = {line["employee"]: line["line"] for line in self.log_lines() if line.get("event") == "line"}
            return all(told.get(employee) == "idle" for employee in employees)

        self.wait_log(all_idle)

    def wait_ledger(self, lines: int = 1, seconds: float = 15.0) -> list[dict[str, Any]]:
        """Wait until the ledger has so many lines; all of them."""
        until = time.monotonic() + seconds
        while len(self.ledger()) < lines:
            if time.monotonic() > until:
                raise AssertionError(f"the ledger has {len(self.ledger())} lines\n{self.log_tail()}")
            time.sleep(_STEP_S)
        return self.ledger()

    def ledger(self) -> list[dict[str, Any]]:
        """The ledger's lines."""
        path = self._data / "ledger.jsonl"
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    def log_lines(self) -> list[dict[str, Any]]:
        """The log since the last start."""
        with self._log.open("rb") as log:
            log.seek(self._read_from)
            lines = log.read().split(b"\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith(b"{")]

    def log_tail(self) -> str:
        """The end of the log."""
        return self._log.read_text(errors="replace")[-4000:]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

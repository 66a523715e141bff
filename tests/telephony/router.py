"""The router under test: a process of its own that is started, killed, stopped, and started again on the same data."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from .asterisk import Asterisk
from .router_main import World

_REPOSITORY = Path(__file__).resolve().parents[2]
_START_S = 30.0
_STOP_S = 10.0
_POLL_S = 0.01

LogLine = dict[str, Any]
"""A line of the router's log: `event` says what, the rest is about it."""


class RouterFailed(AssertionError):
    """The router did not do what the test waited for; the message carries the end of its log."""


class RouterProcess:
    """A router, by its command line. `data` is its data folder, `log` goes on over restarts.

    Use as a context manager: it is started and connected inside, and killed at the end.
    """

    connected = "pbx connected"
    """What it logs when calls can come."""

    def __init__(self, command: Sequence[str], data: Path, environment: Mapping[str, str] | None = None) -> None:
        self._command = list(command)
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self.data = data
        data.mkdir(parents=True, exist_ok=True)
        self.log_file = data / "router.log"
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def of_command(cls, asterisk: Asterisk, company: Path, data: Path, *, ari: str = "", silence_s: int = 2) -> Self:
        """`kommutator route`, as users run it; `ari` is another way to Asterisk's base address."""
        command = [
            str(Path(sys.executable).with_name("kommutator")),
            "route",
            str(company),
            "--ari",
            f"{ari or asterisk.ari_url}/ari",
        ]
        command += ["--user", asterisk.ari_user, "--data", str(data)]
        command += ["--silence", str(silence_s), "--log", "json", "--tts", tts_of(asterisk)]
        return cls(command, data, {"KOMMUTATOR_ARI_PASSWORD": asterisk.ari_password})

    @classmethod
    def of_world(cls, world: World) -> Self:
        """The router in a scenario's world."""
        command = [sys.executable, "-m", "tests.telephony.router_main", msgspec.json.encode(world).decode()]
        process = cls(command, Path(world.data))
        if world.agi is not None:
            process.connected = "pbx may connect"
        return process

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts it, and returns when it is connected to Asterisk."""
        seen = len(self.log())
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=_REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        self.wait(self.connected, skip=seen, seconds=_START_S)

    def kill(self) -> None:
        """SIGKILL: it dies at once, wherever it is."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            raise RouterFailed(f"still there {_STOP_S} s after SIGTERM\n{self.tail()}") from None

    def log(self) -> list[LogLine]:
        """The whole lines of the log so far; what is not JSON (a traceback) has the key `text` alone."""
        if not self.log_file.exists():
            return []
        lines = self.log_file.read_bytes().split(b"\n")[:-1]
        return [_line(line) for line in lines if line]

    def follow(self, *, skip: int = 0, seconds: float, until: Callable[[LogLine], bool]) -> Iterator[LogLine]:
        """The log's lines as they come, after the first `skip`; ends with the one for which `until` holds.

        Raises `RouterFailed` when it does not come within `seconds`, or the router dies.
        """
        deadline = time.monotonic() + seconds
        while True:
            alive = self.running
            for line in self.log()[skip:]:
                skip += 1
                yield line
                if until(line):
                    return
            if not alive:
                raise RouterFailed(f"the router is gone\n{self.tail()}")
            if time.monotonic() > deadline:
                raise RouterFailed(f"what was awaited did not come within {seconds} s\n{self.tail()}")
            time.sleep(_POLL_S)

    def wait(self, event: str, *, skip: int = 0, seconds: float = 30.0, **fields: Any) -> LogLine:
        """Waits for a log line with these fields, after the first `skip` lines, and returns it."""
        wanted = {"event": event, **fields}

        def is_wanted(line: LogLine) -> bool:
            return all(line.get(key) == value for key, value in wanted.items())

        return list(self.follow(skip=skip, seconds=seconds, until=is_wanted))[-1]

    def wait_idle(self, *employees: str) -> None:
        """Waits until the router has seen the phone of each of them, there and free."""
        for employee in employees:
            self.wait("line", employee=employee, line="idle")

    def ledger(self) -> list[dict[str, Any]]:
        """The lines of the ledger so far."""
        path = self.data / "ledger.jsonl"
        return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    def wait_ledger(self, count: int = 1, *, seconds: float = 30.0) -> list[dict[str, Any]]:
        """Waits until the ledger has `count` lines, and returns them."""
        deadline = time.monotonic() + seconds
        while len(lines := self.ledger()) < count:
            if time.monotonic() > deadline:
                raise RouterFailed(f"{len(lines)} lines instead of {count} in the ledger\n{self.tail()}")
            time.sleep(_POLL_S)
        return lines

    def tail(self) -> str:
        """The end of the log, for people."""
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        return f"--- {self.log_file}\n{text[-6000:]}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def tts_of(asterisk: Asterisk) -> str:
    """espeak-ng of the tree that Asterisk comes from."""
    command = asterisk.tree.command("usr/bin/espeak-ng")
    return " ".join([*command, f"--path={asterisk.tree.libraries}", "-v", "{language}", "--stdin", "-w", "{output}"])


def _line(raw: bytes) -> LogLine:
    try:
        line = msgspec.json.decode(raw, type=LogLine)
    except msgspec.DecodeError:
        return {"text": raw.decode(errors="replace")}
    return line

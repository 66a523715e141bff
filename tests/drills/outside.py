"""What is outside of the house: a provider's SMSC and a mail server, each a process that no drill touches."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections import Counter
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from kommutator.notify.sms_text import decode

ROOT = Path(__file__).parents[2]
_PATIENCE_S = 30.0


class _Outsider:
    """A process whose standard output goes to a file."""

    def __init__(self, output: Path, module: str, *arguments: str) -> None:
        self._output = output
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT}"}
        with output.open("wb") as out, output.with_suffix(".err").open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments], stdout=out, stderr=errors, cwd=ROOT, env=environment
            )

    def says(self) -> list[str]:
        """The whole lines that it has said."""
        return self._output.read_text(encoding="utf-8").split("\n")[:-1]

    def first(self) -> str | None:
        """Its first line; None when it has ended without one."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            ended = self._process.poll() is not None
            if lines := self.says():
                return lines[0]
            if ended:
                return None
            time.sleep(0.02)
        raise AssertionError(f"{self._output.name}: it says nothing")

    def end(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()


class Smsc:
    """The SMPP library's SMSC; see `tests.notify.smsc_process` for numbers that it treats in ways of their own."""

    def __init__(self, folder: Path) -> None:
        for attempt in range(5):  # it takes no port 0, and another may have the port by now
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self.port = int(probe.getsockname()[1])
            self._process = _Outsider(folder / f"smsc-{attempt}.out", "tests.notify.smsc_process", str(self.port))
            if self._process.first() is not None:
                return
        raise AssertionError("no port for the SMSC")

    def texts(self) -> list[tuple[str, str]]:
        """Every message that was submitted: to whom, in E.164, and what it says."""
        submitted = (told for line in self._process.says() if (told := json.loads(line))["event"] == "submit")
        return [(f"+{told['to']}", decode(bytes.fromhex(told["message"]), told["coding"])) for told in submitted]

    def counts(self) -> Counter[str]:
        """How many messages each number was sent."""
        return Counter(to for to, _ in self.texts())

    def end(self) -> None:
        """Kill it."""
        self._process.end()


class Mailbox:
    """A mail server, and the letters that it keeps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "letters"
        self._process = _Outsider(folder / "mailbox.out", "tests.desk_services.mailbox", str(self._folder))
        port = self._process.first()
        assert port is not None, "the mail server does not start"
        assert re.fullmatch(r"\d+", port)
        self.port = int(port)

    def letters(self) -> list[EmailMessage]:
        """Every letter, in the order in which they came."""
        found = []
        for path in sorted(self._folder.glob("*.eml")):
            letter = message_from_bytes(path.read_bytes(), policy=policy.default)
            assert isinstance(letter, EmailMessage)
            found.append(letter)
        return found

    def end(self) -> None:
        """Kill it."""
        self._process.end()

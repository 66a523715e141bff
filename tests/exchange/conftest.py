"""A real nats-server for each test, and the processes around it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kommutator.exchange.embedded import EmbeddedNats
from kommutator.exchange.settings import ExchangeSettings

ROOT = Path(__file__).parents[2]


class Nats(EmbeddedNats):
    """An embedded server that tests kill."""

    @property
    def settings(self) -> ExchangeSettings:
        """How it is reached; impatient, for tests."""
        address = self.address
        return ExchangeSettings(
            (address.url,),
            address.user,
            address.password,
            request_s=1.0,
            retry_s=(0.02, 0.1),
            lookup_s=1.0,
            order_s=1.0,
        )

    def kill(self) -> None:
        """kill -9."""
        os.kill(self.pid, signal.SIGKILL)
        assert self.wait(10)


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    server = Nats(tmp_path / "nats")
    server.start()
    yield server
    server.stop()


class Child:
    """A process of ours, in a file of the tests, that says lines."""

    def __init__(self, module: str, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT}"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )

    def line(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it, and wait for it."""
        self.process.send_signal(number)
        self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()

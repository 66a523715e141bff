"""A real nats-server for each test, and the processes around it."""

import concurrent.futures
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from kommutator.exchange.embedded import EmbeddedNats
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.thread import ExchangeThread
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


class Desk:
    """A desk's exchange, in a thread of its own as it would be in a process."""

    def __init__(self, settings: ExchangeSettings) -> None:
        self._thread = ExchangeThread(settings, "desk", lambda failure: None)
        self.exchange = self._thread.exchange

    def start(self) -> None:
        """Begin, once everything is attached."""
        self._thread.start()
        self.do(lambda exchange: exchange.ready())

    def do(self, operation: Callable[[Exchange], Awaitable[Any]]) -> Any:
        """Do something in its loop. Blocks."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def done(value: Any, error: BaseException | None) -> None:
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)

        self._thread.begin(operation, done)
        return future.result(20)

    def stop(self) -> None:
        """End."""
        self._thread.stop(5)


@pytest.fixture
def desk(nats: Nats) -> Iterator[Desk]:
    made = Desk(nats.settings)
    yield made
    made.stop()


class TestClock:
    """The machine's clock."""

    __test__ = False

    def now_ms(self) -> int:
        """Milliseconds of UTC since the epoch."""
        return time.time_ns() // 1_000_000


PATIENCE_S = 30.0


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that must come true."""
    with trio.fail_after(PATIENCE_S):
        while not condition():
            await trio.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process has ended; whose parent was killed may be left unburied by whatever process 1 is."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True

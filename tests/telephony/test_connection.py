"""The router's connection breaks while Asterisk does not notice: what came and went meanwhile is seen when it is back."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from . import messages, sound
from .asterisk import Asterisk
from .conftest import StartAsterisk
from .dialogs import Behaviour
from .router import RouterProcess
from .sipp import Caller, Phone

pytestmark = pytest.mark.telephony

_PATIENCE_S = 30.0


class Relay:
    """Relays a port of 127.0.0.1 to another there. `lose_router` breaks the router's side alone, and keeps it out.

    Asterisk goes on believing that its application is there, and tells the events to nobody.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lost = False
        self._sides: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_router(self) -> None:
        """From now on nothing of the router's reaches Asterisk, and nothing of Asterisk's the router."""
        self._lost = True
        for router, _ in self._sides:
            with contextlib.suppress(OSError):
                router.shutdown(socket.SHUT_RDWR)

    def restore(self) -> None:
        """The router can connect again."""
        self._lost = False

    def close(self) -> None:
        """Ends everything."""
        self._listener.close()
        for side in self._sides:
            for each in side:
                each.close()

    def _accept(self) -> None:
        while True:
            try:
                router, _ = self._listener.accept()
            except OSError:
                return
            if self._lost:
                router.close()
                continue
            asterisk = socket.create_connection(("127.0.0.1", self._target))
            self._sides.append((router, asterisk))
            for parts in ((router, asterisk), (asterisk, router)):
                threading.Thread(target=self._relay, args=parts, daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                with contextlib.suppress(OSError):
                    sink.sendall(part)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@pytest.fixture
def relay(asterisk: Asterisk) -> Iterator[Relay]:
    """Between the router and Asterisk."""
    with Relay(asterisk.ports.http) as relay:
        yield relay


@pytest.fixture
def router(asterisk: Asterisk, relay: Relay, tmp_path: Path) -> Iterator[RouterProcess]:
    """`kommutator route`, connected through the relay."""
    document = _company(tmp_path)
    with RouterProcess.of_command(
        asterisk, document, tmp_path / "data", ari=f"http://127.0.0.1:{relay.port}"
    ) as router:
        yield router


@pytest.fixture(scope="module")
def asterisk(start_asterisk: StartAsterisk) -> Asterisk:
    """An Asterisk of our own."""
    return start_asterisk()


def test_what_came_and_went_unseen_is_reconciled(asterisk: Asterisk, relay: Relay, router: RouterProcess) -> None:
    with (
        Phone(asterisk, "101", Behaviour("silent")) as first,
        Phone(asterisk, "102", Behaviour("answer", after=0.3)) as second,
        Phone(asterisk, "103", Behaviour("answer", after=0.3, talks=0.5)) as third,
        Caller(asterisk, "+74950000001", "89160000001") as leaving,
        Caller(asterisk, "+74950000002", "89160000002") as talking,
        Caller(asterisk, "+74950000003", "89160000003") as coming,
    ):
        leaving.call()
        talking.call()
        first.wait_for("180")
        second.wait_for("ACK")
        router.wait("turn", action="talk")
        seen = len(router.log())
        relay.lose_router()
        router.wait("pbx connection lost", skip=seen)
        leaving.hang_up()
        leaving.wait_end()
        coming.call()
        coming.wait_for("100")
        assert first.wait_for("180").at and messages.first(first.events, "CANCEL") is None
        relay.restore()
        router.wait("pbx connected", skip=seen, seconds=_PATIENCE_S)
        first.wait_for("CANCEL")
        third.wait_for("ACK", seconds=_PATIENCE_S)
        coming.wait_end()
        assert messages.first(second.events, "BYE") is None
        talking.hang_up()
        talking.wait_end()
        lines = {line["caller"]: line for line in router.wait_ledger(3)}
    assert {caller: line["disposition"] for caller, line in lines.items()} == {
        "89160000001": "abandoned",
        "89160000002": "answered",
        "89160000003": "answered",
    }
    assert len(router.ledger()) == 3
    assert asterisk.wait_idle() == []


def _company(folder: Path) -> Path:
    """Three numbers, each of which rings a phone."""
    sound.tone(folder / "leave.wav", hertz=400, seconds=1)
    names = {"first": "101", "second": "102", "third": "103"}
    nodes = {
        name: {
            "ring": {"kind": "ring", "ring": [{"employee": name}], "seconds": 60, "exits": {"no_answer": "box"}},
            "box": {"kind": "voicemail", "prompt": "leave", "seconds": 20, "exits": {"done": "bye"}},
            "bye": {"kind": "hangup"},
        }
        for name in names
    }
    company = {
        "company": {"name": "Relay", "timezone": "Europe/Moscow", "country": "RU", "language": "en"},
        "departments": {"house": {"name": "House"}},
        "employees": {
            name: {"name": name, "department": "house", "endpoint": f"PJSIP/{phone}"} for name, phone in names.items()
        },
        "prompts": {"leave": {"file": "leave.wav"}},
        "numbers": {f"+7495000000{place}": {"scheme": name} for place, name in enumerate(names, 1)},
        "schemes": {name: {"start": "ring", "responsible": "house", "nodes": nodes[name]} for name in names},
    }
    document = folder / "company.yaml"
    document.write_text(json.dumps(company, indent=1), encoding="utf-8")
    return document

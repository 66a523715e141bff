"""A router that Asterisk believes to be there, and one that was told to stop: what comes and goes meanwhile is not lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import messages, sound
from .asterisk import Asterisk
from .cable import Cable
from .conftest import StartAsterisk
from .dialogs import Behaviour
from .router import RouterProcess
from .sipp import Caller, Phone

pytestmark = pytest.mark.telephony

_PATIENCE_S = 30.0


@pytest.fixture
def cable(asterisk: Asterisk) -> Iterator[Cable]:
    """Between the router and Asterisk."""
    with Cable(asterisk.ports.http) as cable:
        yield cable


@pytest.fixture
def router(asterisk: Asterisk, cable: Cable, tmp_path: Path) -> Iterator[RouterProcess]:
    """`kommutator route`, connected through the cable."""
    document = _company(tmp_path)
    with RouterProcess.of_command(
        asterisk, document, tmp_path / "data", ari=f"http://127.0.0.1:{cable.port}"
    ) as router:
        yield router


@pytest.fixture(scope="module")
def asterisk(start_asterisk: StartAsterisk) -> Asterisk:
    """An Asterisk of our own."""
    return start_asterisk()


def test_what_came_and_went_unseen_is_reconciled(asterisk: Asterisk, cable: Cable, router: RouterProcess) -> None:
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
        cable.cut_unnoticed()
        router.wait("pbx connection lost", skip=seen)
        leaving.hang_up()
        leaving.wait_end()
        coming.call()
        coming.wait_for("100")
        assert first.wait_for("180").at and messages.first(first.events, "CANCEL") is None
        cable.mend()
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


def test_a_router_told_to_stop_leaves_its_calls(asterisk: Asterisk, router: RouterProcess) -> None:
    with (
        Phone(asterisk, "101", Behaviour("silent")) as phone,
        Caller(asterisk, "+74950000001", "89160000004") as caller,
    ):
        router.wait_idle("first")
        caller.call()
        phone.wait_for("180")
        assert router.stop() == 0
        router.start()
        for party in (caller, phone):
            assert [event for event in party.events if event.name in ("BYE", "CANCEL")] == []
        caller.hang_up()
        phone.wait_for("CANCEL")
        (line,) = router.wait_ledger()
    assert line["disposition"] == "abandoned"
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
        "company": {"name": "Cable", "timezone": "Europe/Moscow", "country": "RU", "language": "en"},
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

"""What operators do with calls, on real phones: orders through a real Asterisk, and the phones' own keys.

Every test has its own number, operator and managers, so that one Asterisk and one router serve them all.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kommutator.routing.order import Order, OrderDone, OrderKind

from . import sound
from .asterisk import Asterisk
from .conftest import StartAsterisk
from .dialogs import Behaviour
from .hearing import MUSIC_HZ, RINGBACK_HZ, hears, hears_nobody, talk
from .ordered_main import SOCKET
from .router import RouterProcess
from .sipp import Caller, Mobiles, Phone, media_address

pytestmark = pytest.mark.telephony

RINGS_S = 2.0
PLACES = [
    "complete", "declined", "busy", "noanswer", "gone", "swap", "blind", "returns", "hold", "phone", "leaves", "killed",
    "mleaves", "answer", "back", "instant", "hkey", "tkey",
]  # fmt: skip
BACK = "+79165550001"
MISSED = "+79165550002"
ANSWERS = Behaviour("answer", after=0.1)


class Desk:
    """A router, and orders to it."""

    def __init__(self, router: RouterProcess) -> None:
        self.router = router
        self._given = 0

    def order(self, kind: OrderKind, call: str | None, by: str, **target: str) -> OrderDone:
        """Give an order and return how it went."""
        self._given += 1
        order = Order(f"{time.time_ns()}", kind, by, 0, call, **target)
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(15)
            line.connect(str(self.router.data / SOCKET))
            line.sendall(msgspec.json.encode(order))
            return msgspec.json.decode(line.makefile("rb").readline(), type=OrderDone)

    def does(self, kind: OrderKind, call: str | None, by: str, **target: str) -> None:
        """Give an order that must be done."""
        done = self.order(kind, call, by, **target)
        assert done.done, (kind, done, self.router.tail())


class Scene:
    """A client, an operator and a manager of one test."""

    def __init__(
        self, desk: Desk, asterisk: Asterisk, place: str, manager: Behaviour, operator: list[Behaviour]
    ) -> None:
        self.desk, self.router, self.place = desk, desk.router, place
        self.operator = f"{place}-operator"
        self.manager = f"{place}-manager"
        self.call = ""
        self._asterisk = asterisk
        self._stack = ExitStack()
        self.operators_phone = self._stack.enter_context(Phone(asterisk, self.operator, operator))
        self.managers_phone = self._stack.enter_context(Phone(asterisk, self.manager, manager))
        number = f"7916{5000000 + PLACES.index(place):07}"
        self.client = self._stack.enter_context(Caller(asterisk, did(place), number))

    def begin(self) -> None:
        """The client calls, and talks with the operator."""
        self.ring()
        self.router.wait("turn", call=self.call, action="talk")
        self.operators_phone.wait_for("ACK")
        self.operators_phone.line.connect(media_address(self.operators_phone.rung()[-1].text))
        self.hear_client()

    def hear_client(self) -> None:
        """The client's line is connected."""
        self.client.line.connect(media_address(self.client.wait_for("200", of="INVITE").text))

    def ring(self) -> None:
        """The client calls."""
        for employee in (self.operator, self.manager):
            self.router.wait("line", employee=employee, line="idle")
        self.client.call()
        self.call = self.router.wait("call began", caller=self.client.number)["call"]

    def does(self, kind: OrderKind, by: str | None = None, **target: str) -> None:
        """The operator orders."""
        self.desk.does(kind, self.call, by or self.operator, **target)

    def consult(self, until: str | None = "agreed") -> None:
        """The operator calls the manager."""
        self.does("consult", employee=self.manager)
        if until is not None:
            self.consulted(until)

    def consulted(self, state: str) -> dict[str, Any]:
        """Wait until desks are told."""
        return self.router.wait("doing", call=self.call, kind="consulted", state=state)

    def passed(self, state: str) -> dict[str, Any]:
        """Wait until desks are told."""
        return self.router.wait("doing", call=self.call, kind="passed_on", state=state)

    def ends(self) -> dict[str, Any]:
        """The client hangs up if he is still there; everybody is free then, and the ledger has one line."""
        self.client.hang_up()
        self.client.wait_end()
        self.router.wait("call ended", call=self.call)
        lines = [line for line in self.router.ledger() if line["call_id"] == self.call]
        assert len(lines) == 1
        assert self._asterisk.wait_idle() == []
        assert self._asterisk.wait_no_bridge() == []
        return dict(lines[0])

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="module")
def asterisk(start_asterisk: StartAsterisk) -> Asterisk:
    return start_asterisk(phones=[f"{place}-{role}" for place in PLACES for role in ("operator", "manager")])


@pytest.fixture(scope="module")
def desk(asterisk: Asterisk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("orders")
    company, data = write_company(folder), folder / "data"
    command = [sys.executable, "-m", "tests.telephony.ordered_main", str(company), f"{asterisk.ari_url}/ari"]
    command += [asterisk.ari_user, asterisk.ari_password, str(data), str(RINGS_S)]
    with RouterProcess(command, data) as router:
        yield Desk(router)


@pytest.fixture
def scene(desk: Desk, asterisk: Asterisk, request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The scene that `pytest.mark.scene(place, manager's behaviour, operator's behaviours…)` asks for."""
    place, manager, *operator = request.param
    scene = Scene(desk, asterisk, place, manager, operator or [ANSWERS])
    try:
        yield scene
    finally:
        scene.close()


def on(place: str, manager: Behaviour, *operator: Behaviour) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("scene", [(place, manager, *operator)], indirect=True, ids=[place])


@on("complete", Behaviour("answer", after=1.0))
def test_a_consultation_completed_by_the_desk(scene: Scene) -> None:
    scene.begin()
    talk(scene.client.line, scene.operators_phone.line)
    began = time.time()
    scene.consult("ringing")
    invite = scene.managers_phone.wait_for("INVITE")
    assert scene.client.number is not None
    assert scene.client.number in (invite.header("From") or "")
    hears(scene.client.line, MUSIC_HZ, began + 0.1)
    hears(scene.operators_phone.line, RINGBACK_HZ, began + 0.1)
    scene.consulted("agreed")
    agreed = time.time()
    talk(scene.operators_phone.line, scene.managers_phone.line)
    hears(scene.client.line, MUSIC_HZ, agreed)
    scene.does("complete")
    scene.operators_phone.wait_for("BYE")
    talk(scene.client.line, scene.managers_phone.line)
    assert scene.desk.order("hang_up", scene.call, scene.operator).reason == "not_yours"
    scene.does("hang_up", by=scene.manager)
    scene.client.wait_end()
    assert scene.ends()["disposition"] == "answered"


@pytest.mark.parametrize(
    ("scene", "told"),
    [
        (("declined", Behaviour("decline", after=0.3)), "declined"),
        (("busy", Behaviour("busy")), "busy"),
        (("noanswer", Behaviour("silent")), "no_answer"),
    ],
    indirect=["scene"],
    ids=["declined", "busy", "no answer"],
)
def test_a_manager_who_does_not_take_it_gives_the_client_back(scene: Scene, told: str) -> None:
    scene.begin()
    scene.consult(told)
    talk(scene.client.line, scene.operators_phone.line)
    if told == "no_answer":
        scene.managers_phone.wait_for("CANCEL")
    scene.ends()


@on("gone", ANSWERS)
def test_the_client_hangs_up_during_the_consultation(scene: Scene) -> None:
    scene.begin()
    scene.consult()
    scene.client.hang_up()
    scene.consulted("cancelled")
    for phone in (scene.operators_phone, scene.managers_phone):
        phone.wait_for("BYE")
    assert scene.ends()["disposition"] == "answered"


@on("swap", ANSWERS)
def test_the_operator_talks_with_both_by_turns(scene: Scene) -> None:
    scene.begin()
    scene.consult()
    scene.does("swap")
    began = time.time()
    talk(scene.client.line, scene.operators_phone.line)
    hears(scene.managers_phone.line, MUSIC_HZ, began)
    scene.does("swap")
    talk(scene.managers_phone.line, scene.operators_phone.line)
    scene.does("cancel_consult")
    scene.managers_phone.wait_for("BYE")
    talk(scene.client.line, scene.operators_phone.line)
    scene.ends()


@on("mleaves", Behaviour("answer", after=0.1, talks=0.7))
def test_the_manager_hangs_up_and_the_operator_has_the_client_again(scene: Scene) -> None:
    scene.begin()
    scene.consult()
    scene.consulted("gone")
    talk(scene.client.line, scene.operators_phone.line)
    scene.ends()


@on("blind", Behaviour("answer", after=0.6))
def test_a_blind_transfer(scene: Scene) -> None:
    scene.begin()
    began = time.time()
    scene.does("transfer", employee=scene.manager)
    scene.operators_phone.wait_for("BYE")
    hears(scene.client.line, RINGBACK_HZ, began + 0.1)
    scene.passed("passed")
    scene.router.wait("turn", call=scene.call, action="talk", sequence=2)
    talk(scene.client.line, scene.managers_phone.line)
    scene.ends()


@on("returns", Behaviour("decline", after=0.2), ANSWERS, ANSWERS)
def test_a_blind_transfer_that_nobody_takes_returns(scene: Scene) -> None:
    scene.begin()
    scene.does("transfer", employee=scene.manager)
    assert scene.passed("returning")["reason"] == "declined"
    scene.operators_phone.wait_for("ACK", count=2)
    scene.passed("returned")
    scene.operators_phone.line.disconnect()
    talk(scene.client.line, scene.operators_phone.line)
    scene.ends()


@on("hold", ANSWERS)
def test_hold(scene: Scene) -> None:
    scene.begin()
    scene.does("hold")
    hears(scene.client.line, MUSIC_HZ, time.time())
    began = time.time()
    scene.operators_phone.line.speak(sound.murmur(0.5))
    hears_nobody(scene.client.line, began)
    scene.does("unhold")
    talk(scene.client.line, scene.operators_phone.line)
    scene.does("hang_up")
    scene.client.wait_end()
    scene.ends()


@on("hkey", ANSWERS)
def test_hold_by_the_phones_own_key(scene: Scene) -> None:
    scene.begin()
    talk(scene.client.line, scene.operators_phone.line)
    began = time.time()
    scene.operators_phone.press_hold(True)
    scene.router.wait("doing", call=scene.call, kind="held", held=True, by_phone=True)
    hears(scene.client.line, MUSIC_HZ, began)
    assert scene.desk.order("unhold", scene.call, scene.operator).reason == "held_by_phone"
    scene.operators_phone.press_hold(False)
    scene.router.wait("doing", call=scene.call, kind="held", held=False, by_phone=True)
    talk(scene.client.line, scene.operators_phone.line)
    skip = len(scene.router.log())
    scene.operators_phone.press_hold(True)
    scene.router.wait("doing", skip=skip, call=scene.call, kind="held", held=True)
    scene.consult()
    hears(scene.client.line, MUSIC_HZ, time.time())
    scene.does("complete")
    scene.router.wait("turn", call=scene.call, action="talk", sequence=2)
    talk(scene.client.line, scene.managers_phone.line)
    scene.ends()


@on("tkey", Behaviour("answer", after=0.5))
def test_transfer_by_the_phones_own_key(scene: Scene) -> None:
    scene.begin()
    scene.operators_phone.press_transfer("nobody-here")
    scene.operators_phone.wait_for("NOTIFY")
    talk(scene.client.line, scene.operators_phone.line)
    scene.operators_phone.press_transfer(scene.manager)
    scene.passed("ringing")
    scene.operators_phone.wait_for("BYE")
    scene.passed("passed")
    scene.router.wait("turn", call=scene.call, action="talk", sequence=2)
    talk(scene.client.line, scene.managers_phone.line)
    assert scene.ends()["disposition"] == "answered"


@on("phone", ANSWERS)
def test_the_operators_phone_completes_by_hanging_up(scene: Scene) -> None:
    scene.begin()
    scene.consult()
    scene.operators_phone.hang_up()
    scene.passed("passed")
    scene.router.wait("turn", call=scene.call, action="talk", sequence=2)
    talk(scene.client.line, scene.managers_phone.line)
    scene.ends()


@on("leaves", Behaviour("answer", after=0.8))
def test_the_operators_phone_hangs_up_while_the_manager_rings(scene: Scene) -> None:
    scene.begin()
    scene.consult("ringing")
    scene.operators_phone.hang_up()
    scene.passed("passed")
    scene.router.wait("turn", call=scene.call, action="talk", sequence=2)
    talk(scene.client.line, scene.managers_phone.line)
    scene.ends()


@on("answer", ANSWERS, Behaviour("silent"), Behaviour("answer", after=0.0))
def test_an_order_picks_up_a_phone_that_honours_it(scene: Scene) -> None:
    scene.ring()
    scene.operators_phone.wait_for("180")
    scene.does("answer")
    scene.operators_phone.wait_for("CANCEL")
    second = scene.operators_phone.rung()[1]
    assert (second.header("Call-Info") or "").endswith(";answer-after=0")
    assert "info=alert-autoanswer" in (second.header("Alert-Info") or "")
    scene.hear_client()
    talk(scene.client.line, scene.operators_phone.line)
    scene.ends()


@on("back", ANSWERS)
def test_a_call_back(scene: Scene, asterisk: Asterisk) -> None:
    with Mobiles(asterisk, {BACK: [Behaviour("answer", after=0.5)], MISSED: [Behaviour("busy")]}) as mobiles:
        scene.router.wait("line", employee=scene.operator, line="idle")
        scene.desk.does("call_back", None, scene.operator, number=BACK)
        invite = scene.operators_phone.wait_for("INVITE")
        assert BACK in (invite.header("From") or "")
        scene.router.wait("doing", kind="called_back", number=BACK, state="talking")
        talk(scene.operators_phone.line, mobiles.line)
        mobiles.hang_up()
        scene.router.wait("doing", kind="called_back", number=BACK, state="over")
        scene.operators_phone.wait_for("BYE")
        scene.router.wait("line", skip=seen(scene.router), employee=scene.operator, line="idle")
        scene.operators_phone.line.disconnect()
        scene.desk.does("call_back", None, scene.operator, number=MISSED)
        over = scene.router.wait("doing", kind="called_back", number=MISSED, state="over")
        assert over["reason"] == "client_busy"
        scene.operators_phone.wait_for("BYE", count=2)
        assert asterisk.wait_idle() == []


@on("back", ANSWERS)
def test_a_call_back_that_outlives_its_router_is_ended_from_the_desk(scene: Scene, asterisk: Asterisk) -> None:
    with Mobiles(asterisk, {BACK: [Behaviour("answer", after=0.5)] * 2}) as mobiles:
        idle = 0
        for by_phone in (False, True):
            skip = len(scene.router.log())
            scene.router.wait("line", skip=idle, employee=scene.operator, line="idle")
            scene.desk.does("call_back", None, scene.operator, number=BACK)
            call = str(scene.router.wait("doing", skip=skip, kind="called_back", state="talking")["call"])
            idle = len(scene.router.log())
            scene.router.kill()
            scene.router.start()
            if by_phone:
                mobiles.hang_up()
            else:
                scene.desk.does("hang_up", call, scene.operator)
            assert scene.router.wait("doing", kind="called_back", call=call, state="over")["reason"] is None
            assert asterisk.wait_idle() == []


@on("instant", Behaviour("answer", after=60), Behaviour("answer", after=60))
def test_whoever_picks_up_too_late_is_never_told_to_be_busy(scene: Scene, asterisk: Asterisk) -> None:
    """Two phones of one round that are picked up in the same instant: of the slower one only ringing is told."""
    both, n = 0, 0
    while both < 4:
        assert n < 12, f"of {n} times somebody was too late {both} times"
        skip = len(scene.router.log())
        with Caller(asterisk, did("instant"), f"7916600000{n}") as caller:
            caller.call()
            for phone in (scene.operators_phone, scene.managers_phone):
                phone.wait_for("180", count=n + 1)
            for employee in (scene.operator, scene.manager):
                scene.router.wait("line", skip=skip, employee=employee, line="ringing")
            with scene.operators_phone.asleep(), scene.managers_phone.asleep():
                scene.operators_phone.act()
                scene.managers_phone.act()
            winner = scene.router.wait("event", skip=skip, event_type="answered")["event_endpoint"]
            won = winner.removeprefix("PJSIP/")
            lost = scene.manager if won == scene.operator else scene.operator
            loser = scene.managers_phone if won == scene.operator else scene.operators_phone
            invite = loser.rung()[n]
            n += 1
            scene.router.wait("line", skip=skip, employee=won, line="busy")
            scene.router.wait("line", skip=skip, employee=lost, line="idle")
            both += any(e.name == "200" and e.of == "INVITE" and e.call_id == invite.call_id for e in loser.events)
            caller.hang_up()
            caller.wait_end()
        scene.router.wait("call ended", skip=skip)
        scene.router.wait("line", skip=skip, employee=won, line="idle")
        told = [
            line["line"] for line in scene.router.log()[skip:] if line["event"] == "line" and line["employee"] == lost
        ]
        assert "busy" not in told, told
        assert asterisk.wait_idle() == []


@on("killed", ANSWERS)
def test_the_router_is_killed_in_a_consultation_and_another_goes_on(scene: Scene) -> None:
    scene.begin()
    scene.consult()
    talk(scene.operators_phone.line, scene.managers_phone.line)
    scene.router.kill()
    died = time.time()
    talk(scene.operators_phone.line, scene.managers_phone.line)
    hears(scene.client.line, MUSIC_HZ, died)
    skip = len(scene.router.log())
    scene.router.start()
    scene.router.wait("conversation resumed", skip=skip, call=scene.call, stage="private")
    scene.does("swap")
    talk(scene.client.line, scene.operators_phone.line)
    scene.does("swap")
    talk(scene.managers_phone.line, scene.operators_phone.line)
    scene.operators_phone.hang_up()
    scene.passed("passed")
    scene.router.wait("turn", skip=skip, call=scene.call, action="talk", sequence=2)
    talk(scene.client.line, scene.managers_phone.line)
    for party in (scene.operators_phone, scene.managers_phone):
        assert len(party.rung()) == 1
    assert scene.ends()["disposition"] == "answered"


# --- the company, and what is heard


def did(place: str) -> str:
    """The number of a test."""
    return f"+7495222{PLACES.index(place):04}"


def first_rung(place: str) -> list[str]:
    """Whom the hunt rings."""
    return [f"{place}-operator", *([f"{place}-manager"] if place == "instant" else [])]


def seen(router: RouterProcess) -> int:
    """How much of the log is older than the last news of a call back."""
    lines = router.log()
    return max(n for n, line in enumerate(lines) if line.get("kind") == "called_back" and line["state"] == "talking")


def write_company(folder: Path) -> Path:
    """A company with a scheme for each test: ring its operator."""
    sound.tone(folder / "speak.wav", hertz=300, seconds=0.3)
    people = [f"{place}-{role}" for place in PLACES for role in ("operator", "manager")]
    nodes = {
        "message": {"kind": "voicemail", "prompt": "speak", "seconds": 60, "exits": {"done": "bye"}},
        "bye": {"kind": "hangup"},
    }
    company = {
        "company": {"name": "Orders", "timezone": "Europe/Moscow", "country": "RU", "language": "en"},
        "departments": {"house": {"name": "House"}},
        "employees": {who: {"name": who, "department": "house", "endpoint": f"PJSIP/{who}"} for who in people},
        "prompts": {"speak": {"file": "speak.wav"}},
        "numbers": {did(place): {"scheme": place} for place in PLACES},
        "schemes": {
            place: {
                "start": "ring",
                "responsible": "house",
                "nodes": {
                    "ring": {
                        "kind": "ring",
                        "seconds": 20,
                        "ring": [{"employee": who} for who in first_rung(place)],
                        "exits": {"no_answer": "message"},
                    },
                    **nodes,
                },
            }
            for place in PLACES
        },
    }
    document = folder / "company.yaml"
    document.write_text(json.dumps(company, indent=1), encoding="utf-8")
    return document

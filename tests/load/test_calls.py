"""Real calls under load: SIPp rings a real Asterisk, whose router is a process of its own."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from kommutator.company.reader import load
from kommutator.errors import BadTarget, TargetUnreachable
from kommutator.load.measure import Meter
from kommutator.load.outcome import PICKED_UP
from kommutator.load.reference import Reference
from kommutator.load.target import Ask, Options, Target, Told
from kommutator.load.targets import make
from kommutator.load.targets.calls_scenario import Sign, Signs, begin
from tests.telephony import sound
from tests.telephony.asterisk import CALLER_ADDRESS, Asterisk
from tests.telephony.dialogs import Behaviour
from tests.telephony.router import RouterProcess
from tests.telephony.sipp import Mobiles

from .servers import PATIENCE_S, ask_all, asks

_COMPANY = Path(__file__).with_name("calls.yaml")
RINGS, SPEAKS, BUSY = "+74957770001", "+74957770002", "+74957770003"
_MOBILE = "+79266000001"
_WHOLE = "+79167770001"
"""Who makes whole calls, and no others."""


@dataclass
class House:
    """An Asterisk, its router, a mobile that answers, and the address of it all as a target."""

    asterisk: Asterisk
    router: RouterProcess
    company: Path
    address: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all tests; the last of them kills the router."""
    folder = tmp_path_factory.mktemp("calls")
    sound.tone(folder / "leave.wav", hertz=300, seconds=1)
    company = folder / "company.yaml"
    company.write_text(_COMPANY.read_text(encoding="utf-8"), encoding="utf-8")
    with ExitStack() as running:
        asterisk = running.enter_context(Asterisk())
        router = running.enter_context(RouterProcess.of_command(asterisk, company, folder / "data"))
        running.enter_context(Mobiles(asterisk, {_MOBILE: [Behaviour("answer", 0.2)]}))
        sipp = folder / "sipp"
        sipp.write_text(f'#!/bin/sh\nexec {shlex.join(asterisk.tree.command("usr/bin/sipp"))} "$@"\n')
        sipp.chmod(0o755)
        address = f"asterisk:{asterisk.sip_address}?from={CALLER_ADDRESS}&sipp={sipp}&talks=0.5&patience=20"
        yield House(asterisk, router, company, address)


def led(house: House, options: Options, calls: list[Ask], right: Path) -> tuple[list[Told], set[str | None]]:
    """What was told, and what is wrong with it by the document `right`."""
    reference = Reference(load(right))
    wrong: set[str | None] = set()

    def compare(target: Target, told: list[Told]) -> None:
        wrong.update(target.compare(reference.expect(ask), each) for ask, each in zip(calls, told, strict=True))

    return ask_all(house.address, options, calls, compare), wrong


@pytest.mark.telephony
def test_first_signs_are_right_and_another_companys_wrong(house: House) -> None:
    other = house.company.with_name("other.yaml")
    text = _COMPANY.read_text(encoding="utf-8")
    other.write_text(text.replace(f'"{SPEAKS}": {{scheme: box}}', f'"{SPEAKS}": {{scheme: busy}}'), encoding="utf-8")
    told, wrong = led(
        house, Options(company=str(house.company)), asks([RINGS, SPEAKS, BUSY] * 8, "right"), house.company
    )
    assert [each.error for each in told] == [None] * 24
    assert wrong == {None}
    assert [each.actions[0]["type"] for each in told[:3]] == ["ring", "answered", "hang_up"]
    assert all(0 < each.sent_at < each.first_at for each in told)
    told, wrong = led(house, Options(company=str(other)), asks([SPEAKS], "wrong"), other)
    assert [each.error for each in told] == [None]
    assert wrong == {"answered, expected hang_up {'cause': 'busy'}"}
    assert house.asterisk.wait_idle() == [], "whoever had his first sign has hung up"


@pytest.mark.telephony
def test_a_call_that_is_refused_by_a_cause_is_refused_by_no_other(house: House) -> None:
    told = ask_all(house.address, Options(), asks([BUSY] * 60, "busy"))
    assert [each.error for each in told] == [None] * 60
    assert [each.actions[0] for each in told] == [{"type": "hang_up", "cause": "busy"}] * 60


@pytest.mark.telephony
def test_whole_calls_are_led_to_their_end(house: House) -> None:
    calls = asks([RINGS, SPEAKS, BUSY], "whole", caller=_WHOLE)
    told, wrong = led(house, Options(whole=True), calls, house.company)
    assert [each.error for each in told] == [None] * 3
    assert wrong == {None}
    assert [[action["type"] for action in each.actions] for each in told] == [
        ["ring", "answered", "end"],
        ["answered", "end"],
        ["hang_up", "end"],
    ]
    assert [each.outcome for each in told] == [PICKED_UP, PICKED_UP, "refused: busy"]
    assert told[0].steps_s[0] >= 0.2, "the mobile rings for so long before it is answered"
    deadline = time.monotonic() + PATIENCE_S
    while len(lines := [line for line in house.router.ledger() if line["caller"] == _WHOLE]) < 3:
        assert time.monotonic() < deadline, house.router.tail()
        time.sleep(0.02)
    assert {line["did"]: line["disposition"] for line in lines} == {
        RINGS: "answered",
        SPEAKS: "abandoned",
        BUSY: "unavailable",
    }


@pytest.mark.telephony
def test_the_router_that_is_connected_is_measured_with_the_pbx(house: House) -> None:
    meter = Meter(make(house.address, Options()).servers())
    usage = meter.read()
    assert usage is not None
    programs = [program.rpartition(" ")[0] for program in usage.programs]
    assert (len(programs), programs.count("kommutator route")) == (2, 1), usage.programs


@pytest.mark.telephony
def test_without_sipp_it_is_said_how_to_get_it(house: House) -> None:
    address = house.address.replace("sipp=", "sipp=/nowhere")
    with pytest.RaisesGroup(pytest.RaisesExc(TargetUnreachable, match="apt install sip-tester")):
        ask_all(address, Options(), [])


@pytest.mark.telephony
def test_calls_to_a_dead_pbx_are_never_answered(house: House) -> None:
    async def main() -> None:
        target = make(house.address, Options())
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                await target.open(nursery)
                first, second = asks([BUSY, BUSY], "dead")
                assert (await target.ask(first)).error is None
                house.asterisk.close(keep=True)
                with trio.move_on_after(2) as waiting:
                    told = await target.ask(second)
                    assert told.error is not None
                assert waiting.cancelled_caught or told.error == "closed"
                await target.close()
                nursery.cancel_scope.cancel()

    trio.run(main)


def test_signs_are_read_however_they_are_split() -> None:
    said = b"Call-ID: a@load\r\nX-Status: 180\r\n\r\n\x1bCall-ID: b@load\r\nX-Status: 486\r\nX-Cause: 17\r\n\r\n\x1bnonsense\x1b"
    signs = Signs()
    found = [sign for byte in said for sign in signs.feed(bytes([byte]))]
    assert found == [Sign("a@load", 180), Sign("b@load", 486, 17)]


def test_a_command_has_no_line_but_its_own() -> None:
    command = begin("a@load", "8 (495) 777\r\nX-Caller: 1", None)
    assert command == b"Call-ID: a@load\r\nX-Did: 8495777XCaller1\r\nX-Caller: anonymous\r\n\r\n\x1b"


@pytest.mark.parametrize("address", ["asterisk:", "asterisk:h:x", "asterisk:h?talks=-1", "asterisk:h?other=1"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(BadTarget):
        make(address, Options())

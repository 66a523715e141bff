"""FastAGI under load: a real router that is asked by a side of Asterisk, to the first action and to the end of calls."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kommutator.company.reader import load
from kommutator.errors import BadTarget, TargetUnreachable
from kommutator.load.people import Chances
from kommutator.load.reference import Reference
from kommutator.load.target import Options, Target, Told
from kommutator.load.targets import make
from kommutator.load.targets.agi_channel import Channel, Doing, Lines, Over
from tests.telephony import sound

from .servers import PATIENCE_S, Process, ask_all, asks, free_port, killed_meanwhile

_GIVEN = Path(__file__).parents[1] / "agi" / "company.yaml"
RING, BOX, MENU, NOBODY = "+74957770001", "+74957770002", "+74967770001", "+74950000000"


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The company, with its prompts."""
    folder = tmp_path_factory.mktemp("company")
    for hertz, name in ((300, "menu"), (400, "leave")):
        sound.tone(folder / f"{name}.wav", hertz=hertz, seconds=1)
    document = folder / "company.yaml"
    document.write_text(_GIVEN.read_text(encoding="utf-8"), encoding="utf-8")
    return document


@contextmanager
def router(company: Path, folder: Path) -> Iterator[tuple[Process, str, Path]]:
    """A router, where it listens, and its data folder."""
    address = f"127.0.0.1:{free_port()}"
    data = folder / "data"
    arguments = ["-m", "tests.agi.router_main", str(company), address, str(folder / "messages"), str(data), "true"]
    with Process(folder, "router", *arguments) as process:
        process.wait_for(lambda log: "pbx may connect" in log)
        yield process, f"agi://{address}", data


def led(
    address: str, options: Options, dids: Sequence[str], run: str, right: Path, first: int = 0
) -> tuple[list[Told], set[str | None]]:
    """What was told, and what is wrong with it by the document `right`."""
    reference, calls = Reference(load(right)), asks(dids, run, first)
    wrong: set[str | None] = set()

    def compare(target: Target, told: list[Told]) -> None:
        wrong.update(
            target.compare(reference.expect(ask), each)
            for ask, each in zip(calls, told, strict=True)
            if each.error is None
        )

    return ask_all(address, options, calls, compare), wrong


def ledger(data: Path) -> list[dict[str, Any]]:
    """The ledger's lines so far."""
    return [json.loads(line) for line in (data / "ledger.jsonl").read_text().splitlines()]


@pytest.mark.services
@pytest.mark.parametrize("script", ["call", "decide"])
def test_first_actions_are_right_and_another_companys_wrong(company: Path, tmp_path: Path, script: str) -> None:
    other = company.with_name("other.yaml")
    text = _GIVEN.read_text(encoding="utf-8")
    other.write_text(text.replace(f'"{BOX}": {{scheme: box}}', f'"{BOX}": {{scheme: menu}}'), encoding="utf-8")
    with router(company, tmp_path) as (process, address, _):
        options = Options(company=str(company))
        told, wrong = led(f"{address}/{script}", options, [RING, BOX, MENU, NOBODY] * 10, "right", company)
        assert {each.error for each in told} == {None}
        assert wrong == {None}
        assert {each.actions[0]["type"] for each in told[1::4]} == {"record"}
        assert {each.actions[0]["type"] for each in told[2::4]} == {"menu"}
        assert {each.actions[0].get("cause") for each in told[3::4]} == {"unallocated"}
        assert all(0 < each.sent_at < each.first_at for each in told)
        told, wrong = led(f"{address}/{script}", Options(company=str(other)), [BOX] * 3, "wrong", other)
        assert {each.error for each in told} == {None}
        assert len(wrong) == 1
        assert "expected menu" in str(wrong)
        process.kill()
        with pytest.RaisesGroup(TargetUnreachable):
            ask_all(f"{address}/{script}", options, [])


@pytest.mark.services
def test_whole_calls_end_as_the_engine_says_and_so_says_the_ledger(company: Path, tmp_path: Path) -> None:
    with router(company, tmp_path) as (process, address, data):
        options = Options(company=str(company), whole=True, chances=Chances(answers=0.8, no_answer=0.1, hangs_up=0.1))
        # One after the other: a caller who waits for somebody to come free waits as long as the scheme says.
        told, wrong = [], set()
        for place in range(12):
            some, found = led(f"{address}/call", options, [(RING, BOX, MENU)[place % 3]], "whole", company, place)
            told += some
            wrong |= found
        assert {each.error for each in told} == {None}, process.log
        assert wrong == {None}
        assert {each.actions[-1]["type"] for each in told} == {"end"}
        assert all(len(each.actions) == len(each.events) + 1 for each in told)
        deadline = time.monotonic() + PATIENCE_S
        while len(ends := {line["call_id"]: line["disposition"] for line in ledger(data)}) < len(told):
            assert time.monotonic() < deadline, ends
            time.sleep(0.02)
        for place, each in enumerate(told):
            talked = any(event["type"] == "answered" for event in each.events)
            assert (ends[f"whole-{place}"] == "answered") is talked
            spoke = any(event["type"] == "recorded" and event["seconds"] >= 1 for event in each.events)
            assert (ends[f"whole-{place}"] == "voicemail") is spoke


@pytest.mark.services
def test_calls_whose_router_dies_are_errors_by_their_kind(company: Path, tmp_path: Path) -> None:
    with router(company, tmp_path) as (process, address, _):
        report = killed_meanwhile(f"{address}/call", [BOX], process.kill)
    assert report.answered >= 20
    assert report.errors["refused"] > 0
    assert report.errors.keys() <= {"refused", "closed", "reset"}
    assert report.answered + sum(report.errors.values()) == report.calls


def test_what_a_router_asks_and_sets_is_answered_as_asterisk_does() -> None:
    caller = Channel("call-1", {})
    phone = Channel("call-1.leg", {"DIALEDPEERNUMBER": "101"}, caller)
    assert caller.take('SET VARIABLE "KOMMUTATOR_STATE" "s\\\\1\\"2"') == "200 result=1"
    assert (caller.turns, caller.variables["KOMMUTATOR_STATE"]) == (1, 's\\1"2')
    assert phone.take('SET VARIABLE "MASTER_CHANNEL(KOMMUTATOR_STATE)" "next"') == "200 result=1"
    assert caller.turns == 2
    assert phone.take('GET FULL VARIABLE "${DIALEDPEERNUMBER}|${CHANNEL(linkedid)}"') == "200 result=1 (101|call-1)"
    caller.dialled("BUSY", causes={"PJSIP/101-00000000": "SIP 486 Busy Here"})
    asked = 'GET FULL VARIABLE "${DIALSTATUS}|${HANGUPCAUSE_KEYS()}|${HANGUPCAUSE(PJSIP/101-00000000,tech)}|${NONE}"'
    assert caller.take(asked) == "200 result=1 (BUSY|PJSIP/101-00000000|SIP 486 Busy Here|)"
    assert caller.take('EXEC "Dial" "PJSIP/101&PJSIP/+7916@trunk,25.000,gU(leg^call-1)m"') == Doing(
        "ring", phones=("PJSIP/101", "PJSIP/+7916@trunk"), seconds=25.0
    )
    assert caller.take('STREAM FILE "/a b/hello" ""') == Doing("play", "/a b/hello")
    assert caller.take('EXEC "Hangup" "17"') == Doing("hang_up", cause="busy")
    assert isinstance(caller.take('SET VARIABLE "KOMMUTATOR_OVER" "1"'), Over)
    assert caller.take("SAY HELLO") == "510 Invalid or unknown command"
    lines = Lines()
    assert [line for byte in b"NOOP\nNO" for line in lines.feed(bytes([byte]))] == ["NOOP"]


@pytest.mark.parametrize(
    "address", ["agi://", "agi://host/other", "agi://host:x/call", "agi://host/call?rings=-1", "agi:x"]
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(BadTarget):
        make(address, Options())

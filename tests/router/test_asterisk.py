"""The router of the house at a real Asterisk: a version is swapped in under a call that still hears its own prompts."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from kommutator.exchange.nats.recordings import DeskRecordings
from tests.telephony.asterisk import Asterisk
from tests.telephony.dialogs import Behaviour
from tests.telephony.sipp import Caller, Phone
from tests.telephony.sound import murmur, tone

from .house import House

pytestmark = [pytest.mark.trio, pytest.mark.telephony]
MENU, PEOPLE = "+74950000001", "+74950000002"
COMPANY = """
company: {name: Проба, timezone: Europe/Moscow, country: RU, language: ru}
employees:
  anna: {name: Анна Смирнова, department: sales, endpoint: PJSIP/101}
departments: {sales: {name: Отдел продаж}}
prompts: {greeting: {file: greeting.wav}, menu: {file: menu.wav}}
numbers: {"+74950000001": {scheme: menu}, "+74950000002": {scheme: people}}
schemes:
  menu:
    start: hello
    responsible: sales
    nodes:
      hello: {kind: play, prompt: greeting, exits: {done: mailbox}}
      mailbox: {kind: voicemail, prompt: menu, seconds: 20, exits: {done: bye}}
      bye: {kind: hangup}
  people:
    start: team
    responsible: sales
    nodes:
      team: {kind: ring, ring: [{department: sales}], seconds: 20, exits: {no_answer: mailbox}}
      mailbox: {kind: voicemail, prompt: menu, seconds: 20, exits: {done: bye}}
      bye: {kind: hangup}
"""


async def test_a_call_hears_the_prompts_of_its_version_and_new_phones_are_watched(
    build: Callable[..., House], asterisk: Asterisk, tmp_path: Path
) -> None:
    house = build("office", asterisk=asterisk)
    router = house.routers["office"]
    house.nats.start()
    router.start()
    tone(tmp_path / "greeting.wav", hertz=300, seconds=4)
    tone(tmp_path / "menu.wav", hertz=400, seconds=1)
    kept: dict[str, bytes] = {}
    async with house.desk() as desk:

        async def take(name: str) -> None:
            kept[name] = await recordings.get(name) or b""
            await recordings.done(name)

        recordings = DeskRecordings(desk.desk.exchange, take)
        await desk.start()
        await desk.activate(house.version("v1", COMPANY))
        await router.ready()
        with (
            Phone(asterisk, "102", Behaviour("answer", after=0.2, talks=0.5)) as phone,
            Caller(asterisk, MENU, "89161230001") as caller,
        ):
            caller.call()
            caller.wait_for("200", of="INVITE")
            tone(tmp_path / "menu.wav", hertz=600, seconds=1)
            second = COMPANY.replace("anna: {name: Анна Смирнова", "boris: {name: Борис Орлов").replace("101", "102")
            await desk.activate(house.version("v2", second))
            await router.says("ready", version="v2")
            await router.says("line", employee="boris", line="idle")
            assert len(router.said("pbx connected")) == 1

            with Caller(asterisk, PEOPLE, "89161230002") as other:
                other.call()
                phone.wait_for("INVITE")
                other.wait_end()
            await router.says("turn", action="record")
            caller.speak(murmur(4))  # from before the beep until after it
            await router.says("call ended", disposition="voicemail")
            caller.wait_end()
        line = next(line for line in router.ledger().values() if line["disposition"] == "voicemail")
        message = next(effect for effect in line["effects"] if effect["type"] == "voicemail")
        await router.until(lambda: message["recording"] in kept)
        assert kept[message["recording"]].startswith(b"RIFF")
    played = re.findall(rf"Playing '({re.escape(str(tmp_path))}[^']*)'", asterisk.log.read_text())
    assert len(set(played)) == 2, "the message of the first version was asked for in its own words"
    assert sorted(line["disposition"] for line in router.ledger().values()) == ["answered", "voicemail"]

    # With nothing but its shelf and Asterisk it routes on.
    assert router.end() == -9
    await trio.to_thread.run_sync(house.nats.kill)
    router.start()
    await router.ready()
    with (
        Phone(asterisk, "102", Behaviour("answer", after=0.2, talks=0.5)),
        Caller(asterisk, PEOPLE, "89161230003") as caller,
    ):
        await router.says("line", employee="boris", line="idle")
        caller.call()
        caller.wait_end()
    until = time.monotonic() + 10
    while len(router.ledger()) < 3 and time.monotonic() < until:
        await trio.sleep(0.05)
    assert [line["disposition"] for line in router.ledger().values()].count("answered") == 2

"""Each part of the stack killed with SIGKILL in turn, under calls of SIP phones through a real Asterisk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import pytest
import trio

from tests.drills.reckoning import agree, effects_once, settled
from tests.drills.stack import Stack
from tests.telephony.asterisk import Asterisk
from tests.telephony.dialogs import Behaviour
from tests.telephony.sipp import Caller, Mobiles
from tests.telephony.sound import murmur, tone

pytestmark = [pytest.mark.trio, pytest.mark.telephony]

TALKING, RINGING = 3, 3
PARTS = ("route-office", "desk", "nats", "postgres")
SPEECH_S = 5.0
SECOND_BYTES = 16_000
"""Of a recording: 8 kHz, 16 bit."""
TALK, RING, MESSAGE = "+74950000001", "+74950000002", "+74950000003"
MOBILES = {f"+7926600{number:04}": number < TALKING for number in range(TALKING + RINGING)}
"""Those that answer, and those that only ring."""
TEAMS = {True: "answering", False: "silent"}


def scheme(name: str, start: str, people: str) -> str:
    """A scheme that rings these people one by one, and leaves a message where it does not."""
    return f"""
  {name}:
    start: {start}
    responsible: sales
    nodes:
      card: {{kind: sms, to: caller, template: card, exits: {{done: team}}}}
      team: {{kind: ring, ring: [{people}], strategy: random, seconds: 100, exits: {{no_answer: mailbox}}}}
      mailbox: {{kind: voicemail, prompt: beep, seconds: 60, email: [office@example.test], exits: {{done: bye}}}}
      bye: {{kind: hangup}}"""


def company() -> str:
    """Everybody has a mobile; the answering ones serve one number, the silent ones another."""
    ids = {mobile: f"m{place}" for place, mobile in enumerate(MOBILES)}
    cards = "\n".join(f'  {ids[each]}: {{name: "{each}", department: sales, mobile: "{each}"}}' for each in MOBILES)
    people = {
        answers: ", ".join(f"{{mobile: {ids[each]}}}" for each, does in MOBILES.items() if does is answers)
        for answers in TEAMS
    }
    return f"""
company: {{name: Учения, timezone: Europe/Moscow, country: RU, language: ru}}
employees:
{cards}
departments: {{sales: {{name: Отдел продаж}}}}
prompts: {{beep: {{file: beep.wav}}}}
templates: {{card: {{text: "{{company}}: {{caller}}"}}}}
numbers: {{"{TALK}": {{scheme: talk}}, "{RING}": {{scheme: ring}}, "{MESSAGE}": {{scheme: message}}}}
schemes:{scheme("talk", "card", people[True])}{scheme("ring", "card", people[False])}
  message:
    start: mailbox
    responsible: sales
    nodes:
      mailbox: {{kind: voicemail, prompt: beep, seconds: 60, email: [office@example.test], exits: {{done: bye}}}}
      bye: {{kind: hangup}}
"""


@pytest.fixture
def asterisk() -> Iterator[Asterisk]:
    with Asterisk() as running:
        yield running


async def test_each_part_killed_in_turn_loses_no_sip_call_and_doubles_nothing(
    build: Callable[..., Stack], asterisk: Asterisk
) -> None:
    stack = build("office", asterisk=asterisk)
    stack.start()
    await stack.says(process="desk", state="ready")
    tone(stack.folder / "beep.wav", hertz=400, seconds=0.5)
    await stack.activate(company())
    await stack.ready()
    numbers = (f"+7916{4_003_001 + 2 * number}" for number in count())
    plans = {
        mobile: [Behaviour("answer", after=0.3) if answers else Behaviour()] for mobile, answers in MOBILES.items()
    }
    with ExitStack() as parties:
        parties.enter_context(Mobiles(asterisk, plans))

        async def calls(did: str, until: str) -> tuple[Caller, str]:
            """A caller who has come so far; and his call's id."""
            caller = parties.enter_context(Caller(asterisk, did, next(numbers)))
            caller.call()
            call_id = str((await stack.says(event="call began", caller=caller.number))["call"])
            await stack.says(event="turn", call=call_id, action=until)
            return caller, call_id

        talking = [await calls(TALK, "talk") for _ in range(TALKING)]
        ringing = [await calls(RING, "ring") for _ in range(RINGING)]
        messages = []
        for part in PARTS:
            caller, call_id = await calls(MESSAGE, "record")
            messages.append(call_id)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.to_thread.run_sync, caller.speak, murmur(SPEECH_S))
                await stack.killed(part)
            # A router may have been killed before its recording had begun: then it begins when there is one again.
            while not any(
                message.stat().st_size > 2 * SECOND_BYTES for message in asterisk.recordings.glob(f"kt-{call_id}*")
            ):
                await trio.to_thread.run_sync(caller.speak, murmur(1.0))
            caller.press("#")
            await stack.until(lambda call_id=call_id: call_id in stack.ledger("office"), f"the message of {call_id}")
        for caller, call_id in (*talking, *ringing):
            assert caller.running, f"{call_id} has not lived through it"
            assert call_id not in stack.ledger("office")
            caller.hang_up()
        await settled(stack, "office", TALKING + RINGING + len(PARTS))
        assert asterisk.wait_idle() == []

    records = [record for record in asterisk.cdr() if record["dcontext"] == "kommutator"]
    lines = await agree(stack, "office", {record["uniqueid"] for record in records})
    ends = {call_id: line["disposition"] for call_id, line in lines.items()}
    assert {ends[call_id] for _, call_id in talking} == {"answered"}
    assert {ends[call_id] for _, call_id in ringing} == {"abandoned"}
    assert {ends[call_id] for call_id in messages} == {"voicemail"}
    assert Counter(ends.values()) == {"answered": TALKING, "abandoned": RINGING, "voicemail": len(PARTS)}
    for line in lines.values():
        talked = any(record["dstchannel"] for record in records if record["uniqueid"] == line["call_id"])
        assert talked == (line["disposition"] == "answered"), line
    await effects_once(stack, lines)
    assert stack.stop() == 0

"""Each part of the stack killed with SIGKILL in turn, while fifty callers are on the line of a simulated PBX."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import trio

from kommutator.pbx.simulated.behaviour import CallerAct, PhoneAct
from kommutator.pbx.simulated.codec import Place
from tests.drills.reckoning import agree, effects_once, settled
from tests.drills.stack import Stack
from tests.drills.watching import Callers, Watched

pytestmark = [pytest.mark.trio, pytest.mark.services]

AT_LEAST = 50
PEOPLE = 30
COMPANY = f"""
company: {{name: Учения, timezone: Europe/Moscow, country: RU, language: ru}}
employees:
{
    "".join(
        f'''  e{number}: {{name: Сотрудник {number}, department: sales, endpoint: PJSIP/{200 + number}}}
'''
        for number in range(PEOPLE)
    )
}
departments: {{sales: {{name: Отдел продаж}}}}
prompts:
  leave-message: {{say: "Оставьте сообщение.", seconds: 0.5}}
  long: {{say: "Очень длинное приветствие.", seconds: 12}}
  menu: {{say: "Один.", seconds: 2}}
templates: {{card: {{text: "{{company}}: {{caller}}"}}}}
numbers:
  "+74951110001": {{scheme: talk}}
  "+74951110002": {{scheme: message}}
  "+74951110003": {{scheme: impatient}}
  "+74951110004": {{scheme: choice}}
schemes:
  talk:
    start: card
    responsible: sales
    nodes:
      card: {{kind: sms, to: caller, template: card, exits: {{done: team}}}}
      team: {{kind: ring, ring: [{{department: sales}}], strategy: random, seconds: 4, exits: {{no_answer: mailbox}}}}
      mailbox: {{kind: voicemail, prompt: leave-message, seconds: 20, email: [office@example.test], exits: {{done: bye}}}}
      bye: {{kind: hangup}}
  message:
    start: mailbox
    responsible: sales
    nodes:
      mailbox: {{kind: voicemail, prompt: leave-message, seconds: 20, email: [office@example.test], exits: {{done: bye}}}}
      bye: {{kind: hangup}}
  impatient:
    start: hello
    responsible: sales
    nodes:
      hello: {{kind: play, prompt: long, exits: {{done: mailbox}}}}
      mailbox: {{kind: voicemail, prompt: leave-message, seconds: 20, email: [office@example.test], exits: {{done: bye}}}}
      bye: {{kind: hangup}}
  choice:
    start: choose
    responsible: sales
    nodes:
      choose: {{kind: menu, prompt: menu, options: {{"1": team}}, exits: {{team: card, no_input: card, invalid: card}}}}
      card: {{kind: sms, to: caller, template: card, exits: {{done: team}}}}
      team: {{kind: ring, ring: [{{department: sales}}], strategy: longest_idle, seconds: 4, exits: {{no_answer: mailbox}}}}
      mailbox: {{kind: voicemail, prompt: leave-message, seconds: 20, email: [office@example.test], exits: {{done: bye}}}}
      bye: {{kind: hangup}}
"""
SPEAKS = CallerAct("record", speak=6, end="hash")


def caller(number: int) -> Place:
    """Four ways for a call to go, in turn; every caller has a number of his own."""
    did, acts = [
        ("+74951110001", (SPEAKS,)),
        ("+74951110002", (SPEAKS,)),
        ("+74951110003", (CallerAct("play", hang_up_after=7),)),
        ("+74951110004", (CallerAct("menu", press="1"), SPEAKS)),
    ][number % 4]
    return Place(did, f"+7916{4_001_001 + 2 * number}", f"call-{number}", acts)


async def test_each_part_killed_in_turn_loses_no_call_and_doubles_nothing(build: Callable[..., Stack]) -> None:
    stack = build("office")
    stack.start()
    await stack.says(process="desk", state="ready")
    await stack.activate(COMPANY)
    await stack.ready()
    async with stack.hand("office") as hand, trio.open_nursery() as nursery:
        for number in range(PEOPLE):
            await hand.behave(f"PJSIP/{200 + number}", [PhoneAct("answer", 0.5, 6.0)])
        watched = Watched(hand)
        await watched.begin(nursery)
        callers = Callers(watched, AT_LEAST + 8, caller)
        nursery.start_soon(callers.run)

        async def well_under_way(more_than: int) -> None:
            await stack.until(
                lambda: len(stack.ledger("office")) > more_than and len(watched.going_on()) >= AT_LEAST, "calls go on"
            )

        for part in ("route-office", "desk", "nats", "postgres"):
            await well_under_way(len(stack.ledger("office")) + 10)
            await stack.killed(part)
        await well_under_way(len(stack.ledger("office")) + 10)
        callers.stop()
        await stack.until(lambda: not watched.going_on(), "every caller has gone")
        await settled(stack, "office", len(watched.calls()))
        nursery.cancel_scope.cancel()

    lines = await agree(stack, "office", watched.calls())
    for call_id, line in lines.items():
        assert (line["disposition"] == "answered") == watched.saw(call_id, "answered"), line
        assert (line["disposition"] == "voicemail") == watched.saw(call_id, "recorded"), line
    ends = Counter(line["disposition"] for line in lines.values())
    assert set(ends) == {"answered", "voicemail", "abandoned"}, ends
    await effects_once(stack, lines)
    assert stack.stop() == 0

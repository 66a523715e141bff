"""Two routers at two PBXs share one group, while the exchange between them is well, frozen, and dead."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable

import pytest
import trio

from kommutator.pbx.simulated.behaviour import CallerAct, PhoneAct
from kommutator.pbx.simulated.codec import Place
from tests.drills.reckoning import agree, effects_once, settled
from tests.drills.stack import Line, Stack
from tests.drills.watching import Leg, Watched, overlapping

pytestmark = [pytest.mark.trio, pytest.mark.services]

PHONES = {"PJSIP/101": "west", "PJSIP/102": "east", "PJSIP/103": "west"}
COMPANY = """
company: {name: Два дома, timezone: Europe/Moscow, country: RU, language: ru}
employees:
  anna:  {name: Анна Смирнова, department: sales, endpoint: PJSIP/101, pbx: west}
  boris: {name: Борис Орлов, department: sales, endpoint: PJSIP/102, pbx: east}
  vera:  {name: Вера Павлова, department: sales, endpoint: PJSIP/103, pbx: west}
departments: {sales: {name: Отдел продаж}}
prompts: {leave-message: {say: "Оставьте сообщение.", seconds: 0.2}}
numbers: {default: {scheme: main}}
schemes:
  main:
    start: team
    responsible: sales
    nodes:
      team:    {kind: ring, ring: [{department: sales}], seconds: 2, exits: {no_answer: mailbox}}
      mailbox: {kind: voicemail, prompt: leave-message, seconds: 5, email: [office@example.test], exits: {done: bye}}
      bye:     {kind: hangup}
"""
MESSAGE = (CallerAct("record", speak=1.2, end="hash"),)
ACTS = [PhoneAct("answer", 0.2, 0.5), PhoneAct("decline", 0.2), PhoneAct("answer", 0.5, 0.3), PhoneAct("silent")] * 60


async def test_a_group_at_two_pbxs_is_never_rung_twice_whatever_becomes_of_the_exchange(
    build: Callable[..., Stack],
) -> None:
    stack = build("west", "east")
    stack.start()
    await stack.says(process="desk", state="ready")
    await stack.activate(COMPANY)
    await stack.ready()
    chance, placed = random.Random(7), 0
    async with stack.hand("west") as at_west, stack.hand("east") as at_east, trio.open_nursery() as nursery:
        watched = {"west": Watched(at_west), "east": Watched(at_east)}
        for each in watched.values():
            await each.begin(nursery)
            for phone in PHONES:
                await each.control.behave(phone, ACTS)

        async def callers(count: int) -> None:
            nonlocal placed
            for _ in range(count):
                pbx = chance.choice(list(watched))
                place = Place("+74951112233", f"+7916{4_005_001 + placed}", f"{pbx}-{placed}", MESSAGE)
                await watched[pbx].control.place(place)
                placed += 1
                await trio.sleep(chance.uniform(0.0, 0.5))  # callers come when they like

        async def all_gone() -> None:
            await stack.until(lambda: not any(each.going_on() for each in watched.values()), "every caller has gone")

        def foreign() -> list[Leg]:
            """Legs at phones of the other PBX."""
            return [leg for pbx, each in watched.items() for leg in each.legs() if PHONES[leg.endpoint] != pbx]

        async def across() -> None:
            """Callers come until a phone of the other PBX has been rung."""
            before = len(foreign())

            async def rung() -> bool:
                await callers(1)
                await all_gone()
                return len(foreign()) > before

            await stack.until(rung, "a phone of the other PBX is rung")

        await across()
        await callers(12)

        # Frozen: connections stand, and nobody answers. Calls go on, and what was asked arrives when it thaws.
        await callers(4)
        stack.signal("nats", signal.SIGSTOP)
        await callers(10)
        await all_gone()
        stack.signal("nats", signal.SIGCONT)
        await callers(8)
        await all_gone()

        # Dead, and there again.
        await callers(4)
        async with trio.open_nursery() as meanwhile:
            meanwhile.start_soon(stack.killed, "nats")
            await callers(12)
        await all_gone()

        await across()
        for pbx, each in watched.items():
            await settled(stack, pbx, len(each.calls()))
        refused = [await stack.figure(pbx, "kommutator_claims_refused_total") for pbx in watched]
        nursery.cancel_scope.cancel()

    assert overlapping(leg for each in watched.values() for leg in each.legs()) == []
    assert sum(refused) > 0, "the routers never wanted the same person"
    lines: dict[str, Line] = {}
    for pbx, each in watched.items():
        assert {call_id.partition("-")[0] for call_id in each.calls()} == {pbx}
        lines |= await agree(stack, pbx, each.calls())
    assert len(lines) == placed
    assert {line["disposition"] for line in lines.values()} == {"answered", "voicemail"}
    await effects_once(stack, lines)
    assert stack.stop() == 0

"""With the desk stopped, callers are known as before: whose they are, and whether they have called."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from kommutator.pbx.simulated.behaviour import PhoneAct
from kommutator.pbx.simulated.codec import Place
from tests.drills.stack import Stack

pytestmark = [pytest.mark.trio, pytest.mark.services]
OWNED, CALLED = "+74951112207", "+74951112203"
COMPANY = """
company: {name: Дом, timezone: Europe/Moscow, country: RU, language: ru}
employees:
  anna:  {name: Анна Смирнова, department: sales, endpoint: PJSIP/101}
  boris: {name: Борис Орлов, department: service, endpoint: PJSIP/102}
departments: {sales: {name: Отдел продаж}, service: {name: Служба ремонта}}
prompts: {leave-message: {say: "Оставьте сообщение.", seconds: 0.2}}
numbers: {"+74951112207": {scheme: owned}, "+74951112203": {scheme: called}}
schemes:
  owned:
    start: crm
    responsible: service
    nodes:
      crm:     {kind: owner, exits: {found: manager, unknown: others, unavailable: mailbox}}
      manager: {kind: ring, ring: [{owner: true}], seconds: 20, exits: {no_answer: mailbox}}
      others:  {kind: ring, ring: [{employee: boris}], seconds: 20, exits: {no_answer: mailbox}}
      mailbox: {kind: voicemail, prompt: leave-message, seconds: 5, exits: {done: bye}}
      bye:     {kind: hangup}
  called:
    start: past
    responsible: service
    nodes:
      past:    {kind: history, exits: {first: new, repeat: old}}
      new:     {kind: ring, ring: [{employee: anna}], seconds: 20, exits: {no_answer: mailbox}}
      old:     {kind: ring, ring: [{employee: boris}], seconds: 20, exits: {no_answer: mailbox}}
      mailbox: {kind: voicemail, prompt: leave-message, seconds: 5, exits: {done: bye}}
      bye:     {kind: hangup}
"""


async def test_owners_and_repeated_callers_are_known_while_no_desk_answers(
    build: Callable[..., Stack], tmp_path: Path
) -> None:
    stack = build("main")
    stack.start()
    await stack.says(process="desk", state="ready")
    await stack.activate(COMPANY)
    await stack.ready()
    file = tmp_path / "clients.csv"
    file.write_text("name,numbers,owner\nПётр,89161230099,anna\n", encoding="utf-8")
    await stack.command("clients", "import", file)
    async with stack.hand("main") as hand:
        for phone in ("PJSIP/101", "PJSIP/102"):
            await hand.behave(phone, [PhoneAct("answer", 0.1, 0.2)] * 20)

        async def who(call_id: str, did: str, caller: str) -> str | None:
            """Who answers."""
            await hand.place(Place(did, caller, call_id))
            await stack.until(lambda: call_id in stack.ledger("main"), f"{call_id} is over")
            return str(stack.ledger("main")[call_id]["legs"][-1]["employee"])

        async def known() -> bool:
            return await stack.figure("main", "kommutator_tables_in_use") == 1.0

        await stack.until(known, "the tables are in use")
        count = 0

        async def owned() -> bool:
            nonlocal count
            count += 1
            return await who(f"warm-{count}", OWNED, "+79161230099") == "anna"

        await stack.until(owned, "the import has reached the router")
        assert await who("first", CALLED, "+79161230077") == "anna"
        stack.signal("desk", signal.SIGSTOP)
        try:
            assert await who("owned", OWNED, "+79161230099") == "anna"
            assert await who("nobody's", OWNED, "+79161230098") == "boris"
            assert await who("again", CALLED, "+79161230077") == "boris"
            assert await who("new", CALLED, "+79161230076") == "anna"
            await stack.killed("route-main")
            assert await who("owned, a new router", OWNED, "+79161230099") == "anna"
            assert await who("again, a new router", CALLED, "+79161230076") == "boris"
        finally:
            stack.signal("desk", signal.SIGCONT)

"""Scenario No. 2 as pages see it: the call rings, is answered, a manager is asked, and has the client."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import pytest

from kommutator.app.desk import now
from kommutator.crm import clients, drafts
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.behaviour import PhoneAct
from tests.live.conftest import DID, Stack

pytestmark = [pytest.mark.anyio, pytest.mark.services]


async def test_a_call_rings_two_desks_and_stays_with_the_one_who_answers(stack: Stack) -> None:
    async with stack.database.transaction("test") as tx:
        draft = clients.Draft("person", "Иван Петров", "ООО «Насос»", ("+74959990011",), owner="boris")
        client = await clients.create(tx, draft, now())
    anna, olga = await stack.listening("anna"), await stack.listening("olga")
    call_id = await stack.calls("84959990011")
    for page in (anna, olga):
        card = await page.card("offered", call_id, known=True)
        assert (card["did"], card["did_name"], card["region"]) == (DID, "front", "Москва")
        assert (card["caller"], card["caller_national"]) == ("+74959990011", "8 (495) 999-00-11")
        assert [match["id"] for match in card["matches"]] == [client.id]
        assert card["owner"] == "boris"
    await stack.picks_up("anna")
    card = await anna.card("talking", call_id)
    assert card["answered_at"] >= card["offered_at"]
    assert await olga.hears("call_gone") == {"call_id": call_id, "why": "elsewhere", "by": "anna"}
    await stack.pbx(codec.HangUp(call_id))
    card = await anna.card("over", call_id)
    assert card["over_by"] == "client"


async def test_a_manager_is_asked_agrees_and_has_the_client_with_what_was_typed(stack: Stack) -> None:
    anna, boris = await stack.listening("anna"), await stack.listening("boris")
    call_id = await stack.calls()
    await anna.card("offered", call_id)
    done = await anna.order(call_id, "answer")
    assert (done["done"], done["card"]["state"]) == (True, "talking")
    await anna.card("talking", call_id)
    fields = {"topic": "Насосы", "phone": "+79161234567"}
    await anna.ask("PUT", "/api/drafts/wizard-1", {"call_id": call_id, "fields": fields, "revision": 3})

    assert (await anna.order(call_id, "consult", employee="boris"))["done"]
    assert (await anna.consults("ringing"))["state"] == "consulting"
    offered = await boris.card("offered", call_id)
    assert (offered["role"], offered["by"], offered["caller"]) == ("guest", "anna", "+79161234567")
    await stack.picks_up("boris")
    card = await anna.consults("agreed")
    assert (card["consultation"]["employee"], card["consultation"]["with"]) == ("boris", "manager")
    await boris.card("talking", call_id, role="guest")
    assert (await anna.order(call_id, "swap"))["done"]
    await anna.hears("call", lambda card: card["consultation"]["with"] == "client")

    assert (await anna.order(call_id, "complete"))["done"]
    assert await anna.hears("call_gone") == {"call_id": call_id, "why": "elsewhere", "by": "boris"}
    await anna.ask("DELETE", "/api/drafts/wizard-1", status=204)
    passed = await boris.hears("passed_to_me")
    assert (passed["call_id"], passed["card"]["state"], passed["card"]["by"]) == (call_id, "talking", "anna")
    assert passed["draft"]["fields"] == fields
    again = await boris.listen()
    assert [card["call_id"] for card in again["calls"]] == [call_id]
    assert (await boris.hears("passed_to_me"))["draft"]["fields"] == fields
    assert (await boris.order(call_id, "hang_up"))["done"]
    assert (await boris.card("over", call_id))["over_by"] == "us"


@pytest.mark.parametrize(("acts", "state"), [("declines", "declined"), ("busy", "busy")])
async def test_a_manager_who_does_not_take_the_client_leaves_him_with_the_operator(
    stack: Stack, acts: str, state: str
) -> None:
    anna, boris = await stack.listening("anna"), await stack.listening("boris")
    call_id = await stack.calls()
    await stack.picks_up("anna")
    await anna.card("talking", call_id)
    if acts == "busy":
        await stack.pbx(codec.Behave("PJSIP/103", (PhoneAct("busy"),)))
    await anna.order(call_id, "consult", employee="boris")
    if acts == "declines":
        await boris.card("offered", call_id)
        await stack.declines("boris")
    card = await anna.consults(state)
    assert card["state"] == "talking"
    if acts == "declines":
        assert (await boris.hears("call_gone"))["by"] == "anna"


async def test_a_client_who_goes_during_the_consultation_is_told_to_everybody(stack: Stack) -> None:
    anna, boris = await stack.listening("anna"), await stack.listening("boris")
    call_id = await stack.calls()
    await stack.picks_up("anna")
    await anna.card("talking", call_id)
    await anna.order(call_id, "consult", employee="boris")
    await boris.card("offered", call_id)
    await stack.pbx(codec.HangUp(call_id))
    assert (await anna.card("over", call_id))["over_by"] == "client"
    gone = await boris.hears("call_gone")
    assert gone["call_id"] == call_id


async def test_a_blind_transfer_rings_the_manager_and_leaves_him_the_client(stack: Stack) -> None:
    anna, boris = await stack.listening("anna"), await stack.listening("boris")
    call_id = await stack.calls()
    await stack.picks_up("anna")
    await anna.card("talking", call_id)
    assert (await anna.order(call_id, "transfer", employee="boris"))["done"]
    card = await anna.consults("ringing")
    assert card["consultation"]["leaving"] is True
    await boris.card("offered", call_id)
    await stack.picks_up("boris")
    assert (await boris.hears("passed_to_me"))["draft"] is None
    assert (await anna.hears("call_gone"))["by"] == "boris"


async def test_orders_are_refused_with_their_reason_and_done_once(stack: Stack) -> None:
    await stack.user("sveta", "supervisor", employee=False)
    anna, vera, sveta = await stack.listening("anna"), await stack.listening("vera"), await stack.listening("sveta")
    call_id = await stack.calls()
    await anna.card("offered", call_id)
    assert (await anna.order(call_id, "hang_up"))["reason"] == "wrong_state"
    assert (await vera.order(call_id, "answer"))["reason"] == "not_yours"
    assert (await anna.order("nowhere", "answer"))["reason"] == "unknown_call"
    body = {"order": str(uuid.uuid4()), "kind": "answer"}
    both = [anna.ask("POST", f"/api/calls/{call_id}/orders", body) for _ in range(2)]
    assert [each["done"] for each in await asyncio.gather(*both)] == [True, True]
    assert (await anna.order(call_id, "consult", employee="nobody"))["reason"] == "unknown_employee"
    assert (await anna.order(call_id, "hold"))["done"]
    await anna.card("talking", call_id, held=True)
    assert (await anna.order(call_id, "unhold"))["done"]
    assert (await vera.order(call_id, "hang_up"))["reason"] == "not_yours"
    assert (await sveta.order(call_id, "hang_up"))["done"]
    assert (await anna.card("over", call_id))["over_by"] == "us"
    await anna.ask("POST", f"/api/calls/{call_id}/orders", {"order": "short", "kind": "answer"}, status=422)


async def test_a_call_back_rings_my_phone_and_then_the_client(stack: Stack) -> None:
    anna = await stack.listening("anna")
    body = {"order": str(uuid.uuid4()), "number": "8 916 123-45-67", "missed_id": "m-1"}
    asked = asyncio.create_task(anna.ask("POST", "/api/call-backs", body))
    assert (await asked)["done"], await asked
    told = await anna.hears("call_back")
    assert (told["state"], told["number"]) == ("ringing", "+79161234567")
    await stack.picks_up("anna")
    await anna.hears("call_back", lambda change: change["state"] in ("calling", "talking"))
    refused = {"order": str(uuid.uuid4()), "number": "112"}
    assert (await anna.ask("POST", "/api/call-backs", refused))["reason"] == "bad_number"


async def test_an_accepted_enquiry_is_at_the_managers_desk_within_a_second(stack: Stack) -> None:
    anna, boris = await stack.listening("anna"), await stack.listening("boris")
    before = (await boris.listen())["interests"]
    client = {"name": "Иван", "numbers": ["8 916 123-45-67"]}
    body: dict[str, Any] = {"client": client, "topic": "Насосы", "assignee": "boris", "service_type": "equipment"}
    headers = {"Idempotency-Key": "wizard-7"}
    began = time.monotonic()
    await anna.ask("POST", "/api/enquiries", body, 201, **headers)
    interest = await boris.hears("interest")
    assert time.monotonic() - began < 1.0
    assert (interest["title"], interest["assignee"], interest["state"]) == ("Насосы", "boris", "new")
    await anna.ask("POST", "/api/enquiries", body, 200, **headers)
    assert (await boris.listen())["interests"] == before + 1


async def test_what_is_typed_in_one_page_is_in_the_other(stack: Stack) -> None:
    one, other = await stack.listening("anna"), await stack.listening("anna")
    await one.ask("PUT", "/api/drafts/w-1", {"fields": {"topic": "Н"}, "revision": 1})
    assert (await other.hears("draft"))["fields"] == {"topic": "Н"}
    await one.ask("DELETE", "/api/drafts/w-1", status=204)
    assert await other.hears("draft_closed") == {"id": "w-1"}
    async with stack.database.transaction("test") as tx:
        assert await drafts.of_call(tx, "w-1", "anna") is None

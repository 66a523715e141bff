"""Scenario No. 2 as pages see it: the call rings, is answered, a manager is asked, and has the client."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from kommutator.app.desk import now
from kommutator.crm import clients, drafts, missed, tasks
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.behaviour import PhoneAct
from tests.desk_services.conftest import until
from tests.live.conftest import DID, PHONES, Stack

pytestmark = [pytest.mark.anyio, pytest.mark.services]


async def test_who_signs_in_and_has_a_phone_is_present(stack: Stack) -> None:
    boris = await stack.page("boris")

    async def present() -> bool:
        floor = (await boris.listen())["floor"]
        return any(each["employee"] == "boris" and each["presence"] == "present" for each in floor)

    await until(present)


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


async def test_what_the_operator_types_reaches_the_manager_before_he_answers_and_after_he_has_the_client(
    stack: Stack,
) -> None:
    anna, boris = await stack.listening("anna"), await stack.listening("boris")
    call_id = await stack.calls()
    await stack.picks_up("anna")
    await anna.card("talking", call_id)

    async def types(revision: int, **fields: str) -> None:
        body = {"call_id": call_id, "fields": fields, "revision": revision}
        await anna.ask("PUT", "/api/drafts/wizard-1", body)

    await types(1, topic="Насосы", service_type="equipment")
    await anna.order(call_id, "consult", employee="boris")
    asked = await boris.hears("asked_of_me")
    assert (asked["card"]["state"], asked["card"]["role"], asked["card"]["by"]) == ("offered", "guest", "anna")
    assert asked["draft"]["fields"] == {"topic": "Насосы", "service_type": "equipment"}
    await types(2, topic="Насосы для котельной")
    await boris.hears("asked_of_me", lambda told: told["draft"]["revision"] == 2)
    await stack.picks_up("boris")
    await boris.card("talking", call_id, role="guest")
    # She hands him the client by her telephone, in the middle of a word.
    await stack.pbx(codec.PutDown(PHONES["anna"]))
    assert (await boris.hears("passed_to_me"))["draft"]["revision"] == 2
    await types(3, topic="Насосы для котельной", to_do="Посчитать")
    passed = await boris.hears("passed_to_me", lambda told: told["draft"]["revision"] == 3)
    assert passed["draft"]["fields"]["to_do"] == "Посчитать"
    await anna.ask("DELETE", "/api/drafts/wizard-1", status=204)
    await boris.listen()
    assert (await boris.hears("passed_to_me"))["draft"]["revision"] == 3


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


async def test_who_calls_back_has_the_clients_card_and_what_was_missed_is_settled(stack: Stack) -> None:
    number = "+79161234567"
    async with stack.database.transaction("test") as tx:
        client = await clients.create(
            tx, clients.Draft("person", "Иван Петров", numbers=(number,), owner="boris"), now()
        )
        await missed.add(tx, "m-1", "call-1", number, DID, "boris", now())
        await tasks.add(tx, "t-1", "task", "call-1", "boris", "Перезвонить", now(), missed_id="m-1")
    # The simulated PBX's people have whims: one client in four is not at his telephone, and the others talk as they like.
    await stack.pbx(codec.Behave(number, (PhoneAct("answer"),)))
    boris = await stack.page("boris")
    assert [(each["missed"], each["tasks"]) for each in [await boris.listen()]] == [(1, 1)]
    # By itself a client's phone is picked up three times of four.
    await stack.pbx(codec.Behave(number, (PhoneAct("answer", 0.1),)))
    body = {"order": "order-of-boris", "number": number, "missed_id": "m-1"}
    assert (await boris.ask("POST", "/api/call-backs", body))["done"]
    call_id = "back-order-of-boris"
    card = await boris.card("dialling", call_id, known=True)
    assert (card["back"], card["caller"], card["role"]) == ({"state": "ringing", "reason": None}, number, "operator")
    assert [match["id"] for match in card["matches"]] == [client.id]
    assert [each["call_id"] for each in (await boris.listen())["calls"]] == [call_id]
    await stack.picks_up("boris")
    await boris.card("talking", call_id)

    async def settled() -> bool:
        snapshot = await boris.listen()
        return (snapshot["missed"], snapshot["tasks"]) == (0, 0)

    await until(settled)
    await stack.pbx(codec.PutDown(PHONES["boris"]))
    card = await boris.card("over", call_id)
    assert card["back"] == {"state": "over", "reason": None}
    enquiry = {"client_id": client.id, "topic": "Насосы", "assignee": "boris", "call_id": call_id}
    await boris.ask("POST", "/api/enquiries", enquiry, 201, **{"Idempotency-Key": call_id})
    contacts = await boris.ask("GET", f"/api/clients/{client.id}/interactions")
    assert [(each["kind"], each["call_id"]) for each in contacts["items"]] == [("call_back", call_id)]


async def test_a_call_back_is_given_up_at_the_desk_while_a_phone_rings(stack: Stack) -> None:
    boris, vera = await stack.listening("boris"), await stack.listening("vera")
    body = {"order": "order-of-boris", "number": "+79161234567"}
    assert (await boris.ask("POST", "/api/call-backs", body))["done"]
    call_id = (await boris.card("dialling"))["call_id"]
    assert (await vera.order(call_id, "hang_up"))["reason"] == "not_yours"
    assert (await boris.order(call_id, "hang_up"))["done"]
    assert (await boris.card("over", call_id))["back"] == {"state": "over", "reason": "cancelled"}


async def test_an_accepted_enquiry_is_at_the_managers_desk(stack: Stack) -> None:
    anna, boris = await stack.listening("anna"), await stack.listening("boris")
    before = (await boris.listen())["interests"]
    client = {"name": "Иван", "numbers": ["8 916 123-45-67"]}
    body: dict[str, Any] = {"client": client, "topic": "Насосы", "assignee": "boris", "service_type": "equipment"}
    headers = {"Idempotency-Key": "wizard-7"}
    await anna.ask("POST", "/api/enquiries", body, 201, **headers)
    interest = await boris.hears("interest")
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

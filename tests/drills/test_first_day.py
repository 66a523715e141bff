"""The first day of a company with Kommutator, as one story: from an empty folder to a power cut, and nothing is lost."""

from __future__ import annotations

import math
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import miniaudio
import pytest

from kommutator.pbx.simulated.behaviour import CallerAct, PhoneAct
from kommutator.pbx.simulated.codec import Place
from tests.drills.stack import Stack

pytestmark = [pytest.mark.trio, pytest.mark.services]

DID, STRANGER, CLIENT = "+74951112233", "+79165550101", "+79165550202"
COMPANY = """
company: {name: Ромашка, timezone: Europe/Moscow, country: RU, language: ru}
employees:
  anna:  {name: Анна Смирнова, department: sales, rank: 1, endpoint: PJSIP/101}
  boris: {name: Борис Орлов, department: service, rank: 1, endpoint: PJSIP/102}
departments: {sales: {name: Отдел продаж}, service: {name: Поддержка}}
prompts: {leave-message: {say: "Оставьте сообщение.", seconds: 0.5}}
templates: {missed: {text: "{company}: мы не успели ответить на {caller} и перезвоним."}}
numbers: {default: {scheme: main}}
schemes:
  main:
    start: START
    responsible: sales
    nodes: NODES
      team:     {kind: ring, ring: [{department: sales}], seconds: 1, exits: {no_answer: told}}
      told:     {kind: sms, to: caller, template: missed, exits: {done: followup}}
      followup: {kind: task, assign: owner, title: "Перезвонить {caller}", exits: {done: mailbox}}
      mailbox:  {kind: voicemail, prompt: leave-message, seconds: 20, email: [office@example.test], exits: {done: bye}}
      bye:      {kind: hangup}
"""
OLD = COMPANY.replace("START", "team").replace("NODES", "")
OWNER_FIRST = COMPANY.replace("START", "crm").replace(
    "NODES",
    """
      crm:      {kind: owner, exits: {found: manager, unknown: team, unavailable: team}}
      manager:  {kind: ring, ring: [{owner: true}], seconds: 5, exits: {no_answer: team}}""",
)
SPEECH_S = 2.0
MESSAGE = (CallerAct("record", speak=SPEECH_S, end="hash"),)
ANSWERS = {"PJSIP/101": (PhoneAct("answer", 0.2, 0.3),), "PJSIP/102": (PhoneAct("answer", 0.2, 0.3),)}
NOBODY = {"PJSIP/101": (PhoneAct(),), "PJSIP/102": (PhoneAct(),)}
KEPT = {
    "calls": "select call_id, did, caller_number, disposition, fault, answered_by, began_at, ended_at from calls order by 1",
    "turns": "select call_id, sequence, event, action, trace, effects from call_turns order by 1, 2",
    "legs": "select call_id, number, endpoint, outcome from call_legs order by 1, 2",
    "tasks": "select id, kind, call_id, assign, title, closed_at from tasks order by 1",
    "missed": "select id, call_id, caller, owner, closed_at from missed_calls order by 1",
    "versions": "select number, author, comment, created_at from company_versions order by 1",
    "activations": "select id, version, undoes, comment, at from activations order by 1",
    "notices": "select id, channel, recipient, state, attempts, sent_at from outbox order by 1",
    "recordings": "select name, call_id, seconds, location, bytes from recordings order by 1",
    "clients": "select id, name, owner from clients order by 1",
}


async def test_the_first_day(build: Callable[..., Stack]) -> None:
    stack = build("office")
    stack.start()
    await stack.says(process="desk", state="ready")
    await stack.sign_in()
    clients = stack.folder / "clients.csv"
    clients.write_text(f"name,numbers,owner\nСветлана Юрьевна,{CLIENT},boris\n", encoding="utf-8")
    await stack.activate(OLD, "first")
    await stack.ready()
    await stack.command("clients", "import", clients)

    # Nobody answers a stranger: he is told so, and leaves a message.
    await placed(stack, Place(DID, STRANGER, "stranger", MESSAGE, NOBODY))
    line = await ended(stack, "stranger")
    assert (line["disposition"], line["caller_number"], line["version"]) == ("voicemail", STRANGER, 1)
    assert stack.ledger("office")["stranger"]["disposition"] == "voicemail"
    tasks = {task["kind"]: task for task in (await stack.get("/api/tasks", assigned="anna"))["items"]}
    assert tasks["task"]["title"] == f"Перезвонить {STRANGER}"
    assert tasks["task"]["call_id"] == "stranger"
    await notices(stack, "stranger", sms="delivered", email="sent")
    ((to, text),) = stack.smsc.texts()
    assert to == STRANGER
    assert text == f"Ромашка: мы не успели ответить на {STRANGER} и перезвоним."
    (letter,) = stack.mailbox.letters()
    assert letter["To"] == "office@example.test"
    assert_speech(letter)

    # Another hangs up while it rings: a missed call, somebody's task.
    impatient = (CallerAct("ring", hang_up_after=0.4),)
    await placed(stack, Place(DID, "+79165550303", "impatient", impatient, NOBODY))
    assert (await ended(stack, "impatient"))["disposition"] == "abandoned"
    (missed,) = (await stack.get("/api/missed-calls"))["items"]
    assert (missed["call_id"], missed["owner"], missed["caller"]) == ("impatient", "anna", "+79165550303")
    assert "impatient" in {task["call_id"] for task in (await stack.get("/api/tasks", assigned="anna"))["items"]}

    # A known client's call goes to his owner, and after the rollback the old way.
    await placed(stack, Place(DID, CLIENT, "by-department", (), ANSWERS))
    assert (await ended(stack, "by-department"))["answered_by"] == "anna"
    await stack.activate(OWNER_FIRST, "the owner first")
    await stack.says(process="route-office", event=lambda event: "version 2" in event)
    await placed(stack, Place(DID, CLIENT, "by-owner", (), ANSWERS))
    story = await ended(stack, "by-owner")
    assert (story["answered_by"], story["version"]) == ("boris", 2)
    assert [client["name"] for client in story["clients"]] == ["Светлана Юрьевна"]
    since = len(stack.heard())
    await stack.post("/api/activations/rollback", {"comment": "the old way was better"})
    await stack.says(since=since, process="route-office", event=lambda event: "version 1" in event)
    await placed(stack, Place(DID, CLIENT, "by-department-again", (), ANSWERS))
    line = await ended(stack, "by-department-again")
    assert (line["answered_by"], line["version"]) == ("anna", 1)

    # The power goes while somebody talks.
    await placed(stack, Place(DID, CLIENT, "cut-off", (), {"PJSIP/101": (PhoneAct("answer", 0.1),)}))
    await stack.says(event="turn", call="cut-off", action="talk")
    before = {name: await stack.rows(query) for name, query in KEPT.items() if name not in ("calls", "turns", "legs")}
    calls = {row["call_id"]: row for row in await stack.rows(KEPT["calls"]) if row["call_id"] != "cut-off"}
    turns = [row for row in await stack.rows(KEPT["turns"]) if row["call_id"] != "cut-off"]
    legs = [row for row in await stack.rows(KEPT["legs"]) if row["call_id"] != "cut-off"]
    in_ledger = stack.ledger("office")
    assert len(calls) == len(in_ledger) == 5
    stack.kill_everything()

    # Everything is there again, and nothing is done a second time.
    stack.start()
    await stack.ready()
    line = await ended(stack, "cut-off")
    assert line["disposition"] == "answered"
    assert {name: await stack.rows(KEPT[name]) for name in before} == before
    assert {row["call_id"]: row for row in await stack.rows(KEPT["calls"]) if row["call_id"] != "cut-off"} == calls
    assert [row for row in await stack.rows(KEPT["turns"]) if row["call_id"] != "cut-off"] == turns
    assert [row for row in await stack.rows(KEPT["legs"]) if row["call_id"] != "cut-off"] == legs
    after = stack.ledger("office")
    assert {call_id: after[call_id] for call_id in in_ledger} == in_ledger
    assert set(after) == {*in_ledger, "cut-off"}
    assert after["cut-off"]["disposition"] == "answered"

    # The sender works on: what it sends now comes after anything that it might have sent again.
    await placed(stack, Place(DID, "+79165550404", "next-day", MESSAGE, NOBODY))
    await notices(stack, "next-day", sms="delivered", email="sent")
    assert [to for to, _ in stack.smsc.texts()] == [STRANGER, "+79165550404"]
    assert len(stack.mailbox.letters()) == 2
    assert (await ended(stack, "next-day"))["version"] == 1
    assert stack.stop() == 0


async def placed(stack: Stack, place: Place) -> None:
    """A caller comes, to a router that is there."""
    async with stack.hand("office") as hand:

        async def routed() -> bool:
            return (await hand.about()).router

        await stack.until(routed, "a router at the PBX")
        await hand.place(place)


async def ended(stack: Stack, call_id: str) -> dict[str, Any]:
    """The call's line at the desk, when it has ended."""

    async def over() -> Any:
        calls = {call["call_id"]: call for call in (await stack.get("/api/calls"))["items"]}
        return call_id in calls and calls[call_id]["disposition"] is not None and calls[call_id]

    line: dict[str, Any] = await stack.until(over, f"{call_id} has ended")
    return line


async def notices(stack: Stack, call_id: str, **wanted: str) -> None:
    """Wait until the call's notices are in these states."""

    async def there() -> bool:
        found = (await stack.get("/api/notices", call_id=call_id))["items"]
        return {notice["channel"]: notice["state"] for notice in found} == wanted and len(found) == len(wanted)

    await stack.until(there, f"notices of {call_id}: {wanted}")


def assert_speech(letter: EmailMessage) -> None:
    """Somebody speaks in the attached sound, as long as the caller did."""
    (attached,) = letter.iter_attachments()
    sound = miniaudio.decode(attached.get_content(), nchannels=1, sample_rate=8000)
    assert len(sound.samples) / 8000 == pytest.approx(SPEECH_S, abs=0.3)
    loudness = math.sqrt(sum(sample * sample for sample in sound.samples) / len(sound.samples))
    assert loudness > 1000, "it is silence"

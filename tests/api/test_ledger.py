"""Calls, recordings and notices through the API."""

from __future__ import annotations

import base64
import wave
from datetime import datetime, timedelta
from pathlib import Path

import orjson
import pytest

from kommutator.crm import outbox, recordings
from kommutator.crm.outbox import OutboxSettings
from tests.api.conftest import NOW, Browser, Stage

pytestmark = pytest.mark.anyio


@pytest.fixture
async def told(stage: Stage) -> Stage:
    """Six calls: answered, missed, and one that goes on."""
    await stage.company()
    async with stage.services.database.transaction() as tx:
        for n in range(6):
            began = NOW - timedelta(minutes=n)
            ended = None if n == 5 else began + timedelta(seconds=40)
            disposition = None if n == 5 else "answered" if n % 2 == 0 else "no_answer"
            await tx.run(
                """insert into calls (company_id, call_id, did, caller, did_number, caller_number, began_at, ended_at,
                       disposition, fault, answered_by) values ($1, $2, $3, $4, $3, $4, $5, $6, $7, $8, $9)""",
                f"c{n}", "+74951112201", f"+7916123450{n % 3}", began, ended, disposition,
                disposition and "none", "anna" if disposition == "answered" else None,
            )  # fmt: skip
        await tx.run(
            """insert into call_turns (company_id, call_id, sequence, at, event, action, trace, rounds, effects, scheme)
               values ($1, 'c0', 0, $2, null, $3, $4, $5, $5, 'office-hours')""",
            NOW, {"type": "play"}, [{"reason": "started"}], [],
        )  # fmt: skip
        await tx.run(
            """insert into call_legs (company_id, call_id, number, endpoint, employee, round, rang_at, ended_at, outcome)
               values ($1, 'c0', 1, 'PJSIP/101', 'anna', 1, $2, $2, 'answered')""",
            NOW,
        )
        await recordings.expect(tx, "c1-7", "voicemail", "c1", 1.0, NOW, assign="sales")
        await recordings.expect(tx, "c0-9", "conversation", "c0", 1.0, NOW)
    await stage.user("vera", "operator", "vera")
    return stage


@pytest.fixture
async def vera(told: Stage) -> Browser:
    return await told.signed_in("vera")


async def ids(browser: Browser, **query: str) -> list[str]:
    """The calls that a query finds."""
    return [each["call_id"] for each in (await browser.json("/api/calls", query_string=query))["items"]]


async def test_calls_are_found_by_what_is_known_of_them(vera: Browser) -> None:
    assert await ids(vera) == ["c0", "c1", "c2", "c3", "c4", "c5"]
    assert await ids(vera, answered="true") == ["c0", "c2", "c4"]
    assert await ids(vera, answered="false") == ["c1", "c3"]
    assert await ids(vera, disposition="no_answer") == ["c1", "c3"]
    assert await ids(vera, caller="8 916 123-45-01") == ["c1", "c4"]
    assert await ids(vera, did="8 (495) 111-22-01", employee="anna") == ["c0", "c2", "c4"]
    assert await ids(vera, did="+74951112202") == []
    since, until = "2026-11-18T11:57:00+03:00", "2026-11-18T12:00:00+03:00"
    assert await ids(vera, since=since, until=until) == ["c1", "c2", "c3"]
    assert [each["call_id"] for each in (await vera.json("/api/calls/going-on"))["items"]] == ["c5"]
    summary = await vera.json("/api/calls/summary", query_string={"since": since, "until": until})
    assert summary == {"dispositions": {"answered": 1, "no_answer": 2}}
    await vera.json("/api/calls", 422, query_string={"since": "2026-11-18"})


async def test_calls_are_read_page_by_page(vera: Browser) -> None:
    first = await vera.json("/api/calls", query_string={"limit": 4})
    rest = await vera.json("/api/calls", query_string={"limit": 4, "after": first["next"]})
    assert [each["call_id"] for each in first["items"] + rest["items"]] == [f"c{n}" for n in range(6)]
    assert rest["next"] is None
    for key in (["0001-01-01T00:00:00+14:00", "c"], ["2026-11-18T09:00:00", "c"], ["x", "c"], [1, "c"], ["2026-11-18"]):
        after = base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")
        await vera.json("/api/calls", 422, query_string={"after": after})


async def test_a_call_tells_its_story(vera: Browser) -> None:
    await vera.post("/api/clients", {"name": "Анна", "numbers": ["+79161234500"]})
    story = await vera.json("/api/calls/c0")
    assert (story["call"]["disposition"], story["call"]["clients"][0]["name"]) == ("answered", "Анна")
    assert story["call"]["began_at"] == "2026-11-18T09:00:00.000Z"
    assert [(each["sequence"], each["trace"]) for each in story["turns"]] == [(0, [{"reason": "started"}])]
    assert [(each["endpoint"], each["outcome"]) for each in story["legs"]] == [("PJSIP/101", "answered")]
    assert [each["name"] for each in story["recordings"]] == ["c0-9"]
    of_client = await vera.json("/api/clients/1/calls")
    assert [each["call_id"] for each in of_client["items"]] == ["c0", "c3"]
    await vera.json("/api/calls/none", 404)


def sound(folder: Path, name: str) -> bytes:
    """A second of silence in a file."""
    with wave.open(str(folder / f"{name}.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", "NONE"))
        file.writeframes(b"\0\0" * 8000)
    return (folder / f"{name}.wav").read_bytes()


async def test_a_recording_is_heard_whole_and_in_parts(told: Stage, vera: Browser) -> None:
    await vera.json("/api/recordings/c1-7/sound", 404)
    content = sound(told.services.recordings, "c1-7")
    whole = await vera.get("/api/recordings/c1-7/sound")
    assert (whole.status_code, whole.content_type, whole.headers["Accept-Ranges"]) == (200, "audio/wav", "bytes")
    assert await whole.get_data(as_text=False) == content
    part = await vera.get("/api/recordings/c1-7/sound", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.headers["Content-Range"]) == (206, f"bytes 100-199/{len(content)}")
    assert await part.get_data(as_text=False) == content[100:200]
    beyond = await vera.get("/api/recordings/c1-7/sound", headers={"Range": "bytes=99999999-"})
    assert (beyond.status_code, beyond.content_type) == (416, "application/problem+json")
    heard = await (await vera.post("/api/recordings/c1-7/heard")).get_json()
    assert (heard["heard_by"], heard["heard_at"]) == ("vera", "2026-11-18T09:00:00.000Z")


async def test_operators_hear_what_is_for_them_and_managers_all(told: Stage, vera: Browser) -> None:
    sound(told.services.recordings, "c0-9")
    for path in ("/api/recordings/c0-9", "/api/recordings/c0-9/sound"):
        await vera.json(path, 403)
    assert (await vera.post("/api/recordings/c0-9/heard")).status_code == 403
    await told.user("boris", "manager")
    boris = await told.signed_in("boris")
    assert (await boris.get("/api/recordings/c0-9/sound")).status_code == 200


async def test_a_recordings_name_leads_nowhere_else(told: Stage) -> None:
    await told.user("boris", "manager")
    boris = await told.signed_in("boris")
    (told.services.recordings.parent / "secret.wav").write_bytes(b"RIFF")
    async with told.services.database.transaction() as tx:
        await recordings.expect(tx, "../secret", "voicemail", "c1", 1.0, NOW)
    for name in ("..%2Fsecret", "%2e%2e%2fsecret", "../secret"):
        await boris.json(f"/api/recordings/{name}/sound", 404)


async def failed_notice(stage: Stage, id: str, at: datetime) -> None:
    """A notice that was given up."""
    async with stage.services.database.transaction() as tx:
        await outbox.enqueue(tx, id, "sms", "+79161230001", {"text": "пропущен"}, at, call_id="c1")
        (claim,) = await outbox.claim(tx, "sms", "test", OutboxSettings(), at)
        await outbox.failed(tx, claim, "no such number", OutboxSettings(), at, final=True)


async def test_a_notice_that_was_given_up_is_seen_and_sent_again(told: Stage) -> None:
    await told.user("zoya", "supervisor")
    zoya = await told.signed_in("zoya")
    await failed_notice(told, "c1:3:1", NOW)
    async with told.services.database.transaction() as tx:
        await outbox.enqueue(tx, "c1:3:2", "email", "a@example.test", {"text": "x"}, NOW, call_id="c1")
    assert (await zoya.json("/api/notices/counts"))["counts"] == {"sms/failed": 1, "email/waiting": 1}
    (failed,) = (await zoya.json("/api/notices", query_string={"state": "failed"}))["items"]
    assert (failed["id"], failed["last_error"], failed["payload"]) == ("c1:3:1", "no such number", {"text": "пропущен"})
    of_call = await zoya.json("/api/notices", query_string={"call_id": "c1"})
    assert [each["id"] for each in of_call["items"]] == ["c1:3:1", "c1:3:2"]
    again = await (await zoya.post("/api/notices/c1:3:1/again")).get_json()
    assert (again["state"], again["attempts"]) == ("waiting", 0)
    assert (await zoya.post("/api/notices/c1:3:1/again")).status_code == 404
    newest = await zoya.json("/api/notices", query_string={"limit": 1})
    assert [each["id"] for each in newest["items"]] == ["c1:3:2"] and newest["next"]
    assert (await zoya.json("/api/notices/c1:3:1"))["state"] == "waiting"

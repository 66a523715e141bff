"""What operators and managers work with: wizards, enquiries, interests, missed calls, tasks, presence."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from kommutator.crm import drafts, missed, tasks
from tests.api.conftest import NOW, Browser, Stage

pytestmark = pytest.mark.anyio

KEY = {"Idempotency-Key": "draft-1"}


@pytest.fixture
async def vera(stage: Stage) -> Browser:
    """An operator of the sample company."""
    await stage.company()
    await stage.user("vera", "operator", "vera")
    return await stage.signed_in("vera")


@pytest.fixture
async def boris(stage: Stage, vera: Browser) -> Browser:
    """A manager of the same department."""
    assert vera.csrf, "the company is there"
    await stage.user("boris", "manager", "boris")
    return await stage.signed_in("boris")


def enquiry(**more: Any) -> dict[str, Any]:
    """What the wizard sends for a new client."""
    client = {"name": "Анна Петрова", "numbers": ["8 916 123-45-67"]}
    return {"client": client, "topic": "Насосы", "to_do": "Перезвонить", "service_type": "equipment", **more}


async def test_an_interest_goes_on_in_one_transaction_once(vera: Browser, boris: Browser) -> None:
    first = await (await vera.post("/api/enquiries", enquiry(assignee="boris"), headers=KEY)).get_json()
    interest = first["interest"]
    corrections = {"name": "Анна Петровна", "number": "8 916 765-43-21", "notes": "Звонить после десяти"}
    body = {
        "interest_id": interest["id"],
        "interest_revision": interest["revision"],
        "to_do": "Выслать сегодня",
        "call_id": "c2",
        "corrections": corrections,
    }
    key = {"Idempotency-Key": "draft-2"}
    answers = await asyncio.gather(*(vera.post("/api/enquiries", body, headers=key) for _ in range(3)))
    assert sorted(each.status_code for each in answers) == [200, 200, 201]
    told = [(await each.get_json())["interest"] for each in answers]
    assert {(each["id"], each["revision"]) for each in told} == {(interest["id"], interest["revision"] + 1)}
    assert (told[0]["topic"], told[0]["to_do"], told[0]["assignee"]) == ("Насосы", "Выслать сегодня", "boris")

    steps = (await boris.json(f"/api/interests/{interest['id']}/history"))["items"]
    assert [list(each["changes"]) for each in steps[1:]] == [["to_do"]]
    card = await boris.json(f"/api/clients/{interest['client_id']}/card")
    assert card["client"]["name"] == "Анна Петровна"
    assert card["client"]["notes"] == "Звонить после десяти"
    assert [each["number"] for each in card["client"]["numbers"]] == ["+79161234567", "+79167654321"]
    (contact,) = (each for each in card["interactions"] if each["call_id"] == "c2")
    assert (contact["kind"], contact["topic"], contact["body"]) == ("call", "Насосы", "Выслать сегодня")


async def test_an_interest_that_was_changed_meanwhile_is_not_written_over(vera: Browser, boris: Browser) -> None:
    first = await (await vera.post("/api/enquiries", enquiry(assignee="boris"), headers=KEY)).get_json()
    interest = first["interest"]
    change = {"topic": "Насосы", "to_do": "Уже выслано", "assignee": "boris", "status": "active"}
    path, etag = f"/api/interests/{interest['id']}", {"If-Match": f'"{interest["revision"]}"'}
    assert (await boris.put(path, change, headers=etag)).status_code == 200
    body = {"interest_id": interest["id"], "interest_revision": interest["revision"], "to_do": "Выслать"}
    body["corrections"] = {"name": "Другое имя"}
    key = {"Idempotency-Key": "draft-2"}
    refused = await vera.post("/api/enquiries", body, headers=key)
    assert refused.status_code == 412
    assert refused.headers["ETag"] == f'"{interest["revision"] + 1}"'
    card = await boris.json(f"/api/clients/{interest['client_id']}/card")
    assert (card["client"]["name"], card["interests"][0]["to_do"]) == ("Анна Петрова", "Уже выслано")
    assert len(card["interactions"]) == 1
    body["interest_revision"] += 1
    assert (await vera.post("/api/enquiries", body, headers=key)).status_code == 201
    (after,) = (await boris.json("/api/me/interests"))["items"]
    assert (after["to_do"], after["status"]) == ("Выслать", "active")


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": 1, "interest_id": 1, "interest_revision": 1},
        {"interest_id": 1},
        {"client_id": 1, "interest_revision": 1},
        {"client": {"numbers": ["8 916 123-45-67"]}, "corrections": {"name": "Иная"}},
    ],
)
async def test_an_enquiry_says_whose_it_is_in_one_way(vera: Browser, wrong: dict[str, Any]) -> None:
    answer = await vera.post("/api/enquiries", {"topic": "Насосы", "assignee": "boris", **wrong}, headers=KEY)
    assert answer.status_code == 422


async def test_an_enquiry_reaches_the_managers_workplace_once(vera: Browser, boris: Browser) -> None:
    draft = {"fields": {"topic": "Нас"}, "revision": 1, "call_id": "c1"}
    assert (await vera.put("/api/drafts/draft-1", draft)).status_code == 200
    body = enquiry(assignee="boris", call_id="c1")
    answers = await asyncio.gather(*(vera.post("/api/enquiries", body, headers=KEY) for _ in range(3)))
    assert sorted(each.status_code for each in answers) == [200, 200, 201]
    told = [await each.get_json() for each in answers]
    assert len({each["interest"]["id"] for each in told}) == 1
    assert (await vera.json("/api/drafts"))["items"] == []

    (interest,) = (await boris.json("/api/me/interests"))["items"]
    assert (interest["topic"], interest["created_by"], interest["status"]) == ("Насосы", "vera", "new")
    assert (interest["client"]["name"], interest["client"]["national"]) == ("Анна Петрова", "8 (916) 123-45-67")
    card = await boris.json(f"/api/clients/{interest['client_id']}/card")
    assert card["client"]["owner"] == "boris" and card["owner_name"] == "Борис Орлов"
    assert [(each["kind"], each["call_id"], each["employee"]) for each in card["interactions"]] == [
        ("call", "c1", "vera")
    ]
    assert [each["id"] for each in card["interests"]] == [interest["id"]]


async def test_the_same_key_of_another_user_is_another_enquiry(vera: Browser, boris: Browser) -> None:
    first = await vera.post("/api/enquiries", enquiry(assignee="boris"), headers=KEY)
    second = await boris.post("/api/enquiries", enquiry(assignee="boris"), headers=KEY)
    assert (first.status_code, second.status_code) == (201, 201)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"topic": "x", "assignee": "boris"}, 422, "form_invalid"),
        ({**enquiry(assignee="boris"), "client_id": 1}, 422, "form_invalid"),
        ({"client_id": 99, "assignee": "boris"}, 404, "not_found"),
        (enquiry(), 422, "refused"),
        (enquiry(assignee="nobody"), 422, "refused"),
        (enquiry(assignee="boris", service_type="none"), 422, "refused"),
    ],
)
async def test_an_enquiry_that_cannot_be_makes_nothing(
    vera: Browser, body: dict[str, Any], status: int, code: str
) -> None:
    answer = await vera.post("/api/enquiries", body, headers=KEY)
    assert (answer.status_code, (await answer.get_json())["code"]) == (status, code)
    if code == "refused":
        assert "Key (" not in (await answer.get_json())["detail"]
    assert (await vera.json("/api/interests"))["items"] == []
    assert (await vera.json("/api/clients", query_string={"q": "Петрова"}))["items"] == []


async def test_an_enquiry_needs_its_key(vera: Browser) -> None:
    for headers in ({}, {"Idempotency-Key": "a b"}, {"Idempotency-Key": "x" * 101}):
        answer = await vera.post("/api/enquiries", enquiry(assignee="boris"), headers=headers)
        assert (answer.status_code, (await answer.get_json())["errors"][0]["path"]) == (422, "header.Idempotency-Key")


async def test_an_interest_is_changed_with_its_history(vera: Browser, boris: Browser) -> None:
    await vera.post("/api/enquiries", enquiry(assignee="boris"), headers=KEY)
    (interest,) = (await boris.json("/api/interests", query_string={"mine": "true", "status": "open"}))["items"]
    path = f"/api/interests/{interest['id']}"
    form = {
        "topic": "Насосы",
        "assignee": "boris",
        "status": "won",
        "comment": "договор",
        "due_at": "2026-11-20T12:00:00+03:00",
    }
    won = await boris.put(path, form, revision=interest["revision"])
    assert (won.status_code, (await won.get_json())["due_at"]) == (200, "2026-11-20T09:00:00.000Z")
    assert (await vera.put(path, form, revision=interest["revision"])).status_code == 412
    steps = (await vera.json(f"{path}/history"))["items"]
    assert [(each["actor"], each["comment"]) for each in steps] == [("vera", ""), ("boris", "договор")]
    assert steps[1]["changes"]["status"] == ["new", "won"]
    assert (await boris.json("/api/me/interests"))["items"] == []
    closed = await boris.json("/api/interests", query_string={"status": "closed", "assignee": "boris"})
    assert [each["id"] for each in closed["items"]] == [interest["id"]]


async def test_a_list_is_read_page_by_page_while_it_grows(vera: Browser) -> None:
    await vera.post("/api/clients", {"name": "Анна"})
    for n in range(5):
        body = {"client_id": 1, "assignee": "boris", "topic": f"№ {n}"}
        made = await vera.post("/api/interests", body, headers={"Idempotency-Key": f"k{n}"})
        assert made.status_code == 201
    seen: list[int] = []
    path: str | None = "/api/interests?limit=2&assignee=boris"
    while path is not None:
        answer = await vera.get(path)
        page = await answer.get_json()
        seen += [each["id"] for each in page["items"]]
        link = answer.headers.get("Link")
        path = None if link is None else link[1 : link.index(">")]
        assert (path is None) == (page["next"] is None)
        assert path is None or "assignee=boris" in path
        await vera.post(
            "/api/interests", {"client_id": 1, "assignee": "boris"}, headers={"Idempotency-Key": f"new{len(seen)}"}
        )
    assert seen == [5, 4, 3, 2, 1]


@pytest.mark.parametrize("after", ["x", "W10", "WzFd0", "WyJhIl0", "Wy0xXQ", "WzllMThd", "W251bGxd"])
async def test_a_cursor_that_is_none_of_ours_is_told(vera: Browser, after: str) -> None:
    answer = await vera.get("/api/interests", query_string={"after": after})
    assert (answer.status_code, (await answer.get_json())["errors"][0]["path"]) == (422, "query.after")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "mine=ja", "client_id=1.5", "x=1"]
)
async def test_a_query_that_is_no_form_is_told(vera: Browser, query: str) -> None:
    answer = await vera.get(f"/api/interests?{query}")
    assert (answer.status_code, (await answer.get_json())["code"]) == (422, "form_invalid")


async def test_a_draft_keeps_the_newest_and_is_its_users_own(vera: Browser, boris: Browser) -> None:
    newer = {"fields": {"topic": "Насос", "client_id": 7, "new": True, "tags": ["a"], "due": None}, "revision": 3}
    kept = await vera.put("/api/drafts/d1", newer)
    assert (await kept.get_json())["fields"] == newer["fields"]
    late = await vera.put("/api/drafts/d1", {"fields": {"topic": "Нас"}, "revision": 2})
    assert (late.status_code, (await late.get_json())["code"]) == (409, "draft_newer")
    assert (await boris.put("/api/drafts/d1", {**newer, "revision": 9})).status_code == 409
    await boris.json("/api/drafts/d1", 404)
    assert (await boris.ask("DELETE", "/api/drafts/d1")).status_code == 204
    assert (await vera.json("/api/drafts/d1"))["revision"] == 3
    for fields in ({"topic": "a\u0000b"}, {"a b": 1}, {"topic": {"deep": 1}}, {"topic": "x" * 20_001}):
        assert (await vera.put("/api/drafts/d1", {"fields": fields, "revision": 9})).status_code == 422


async def test_a_user_has_no_more_wizards_than_anybody_fills(vera: Browser) -> None:
    for n in range(drafts.MOST):
        assert (await vera.put(f"/api/drafts/d{n}", {"fields": {}, "revision": 1})).status_code == 200
    assert (await vera.put("/api/drafts/more", {"fields": {}, "revision": 1})).status_code == 422
    assert (await vera.put("/api/drafts/d0", {"fields": {}, "revision": 2})).status_code == 200


async def test_missed_calls_wait_until_they_are_handled(stage: Stage, vera: Browser, boris: Browser) -> None:
    await vera.post("/api/clients", {"name": "Анна", "numbers": ["+79161234567"]})
    async with stage.services.database.transaction() as tx:
        for n, owner in enumerate(["boris", "sales", "service", None]):
            await missed.add(
                tx, f"c{n}:1:1", f"c{n}", "+79161234567", "+74951112233", owner, NOW + timedelta(minutes=n)
            )

    async def ids(browser: Browser, **query: str) -> list[str]:
        return [each["id"] for each in (await browser.json("/api/missed-calls", query_string=query))["items"]]

    assert await ids(boris) == ["c3:1:1", "c2:1:1", "c1:1:1", "c0:1:1"]
    assert await ids(boris, mine="true") == ["c1:1:1", "c0:1:1"]
    assert await ids(boris, owner="service") == ["c2:1:1"]
    first = await boris.json("/api/missed-calls/c0:1:1")
    assert (first["caller_national"], first["clients"][0]["name"]) == ("8 (916) 123-45-67", "Анна")
    for browser in (vera, boris):
        done = await (await browser.post("/api/missed-calls/c0:1:1/handle")).get_json()
        assert (done["closed_by"], done["outcome"]) == ("vera", "handled")
    assert await ids(boris, mine="true") == ["c1:1:1"]
    await vera.json("/api/missed-calls/none", 404)


async def test_tasks_are_ones_own_unless_one_oversees(stage: Stage, vera: Browser) -> None:
    async with stage.services.database.transaction() as tx:
        for n, assign in enumerate(["vera", "sales", "service"]):
            await tasks.add(tx, f"c1:{n}:1", "task", "c1", assign, "перезвонить", NOW + timedelta(minutes=n))
    mine = await vera.json("/api/tasks")
    assert [each["assign"] for each in mine["items"]] == ["sales", "vera"]
    await vera.json("/api/tasks", 403, query_string={"assigned": "service"})
    await stage.user("zoya", "supervisor")
    zoya = await stage.signed_in("zoya")
    assert (await zoya.json("/api/tasks"))["items"] == []
    assert len((await zoya.json("/api/tasks", query_string={"assigned": "service"}))["items"]) == 1
    closed = await (await vera.post("/api/tasks/c1:0:1/close")).get_json()
    assert closed["closed_by"] == "vera"
    assert [each["assign"] for each in (await vera.json("/api/tasks"))["items"]] == ["sales"]


async def test_notes_are_contacts_too(vera: Browser) -> None:
    await vera.post("/api/clients", {"name": "Анна"})
    for n in range(3):
        noted = await vera.post("/api/clients/1/interactions", {"topic": f"{n}", "body": "встреча\nв офисе"})
        assert (noted.status_code, (await noted.get_json())["employee"]) == (201, "vera")
    first = await vera.json("/api/clients/1/interactions", query_string={"limit": 2})
    rest = await vera.json("/api/clients/1/interactions", query_string={"limit": 2, "after": first["next"]})
    assert [each["topic"] for each in first["items"] + rest["items"]] == ["2", "1", "0"]
    assert rest["next"] is None
    for words in ("первые слова", "последние слова"):
        noted = await vera.post("/api/clients/1/interactions", {"topic": words, "call_id": "c1"})
        assert ((await noted.get_json())["kind"], noted.status_code) == ("call", 201)
    calls = [each for each in (await vera.json("/api/clients/1/interactions"))["items"] if each["kind"] == "call"]
    assert [(each["call_id"], each["topic"]) for each in calls] == [("c1", "последние слова")]
    await vera.json("/api/clients/9/interactions", 404)


async def test_people_are_those_of_the_active_version(vera: Browser) -> None:
    company = await vera.json("/api/company")
    assert (company["name"], company["timezone"], company["active_version"]) == ("Ромашка", "Europe/Moscow", 1)
    for_repair = await vera.json("/api/employees", query_string={"service_type": "repair"})
    assert [each["id"] for each in for_repair["items"]] == ["pyotr", "rita"]
    departments = (await vera.json("/api/departments"))["items"]
    assert departments[0] == {"id": "sales", "name": "Отдел продаж", "service_types": ["equipment", "consulting"]}
    assert [each["id"] for each in (await vera.json("/api/service-types"))["items"]] == [
        "equipment",
        "consulting",
        "repair",
    ]


async def test_presence_is_told_over_the_exchange(live: Stage) -> None:
    stage = live
    await stage.company()
    await stage.user("vera", "operator", "vera")
    await stage.user("zoya", "supervisor")
    vera, zoya = await stage.signed_in("vera"), await stage.signed_in("zoya")
    assert (await vera.put("/api/me/presence", {"presence": "present"})).status_code == 204
    assert (await vera.put("/api/floor/boris/presence", {"presence": "away"})).status_code == 403
    assert (await zoya.put("/api/floor/boris/presence", {"presence": "away"})).status_code == 204
    assert (await zoya.put("/api/floor/nobody/presence", {"presence": "away"})).status_code == 404
    nobody = await zoya.put("/api/me/presence", {"presence": "present"})
    assert (nobody.status_code, (await nobody.get_json())["code"]) == (409, "no_employee")

    async with asyncio.timeout(10):
        while True:
            floor = await vera.json("/api/floor")
            facts = {each["employee"]: each for each in floor["items"]}
            if facts["vera"]["presence"] and facts["boris"]["presence"]:
                break
            await asyncio.sleep(0.02)
    assert floor["connected"]
    assert (facts["vera"]["presence"], facts["vera"]["presence_at"]) == ("present", "2026-11-18T09:00:00.000Z")
    assert facts["boris"]["presence"] == "away"
    assert (facts["anna"]["presence"], facts["anna"]["line"]) == (None, None)


async def test_without_the_exchange_presence_says_so(vera: Browser) -> None:
    answer = await vera.put("/api/me/presence", {"presence": "present"})
    assert (answer.status_code, (await answer.get_json())["code"]) == (503, "exchange_unreachable")
    assert answer.headers["Retry-After"] == "2"
    assert (await vera.json("/api/floor"))["connected"] is False

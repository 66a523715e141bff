"""Clients through the API."""

from __future__ import annotations

import pytest

from tests.api.conftest import Browser, Stage

pytestmark = pytest.mark.anyio

ANNA = {"name": "Анна Петрова", "numbers": ["8 916 123-45-67"], "email": "anna@example.com"}


async def test_a_client_is_made_found_changed_and_merged(admin: Browser) -> None:
    made = await admin.post("/api/clients", ANNA)
    assert (made.status_code, made.headers["Location"], made.headers["ETag"]) == (201, "/api/clients/1", '"1"')
    client = await made.get_json()
    assert client["numbers"] == [{"number": "+79161234567", "national": "8 (916) 123-45-67"}]
    for typed in ("+7 (916) 1234567", "4567", "петро"):
        found = await admin.json("/api/clients", query_string={"q": typed})
        assert [each["id"] for each in found["items"]] == [1], typed

    changed = await admin.put("/api/clients/1", {**ANNA, "notes": "звонить\nутром"}, revision=1)
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    late = await admin.put("/api/clients/1", ANNA, revision=1)
    assert (late.status_code, late.headers["ETag"]) == (412, '"2"')
    blind = await admin.put("/api/clients/1", ANNA)
    assert (blind.status_code, (await blind.get_json())["code"]) == (428, "revision_needed")

    await admin.post("/api/clients", {"name": "А. Петрова", "numbers": ["+79161234568"]})
    merged = await admin.post("/api/clients/1/merge", {"merged": 2})
    assert [each["number"] for each in (await merged.get_json())["numbers"]] == ["+79161234567", "+79161234568"]
    assert (await admin.json("/api/clients/2"))["merged_into"] == 1


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": 1}, "body.name"),
        ({"nome": "x"}, "body.nome"),
        ({"name": "a\u0000b"}, "body.name"),
        ({"numbers": ["1"] * 51}, "body.numbers"),
        ({"member_of": 2**63}, "body.member_of"),
        ({"kind": "robot"}, "body.kind"),
    ],
)
async def test_what_is_no_form_is_told_by_its_place(admin: Browser, body: object, path: str) -> None:
    answer = await admin.post("/api/clients", body)
    assert (answer.status_code, answer.content_type) == (422, "application/problem+json")
    told = await answer.get_json()
    assert [each["path"] for each in told["errors"]] == [path]


@pytest.mark.parametrize(("body", "code"), [({"numbers": ["что?"]}, "bad_number"), ({"owner": "nobody"}, "refused")])
async def test_what_breaks_a_rule_is_refused(admin: Browser, body: object, code: str) -> None:
    answer = await admin.post("/api/clients", body)
    assert (answer.status_code, (await answer.get_json())["code"]) == (422, code)


@pytest.mark.parametrize(
    "path", ["/api/clients/7", "/api/clients/0", f"/api/clients/{2**63}", "/api/clients/x", "/api/nothing"]
)
async def test_what_is_not_there_is_404(admin: Browser, path: str) -> None:
    answer = await admin.get(path)
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


async def test_a_machine_reads_what_its_scopes_allow(stage: Stage, admin: Browser) -> None:
    await admin.post("/api/clients", ANNA)
    headers = {"Authorization": f"Bearer {await stage.token('clients:read')}"}
    machine = Browser(stage.app.test_client())
    assert (await machine.json("/api/clients/1", headers=headers))["name"] == ANNA["name"]
    refused = await machine.post("/api/clients", ANNA, headers=headers)
    assert (refused.status_code, (await refused.get_json())["code"]) == (403, "forbidden")
    unknown = await machine.get("/api/clients/1", headers={"Authorization": "Bearer kt_x"})
    assert (unknown.status_code, unknown.headers["WWW-Authenticate"]) == (401, 'Bearer realm="kommutator"')

"""The company's cards changed through the API."""

from __future__ import annotations

import pytest

from tests.api.conftest import Browser, Stage

pytestmark = [pytest.mark.anyio, pytest.mark.services]


async def test_a_changed_card_is_in_force_at_once_and_can_be_taken_back(stage: Stage, admin: Browser) -> None:
    await stage.company()
    lev = {
        "name": "Лев Соколов",
        "department": "service",
        "rank": 2,
        "endpoint": "PJSIP/109",
        "email": "lev@example.test",
    }
    kept = await admin.post("/api/company/cards", {"base": 1, "comment": "Лев в поддержке", "employees": {"lev": lev}})
    assert kept.status_code == 200, await kept.get_data(as_text=True)
    assert (await kept.get_json())["number"] == 2
    assert stage.changes == ["version"]
    employees = {each["id"]: each for each in (await admin.json("/api/employees"))["items"]}
    assert employees["lev"] == {"id": "lev", **lev, "mobile": None, "active": True}
    changes = (await admin.json("/api/versions/1/diff/2"))["changes"]
    assert {tuple(each["at"]) for each in changes} == {
        ("employees", "lev", key) for key in ("name", "department", "rank", "email")
    }
    assert (await admin.post("/api/activations/rollback", {})).status_code == 200
    assert (await admin.json("/api/company"))["active_version"] == 1


async def test_a_change_that_breaks_the_document_is_refused_and_nothing_is_kept(stage: Stage, admin: Browser) -> None:
    await stage.company()
    answer = await admin.post("/api/company/cards", {"base": 1, "departments": {"service": None}})
    assert answer.status_code == 422
    told = await answer.get_json()
    assert told["code"] == "company_invalid"
    assert {each["code"] for each in told["errors"]} == {"unknown_reference"}
    assert [each["number"] for each in (await admin.json("/api/versions"))["items"]] == [1]


async def test_a_change_of_what_is_no_longer_active_is_refused(stage: Stage, admin: Browser) -> None:
    await stage.company()
    body = {"base": 1, "service_types": {"advice": {"name": "Совет"}}}
    assert (await admin.post("/api/company/cards", body)).status_code == 200
    assert (await admin.post("/api/company/cards", body)).status_code == 412


async def test_without_a_company_there_is_nothing_to_change(admin: Browser) -> None:
    assert (await admin.post("/api/company/cards", {"base": 1})).status_code == 404

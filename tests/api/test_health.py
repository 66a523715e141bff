"""What watches the desk, and what the desk tells when its parts are away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from kommutator.crm import embedded
from kommutator.crm.embedded import PostgresSettings
from kommutator.crm.migrate import migrate
from kommutator.crm.pool import Database, DatabaseSettings
from kommutator.desk.app import openapi
from tests.api.conftest import Browser, Stage

pytestmark = pytest.mark.anyio


async def test_readiness_tells_what_is_wrong(stage: Stage) -> None:
    wrong: list[str] = []
    stage.services.checks["exchange"] = lambda: wrong[0] if wrong else None
    stage.services.checks["database"] = lambda: None
    browser = Browser(stage.app.test_client())
    assert await browser.json("/readyz") == {"ready": True, "checks": {"exchange": None, "database": None}}
    wrong.append("not connected")
    told = await browser.json("/readyz", 503)
    assert told == {"ready": False, "checks": {"exchange": "not connected", "database": None}}
    assert await browser.json("/healthz") == {"status": "ok"}


async def test_a_gateways_receipt_is_taken_or_refused(stage: Stage) -> None:
    browser = Browser(stage.app.test_client())
    await browser.json("/hooks/sms?id=7", 404)
    told: list[dict[str, str]] = []

    async def take(params: Mapping[str, str]) -> bool:
        told.append(dict(params))
        return params.get("token") == "t"

    stage.services.sms_receipt = take
    assert (await browser.get("/hooks/sms?token=t&id=7%00")).status_code == 200
    assert (await browser.ask("POST", "/hooks/sms?token=t", form={"id": "8"})).status_code == 200
    assert (await browser.post("/hooks/sms", {"token": "t", "id": 9})).status_code == 200
    assert (await browser.get("/hooks/sms?token=x&id=7")).status_code == 403
    assert told == [
        {"token": "t", "id": "7"},
        {"token": "t", "id": "8"},
        {"token": "t", "id": "9"},
        {"token": "x", "id": "7"},
    ]


async def test_requests_are_counted_by_route_and_not_by_address(stage: Stage) -> None:
    browser = Browser(stage.app.test_client())
    for path in ("/api/clients/123456", "/api/nothing/123456"):
        await browser.get(path)
    answer = await browser.get("/metrics")
    told = await answer.get_data(as_text=True)
    assert answer.content_type.startswith("text/plain")
    assert 'kommutator_desk_requests_total{method="GET",route="/api/clients/<id:client_id>",status="401"}' in told
    assert 'kommutator_desk_requests_total{method="GET",route="none",status="404"}' in told
    assert "/123456" not in told


async def test_every_request_has_its_line_in_the_log(stage: Stage) -> None:
    await stage.user("vera", "operator")
    browser = await stage.signed_in("vera")
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        await browser.get("/api/clients/7?x=secret", headers={"X-Request-ID": "r-1"})
    (line,) = [each for each in lines if each["event"] == "request"]
    assert line.pop("ms") >= 0
    assert line == {
        "event": "request", "log_level": "info", "request": "r-1", "method": "GET", "route": "/api/clients/<id:client_id>",
        "status": 404, "user": "vera",
    }  # fmt: skip


async def test_a_defect_is_told_without_its_insides(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)

    def broken() -> str | None:
        raise RuntimeError("the secret")

    stage.services.checks["broken"] = broken
    with capture_logs() as lines:
        answer = await Browser(stage.app.test_client()).get("/readyz")
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "secret" not in await answer.get_data(as_text=True)
    assert [each["log_level"] for each in lines if each["event"] == "request failed"] == ["error"]


async def test_without_the_database_the_desk_says_so_and_comes_back(
    server_folder: Path, staged: Callable[..., Stage]
) -> None:
    settings = PostgresSettings(data=server_folder / "away", options={"fsync": "off"})
    running = await asyncio.to_thread(embedded.start, settings)
    await migrate(running.dsn)
    async with Database.opened(DatabaseSettings(running.dsn, connections=2)) as database:
        stage = staged(database)
        await stage.user("vera", "operator")
        browser = await stage.signed_in("vera")
        await asyncio.to_thread(running.stop)
        for answer in (
            await browser.get("/api/me"),
            await browser.post("/api/sign-in", {"login": "vera", "password": "x"}),
        ):
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
            assert (await answer.get_json())["code"] == "database_unreachable"
        assert (await browser.get("/healthz")).status_code == 200
        running = await asyncio.to_thread(embedded.start, settings)
        assert (await browser.json("/api/me"))["login"] == "vera"
    await asyncio.to_thread(running.stop)


def test_the_document_names_every_form_once_and_has_examples() -> None:
    told = openapi()
    assert told["openapi"] == "3.1.0"
    assert "| `merge_clients` | manager | `clients:write` |" in told["info"]["description"]
    names = set(told["components"]["schemas"])
    assert {"Client", "ClientForm", "ClientCard", "Page_Interest_", "CallStory", "ProblemDetails"} <= names
    assert not [name for name in names if "__" in name or "-" in name], "two forms of one name"
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"].endswith("."), (path, method)
            assert operation["responses"], (path, method)

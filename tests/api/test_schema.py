"""The API against its own document: whatever the document allows is answered as it says, and what it forbids is refused."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from kommutator.crm import missed, outbox, recordings, tasks
from kommutator.desk.auth import cookies
from tests.api.conftest import NOW, Browser, Stage
from tests.api.serving import served

pytestmark = pytest.mark.anyio

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance,negative_data_rejection,missing_required_header,unsupported_method"
)
CONFIGURATION = """
[checks.missing_required_header]
expected-statuses = [400, 401, 403, 415, 422, 428]
"""
ENDS_SESSIONS = ("sign_out", "sign_out_everywhere", "sign_user_out", "set_user_password", "change_user")
"""Schemathesis asks for what it was told of: it ends its own session with these."""

ENDLESS = "follow_events"
"""An answer that lasts as long as the page does: `tests/live` reads it."""


@pytest.mark.timeout(1_200)
async def test_the_api_is_as_its_document_says(live: Stage, tmp_path: Path) -> None:
    stage = live
    await furnished(stage)
    browser = await stage.signed_in("root")
    async with served(stage.app) as address:
        excluded = [part for name in (*ENDS_SESSIONS, ENDLESS) for part in ("--exclude-operation-id", name)]
        await schemathesis(browser, address, tmp_path, *excluded)
        assert (await browser.json("/api/me"))["login"] == "root", "the session has ended: most of this was refused"
        for name in ENDS_SESSIONS:
            await stage.user(f"root-{name}", "administrator")
            browser = await stage.signed_in(f"root-{name}")
            await schemathesis(browser, address, tmp_path, "--include-operation-id", name)


async def furnished(stage: Stage) -> None:
    """A company with something of everything, and an administrator whose id no guess meets."""
    await stage.company()
    async with stage.services.database.transaction("admin") as tx:
        await tx.connection.execute("alter table users alter column id restart with 987654321")
        await missed.add(tx, "c1:1:1", "c1", "+79161234567", "+74951112233", "anna", NOW)
        await tasks.add(tx, "c1:1:2", "task", "c1", "anna", "перезвонить", NOW)
        await outbox.enqueue(tx, "c1:1:3", "sms", "+79161234567", {"text": "x", "template": "missed"}, NOW)
        await recordings.expect(tx, "c1-1", "voicemail", "c1", 3.5, NOW, assign="anna")
    await stage.user("root", "administrator", "anna")
    root = await stage.signed_in("root")
    made = await root.post("/api/clients", {"name": "Анна Петрова", "numbers": ["8 916 123-45-67"]})
    assert made.status_code == 201
    made = await root.post(
        "/api/enquiries", {"client_id": 1, "assignee": "boris", "topic": "Насос"}, headers={"Idempotency-Key": "d1"}
    )
    assert made.status_code == 201


async def schemathesis(browser: Browser, address: str, folder: Path, *options: str) -> None:
    """Runs it; its findings are the failure's text."""
    token = browser.cookie(cookies.SESSION)
    (folder / "schemathesis.toml").write_text(CONFIGURATION)
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "schemathesis"), "--no-color", "run", f"{address}/api/openapi.json",
        "--phases", "examples,coverage,fuzzing", "--checks", CHECKS, "--max-examples", "12",
        "--generation-deterministic", "--seed", "1", "--warnings", "off",
        "--generation-with-security-parameters", "false", "--continue-on-failure", "--request-timeout", "20",
        "-H", f"Cookie:{cookies.SESSION}={token}", "-H", f"X-CSRF-Token:{cookies.csrf_token(token)}",
        *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=folder,
    )  # fmt: skip
    told, _ = await process.communicate()
    (folder / "told.txt").write_bytes(told)
    assert process.returncode == 0, told.decode()[-20_000:]

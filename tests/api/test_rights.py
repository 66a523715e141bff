"""Who may do what: every route, asked by everybody."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from kommutator.crm.accounts import SCOPES
from kommutator.desk.app import every_operation, openapi
from kommutator.desk.auth.rights import ROLES
from tests.api.conftest import Browser, Stage

pytestmark = pytest.mark.anyio

TABLE: Final = """
GET    /healthz                                      anybody
GET    /readyz                                       anybody
GET    /metrics                                      anybody
GET    /hooks/sms                                    anybody
POST   /hooks/sms                                    anybody
POST   /api/sign-in                                  anybody
POST   /api/sign-out                                 operator
POST   /api/sign-out-everywhere                      operator
GET    /api/me                                       operator
PUT    /api/me                                       operator
PUT    /api/me/password                              operator
PUT    /api/me/presence                              operator
GET    /api/me/interests                             operator
GET    /api/me/softphone                             operator
GET    /api/drafts                                   operator
GET    /api/drafts/{draft_id}                        operator
PUT    /api/drafts/{draft_id}                        operator
DELETE /api/drafts/{draft_id}                        operator
POST   /api/enquiries                                operator
GET    /api/clients                                  operator       clients:read
POST   /api/clients                                  operator       clients:write
GET    /api/clients/{client_id}                      operator       clients:read
PUT    /api/clients/{client_id}                      operator       clients:write
GET    /api/clients/{client_id}/card                 operator       clients:read
POST   /api/clients/{client_id}/merge                manager        clients:write
GET    /api/clients/{client_id}/interactions         operator       clients:read
POST   /api/clients/{client_id}/interactions         operator       clients:write
GET    /api/clients/{client_id}/calls                operator       calls:read
GET    /api/interests                                operator       interests:read
POST   /api/interests                                operator       interests:write
GET    /api/interests/{interest_id}                  operator       interests:read
PUT    /api/interests/{interest_id}                  operator       interests:write
GET    /api/interests/{interest_id}/history          operator       interests:read
GET    /api/calls                                    operator       calls:read
GET    /api/calls/going-on                           operator       calls:read
GET    /api/calls/summary                            operator       calls:read
GET    /api/calls/{call_id}                          operator       calls:read
GET    /api/recordings/{name}                        operator       calls:read
GET    /api/recordings/{name}/sound                  operator       calls:read
POST   /api/recordings/{name}/heard                  operator       calls:write
GET    /api/missed-calls                             operator       missed:read
GET    /api/missed-calls/{missed_id}                 operator       missed:read
POST   /api/missed-calls/{missed_id}/handle          operator       missed:write
GET    /api/tasks                                    operator       tasks:read
POST   /api/tasks/{task_id}/close                    operator       tasks:write
GET    /api/notices                                  supervisor     notices:read
GET    /api/notices/counts                           supervisor     notices:read
GET    /api/notices/{notice_id}                      supervisor     notices:read
POST   /api/notices/{notice_id}/again                supervisor     notices:write
GET    /api/company                                  operator       employees:read
GET    /api/employees                                operator       employees:read
GET    /api/departments                              operator       employees:read
GET    /api/service-types                            operator       employees:read
GET    /api/floor                                    operator       presence:read
PUT    /api/floor/{employee}/presence                supervisor     presence:write
GET    /api/events                                   operator
POST   /api/calls/{call_id}/orders                   operator
POST   /api/call-backs                               operator
GET    /api/phones                                   operator
PUT    /api/phones/{endpoint}/hand                   operator
POST   /api/phones/{endpoint}/answer                 operator
POST   /api/phones/{endpoint}/decline                operator
POST   /api/phones/{endpoint}/hang_up                operator
POST   /api/phones/{endpoint}/hold                   operator
POST   /api/phones/calls                             operator
GET    /api/phones/calls/{call_id}                   operator
POST   /api/phones/calls/{call_id}/keys              operator
POST   /api/phones/calls/{call_id}/speech            operator
POST   /api/phones/calls/{call_id}/hang_up           operator
GET    /api/versions                                 supervisor     versions:read
POST   /api/versions                                 administrator  versions:write
POST   /api/versions/check                           supervisor     versions:read
GET    /api/versions/{number}                        supervisor     versions:read
GET    /api/versions/{number}/report                 supervisor     versions:read
GET    /api/versions/{number}/files                  supervisor     versions:read
GET    /api/versions/{number}/document               supervisor     versions:read
GET    /api/versions/{old}/diff/{new}                supervisor     versions:read
POST   /api/versions/{number}/activate               administrator  versions:write
POST   /api/versions/{number}/cards                  administrator  versions:write
GET    /api/activations                              supervisor     versions:read
POST   /api/activations/rollback                     administrator  versions:write
GET    /api/users                                    administrator
POST   /api/users                                    administrator
GET    /api/users/{user_id}                          administrator
PUT    /api/users/{user_id}                          administrator
PUT    /api/users/{user_id}/password                 administrator
POST   /api/users/{user_id}/sign-out                 administrator
GET    /api/tokens                                   administrator
POST   /api/tokens                                   administrator
DELETE /api/tokens/{token_id}                        administrator
GET    /api/audit                                    administrator
"""
ROUTES: Final = [tuple((*line.split(), "")[:4]) for line in TABLE.strip().splitlines()]


_CONVERTED: Final = re.compile(r"<\w+:")


def address(path: str) -> str:
    """The route with keys of things that are not there."""
    return re.sub(r"\{\w+\}", "987654", path)


async def code_of(browser: Browser, method: str, path: str, **options: Any) -> tuple[int, str]:
    """What an address answers to a request without a body: its status, and the code of its problem."""
    answer = await browser.ask(method, address(path), **options)
    told = await answer.get_json() if answer.content_type == "application/problem+json" else {}
    return answer.status_code, told.get("code", "")


def test_the_table_has_every_route() -> None:
    written = {f"{each.method} {_CONVERTED.sub('{', each.path).replace('>', '}')}" for each in every_operation()}
    assert {f"{method} {path}" for method, path, _, _ in ROUTES} == written
    told = openapi()["paths"]
    assert {f"{method.upper()} {path}" for path, methods in told.items() for method in methods} == written


async def test_nobody_may_anything_without_signing_in(stage: Stage) -> None:
    stranger = Browser(stage.app.test_client())
    for method, path, least, _ in ROUTES:
        status, code = await code_of(stranger, method, path)
        expected = least != "anybody"
        assert (status == 401 and code == "not_signed_in") == expected, (method, path, status, code)


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_may_what_the_table_says(stage: Stage, role: str) -> None:
    await stage.user("vera", role)  # type: ignore[arg-type]
    browser = await stage.signed_in("vera")
    for method, path, least, _ in ROUTES:
        status, code = await code_of(browser, method, path)
        allowed = least == "anybody" or ROLES.index(role) >= ROLES.index(least)
        assert (status == 403 and code == "forbidden") == (not allowed), (method, path, status, code)
        assert status != 401 and code != "csrf", (method, path)
        assert status < 500, (method, path, status)
        if path.startswith("/api/sign-out"):
            browser = await stage.signed_in("vera")


async def test_a_token_may_what_its_scope_says_and_nothing_else(stage: Stage) -> None:
    machine = Browser(stage.app.test_client())
    for method, path, least, scope in ROUTES:
        if least == "anybody":
            continue
        everything_else = await stage.token(*(SCOPES - {scope}))
        status, code = await code_of(machine, method, path, headers={"Authorization": f"Bearer {everything_else}"})
        assert (status, code) == (403, "forbidden"), (method, path)
        if scope:
            just_it = await stage.token(scope)
            status, code = await code_of(machine, method, path, headers={"Authorization": f"Bearer {just_it}"})
            assert status not in (401, 403) and status < 500, (method, path, status, code)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_whatever_changes_something_needs_the_token_of_the_session(stage: Stage, method: str) -> None:
    await stage.user("root", "administrator")
    browser = await stage.signed_in("root")
    right, browser.csrf = browser.csrf, ""
    for its_method, path, least, _ in ROUTES:
        if its_method != method or least == "anybody":
            continue
        for given in ({}, {"X-CSRF-Token": "x"}, {"X-CSRF-Token": right[:-1]}, {"X-CSRF-Token": "п"}):
            assert await code_of(browser, method, path, headers=given) == (403, "csrf"), (path, given)
    assert (await browser.json("/api/me"))["csrf"] == right

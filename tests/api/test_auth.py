"""Sign-in over real HTTP: cookies, sessions, throttling, what other sites may not do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import httpx
import pytest

from kommutator.crm.pool import Database
from kommutator.desk.requests import GUARDS
from tests.api.conftest import NOW, PASSWORD, Stage
from tests.api.serving import served

pytestmark = pytest.mark.anyio

VERA = {"login": "vera", "password": PASSWORD}


@pytest.fixture
async def address(stage: Stage) -> AsyncIterator[str]:
    """A desk that is served, with an operator."""
    await stage.user("vera", "operator")
    async with served(stage.app) as url:
        yield url


@pytest.fixture
async def http(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser."""
    async with httpx.AsyncClient(base_url=address) as client:
        yield client


async def signed_in(http: httpx.AsyncClient, password: str = PASSWORD) -> None:
    """Signs in, and sends the token from then on."""
    answer = await http.post("/api/sign-in", json={**VERA, "password": password})
    assert answer.status_code == 200, answer.text
    http.headers["X-CSRF-Token"] = answer.json()["csrf"]


async def test_signing_in_gives_a_cookie_that_scripts_cannot_read(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/sign-in", json=VERA)
    session, csrf = answer.headers.get_list("set-cookie")
    assert session.startswith("kommutator=") and {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(session.split("; "))
    assert csrf.startswith(f"kommutator-csrf={answer.json()['csrf']};") and "HttpOnly" not in csrf
    assert answer.json()["csrf"] not in session
    me = await http.get("/api/me")
    assert (me.status_code, me.json()["login"], me.json()["role"]) == (200, "vera", "operator")
    assert "password" not in me.text


async def test_behind_https_the_cookies_are_bound_to_this_host(db: Database, staged: Callable[..., Stage]) -> None:
    stage = staged(db, secure=True)
    await stage.user("vera", "operator")
    async with served(stage.app) as url, httpx.AsyncClient(base_url=url) as http:
        answer = await http.post("/api/sign-in", json=VERA)
        for name, cookie in zip(
            ("__Host-kommutator=", "__Host-kommutator-csrf="), answer.headers.get_list("set-cookie"), strict=True
        ):
            assert cookie.startswith(name) and "Secure" in cookie.split("; ") and "Domain" not in cookie
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        token = answer.headers.get_list("set-cookie")[0].partition("=")[2].partition(";")[0]
        assert (await http.get("/api/me", headers={"Cookie": f"__Host-kommutator={token}"})).status_code == 200
        assert (await http.get("/api/me", headers={"Cookie": f"kommutator={token}"})).status_code == 401


async def test_signing_out_ends_the_session_and_not_only_the_cookie(http: httpx.AsyncClient) -> None:
    await signed_in(http)
    kept = dict(http.cookies)
    answer = await http.post("/api/sign-out")
    assert answer.status_code == 204 and not dict(http.cookies)
    http.cookies.update(kept)
    assert (await http.get("/api/me")).status_code == 401


async def test_signing_out_everywhere_ends_every_browsers_session(http: httpx.AsyncClient, address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as other:
        await signed_in(http)
        await signed_in(other)
        assert (await http.post("/api/sign-out-everywhere")).status_code == 204
        assert (await other.get("/api/me")).status_code == 401


async def test_another_password_ends_the_other_sessions_and_keeps_this_one(
    http: httpx.AsyncClient, address: str
) -> None:
    async with httpx.AsyncClient(base_url=address) as other:
        await signed_in(http)
        await signed_in(other)
        wrong = await http.put("/api/me/password", json={"old": "wrong horse", "new": "another horse"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "sign_in_refused")
        short = await http.put("/api/me/password", json={"old": PASSWORD, "new": "tiny"})
        assert (short.status_code, [each["path"] for each in short.json()["errors"]]) == (422, ["body.new"])
        assert "tiny" not in short.text and "horse" not in wrong.text
        done = await http.put("/api/me/password", json={"old": PASSWORD, "new": "another horse"})
        assert done.status_code == 200
        assert (await http.get("/api/me")).status_code == 200
        assert (await other.get("/api/me")).status_code == 401
        stale = await http.post("/api/sign-out")
        assert (stale.status_code, stale.json()["code"]) == (403, "csrf")
        assert (await http.post("/api/sign-out", headers={"X-CSRF-Token": done.json()["csrf"]})).status_code == 204
        await signed_in(http, "another horse")


async def test_a_wrong_login_and_a_wrong_password_are_told_alike(http: httpx.AsyncClient) -> None:
    told = [
        await http.post("/api/sign-in", json=each)
        for each in ({"login": "vera", "password": "wrong horse"}, {"login": "nobody", "password": PASSWORD})
    ]
    assert [each.status_code for each in told] == [401, 401]
    assert told[0].json() == told[1].json()
    assert not any(each.cookies for each in told)


async def test_failures_close_a_login_for_a_while(http: httpx.AsyncClient, stage: Stage) -> None:
    for _ in range(3):
        assert (await http.post("/api/sign-in", json={**VERA, "password": "wrong horse"})).status_code == 401
    closed = await http.post("/api/sign-in", json=VERA)
    assert (closed.status_code, closed.headers["retry-after"], closed.json()["code"]) == (
        429,
        "300",
        "sign_in_throttled",
    )
    stage.clock.now = NOW + timedelta(seconds=301)
    await signed_in(http)


async def test_many_guesses_at_once_find_the_login_closed_too(http: httpx.AsyncClient) -> None:
    guesses = [http.post("/api/sign-in", json={**VERA, "password": f"guess {n:04}"}) for n in range(16)]
    answers = [each.status_code for each in await asyncio.gather(*guesses)]
    assert (answers.count(401), answers.count(429)) == (3, 13)


async def test_failures_from_an_address_close_it_for_every_login(http: httpx.AsyncClient) -> None:
    guesses = [{"login": f"guess{n}", "password": PASSWORD} for n in range(20)]
    for guess in guesses:
        assert (await http.post("/api/sign-in", json=guess)).status_code == 401
    assert (await http.post("/api/sign-in", json=VERA)).status_code == 429


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.test"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_sites_page_can_do_nothing(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    await signed_in(http)
    for path in ("/api/sign-out", "/api/sign-in"):
        answer = await http.post(path, headers=headers, json=VERA)
        assert (answer.status_code, answer.json()["code"]) == (403, "csrf")
    assert (await http.get("/api/me")).status_code == 200


async def test_our_own_page_can(http: httpx.AsyncClient, address: str) -> None:
    await signed_in(http)
    headers = {"Origin": address, "Sec-Fetch-Site": "same-origin"}
    assert (await http.post("/api/sign-out", headers=headers)).status_code == 204


async def test_a_body_that_a_form_of_another_site_could_send_is_not_taken(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/sign-in", content='{"login": "vera"}', headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert (await http.post("/api/sign-in", data={"login": "vera"})).status_code == 415


async def test_a_session_ends_when_it_was_not_used(http: httpx.AsyncClient, stage: Stage) -> None:
    await signed_in(http)
    stage.clock.now = NOW + timedelta(hours=12, seconds=1)
    assert (await http.get("/api/me")).status_code == 401


async def test_a_body_beyond_the_limit_is_refused(http: httpx.AsyncClient) -> None:
    await signed_in(http)
    large = b'{"name": "' + b"x" * 1_100_000 + b'"}'

    async def piecemeal() -> AsyncIterator[bytes]:
        for at in range(0, len(large), 100_000):
            yield large[at : at + 100_000]

    json = {"Content-Type": "application/json"}
    for content in (large, piecemeal()):
        answer = await http.post("/api/clients", content=content, headers=json)
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


async def test_every_answer_guards_the_browser_and_names_its_request(http: httpx.AsyncClient) -> None:
    for path, status in (("/healthz", 200), ("/api/me", 401), ("/api/nothing", 404)):
        answer = await http.get(path, headers={"X-Request-ID": "abc-1"})
        assert answer.status_code == status
        assert {name: answer.headers[name] for name in GUARDS} == GUARDS
        assert answer.headers["x-request-id"] == "abc-1"
    strange = await http.get("/healthz", headers={"X-Request-ID": "a b"})
    assert len(strange.headers["x-request-id"]) == 32
    assert (await http.get("/api/me")).headers["cache-control"] == "no-store"


async def test_a_method_that_an_address_does_not_know_is_told(http: httpx.AsyncClient) -> None:
    answer = await http.delete("/api/me")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert {"GET", "PUT"} <= {each.strip() for each in answer.headers["allow"].split(",")}


async def test_what_is_no_json_is_told(http: httpx.AsyncClient) -> None:
    for content in (b"{", b"", b"\xff", b'{"login": "\\ud800"}'):
        answer = await http.post("/api/sign-in", content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_json"), content

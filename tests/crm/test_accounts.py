"""Accounts: passwords, sessions, throttling, tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher

from kommutator.crm import accounts, audit, drafts
from kommutator.crm.accounts import AccountSettings, User
from kommutator.crm.pool import Database
from kommutator.errors import Conflict, Refused, SignInRefused, SignInThrottled

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 18, 9, tzinfo=UTC)
SETTINGS = AccountSettings(
    session_s=3600,
    longest_session_s=7200,
    failures_of_login=3,
    failures_of_address=5,
    throttle_s=300,
    hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1),
)


@pytest.fixture
async def vera(db: Database) -> User:
    """An operator."""
    async with db.transaction("admin") as tx:
        return await accounts.create_user(tx, "Vera", "Вера", "operator", "correct horse", NOW, SETTINGS)


async def sign_in(
    db: Database, password: str, now: datetime = NOW, login: str = "vera", address: str = "127.0.0.1"
) -> str:
    token, session = await accounts.sign_in(db, login, password, address, now, SETTINGS)
    assert session.user.login == "vera"
    return token


async def test_a_session_is_opened_prolonged_and_closed(db: Database, vera: User) -> None:
    token = await sign_in(db, "correct horse", login=" VERA ")
    async with db.transaction() as tx:
        assert (await accounts.session(tx, token, NOW, SETTINGS)).user == vera
        half = NOW + timedelta(minutes=50)
        assert (await accounts.session(tx, token, half, SETTINGS)).expires_at == half + timedelta(hours=1)
        later = NOW + timedelta(minutes=100)
        assert (await accounts.session(tx, token, later, SETTINGS)).expires_at == NOW + timedelta(hours=2)
        with pytest.raises(SignInRefused):
            await accounts.session(tx, token, NOW + timedelta(hours=2), SETTINGS)
        await accounts.sign_out(tx, token)
        with pytest.raises(SignInRefused):
            await accounts.session(tx, token, NOW, SETTINGS)
        assert token.encode() not in (
            await tx.value("select coalesce(string_agg(token_hash, ''), '') from sessions where company_id = $1")
        )


@pytest.mark.parametrize(("login", "password"), [("vera", "wrong horse"), ("nobody", "correct horse"), ("vera", "")])
@pytest.mark.usefixtures("vera")
async def test_a_wrong_login_or_password_is_refused_alike(db: Database, login: str, password: str) -> None:
    with pytest.raises(SignInRefused) as caught:
        await sign_in(db, password, login=login)
    assert str(caught.value) == "the login or the password is wrong"


@pytest.mark.usefixtures("vera")
async def test_failures_close_a_login_for_a_while_even_to_the_right_password(db: Database) -> None:
    for n in range(3):
        with pytest.raises(SignInRefused):
            await sign_in(db, "wrong horse", NOW + timedelta(seconds=n))
    with pytest.raises(SignInThrottled) as caught:
        await sign_in(db, "correct horse", NOW + timedelta(seconds=100))
    assert caught.value.retry_after_s == 200
    await sign_in(db, "correct horse", NOW + timedelta(seconds=301))


@pytest.mark.usefixtures("vera")
async def test_failures_from_an_address_close_it_for_all_logins(db: Database) -> None:
    for n in range(5):
        with pytest.raises(SignInRefused):
            await sign_in(db, "x", login=f"guess{n}")
    with pytest.raises(SignInThrottled):
        await sign_in(db, "correct horse")
    await sign_in(db, "correct horse", address="127.0.0.2")


async def test_whoever_is_closed_or_changes_the_password_is_signed_out(db: Database, vera: User) -> None:
    token = await sign_in(db, "correct horse")
    async with db.transaction("admin") as tx:
        await accounts.set_password(tx, vera.id, "another horse", SETTINGS)
        with pytest.raises(SignInRefused):
            await accounts.session(tx, token, NOW, SETTINGS)
    with pytest.raises(SignInRefused):
        await sign_in(db, "correct horse")
    token = await sign_in(db, "another horse")
    async with db.transaction("admin") as tx:
        closed = await accounts.change_user(tx, vera.id, 1, name="Вера", role="manager", employee=None, active=False)
        assert (closed.role, closed.active, closed.revision) == ("manager", False, 2)
        with pytest.raises(Conflict):
            await accounts.change_user(tx, vera.id, 1, name="Вера", role="manager", employee=None, active=True)
    with pytest.raises(SignInRefused):
        await sign_in(db, "another horse")
    async with db.transaction() as tx:
        assert "horse" not in str(await audit.read(tx, subject="user", subject_id=vera.id))


@pytest.mark.usefixtures("vera")
async def test_a_login_is_one_persons_and_a_password_is_no_word(db: Database) -> None:
    async with db.transaction("admin") as tx:
        for login, password, employee in (
            ("VERA", "long enough", None),
            ("anna", "short", None),
            ("anna", "long enough", "x"),
        ):
            with pytest.raises(Refused):
                await accounts.create_user(tx, login, "", "operator", password, NOW, SETTINGS, employee=employee)
        assert [user.login for user in await accounts.users(tx)] == ["vera"]


@pytest.mark.usefixtures("vera")
async def test_a_better_hash_replaces_a_weaker_one_at_sign_in(db: Database) -> None:
    better = AccountSettings(hasher=PasswordHasher(time_cost=2, memory_cost=8, parallelism=1))
    await accounts.sign_in(db, "vera", "correct horse", "127.0.0.1", NOW, better)
    async with db.transaction() as tx:
        assert "t=2" in await tx.value("select password_hash from users where company_id = $1")
    await sign_in(db, "correct horse")


async def test_a_token_allows_its_scopes_until_it_is_revoked(db: Database) -> None:
    async with db.transaction("admin") as tx:
        token, made = await accounts.create_token(tx, "crm", ["clients:read"], NOW, expires_at=NOW + timedelta(days=1))
        assert (await accounts.api_token(tx, token, NOW)).scopes == {"clients:read"}
        assert [each.used_at for each in await accounts.tokens(tx)] == [NOW]
        with pytest.raises(SignInRefused):
            await accounts.api_token(tx, token, NOW + timedelta(days=1))
        await accounts.revoke_token(tx, made.id, NOW)
        for wrong in (token, "kt_guess"):
            with pytest.raises(SignInRefused):
                await accounts.api_token(tx, wrong, NOW)
        with pytest.raises(Refused):
            await accounts.create_token(tx, "crm", ["everything"], NOW)


async def test_a_draft_keeps_the_newest_of_what_was_typed(db: Database, vera: User) -> None:
    async with db.transaction("vera") as tx:
        other = await accounts.create_user(tx, "anna", "Анна", "operator", "correct horse", NOW, SETTINGS)
        assert await drafts.keep(tx, "d", vera.id, {"topic": "Нас"}, 1, NOW, call_id="c1")
        assert await drafts.keep(tx, "d", vera.id, {"topic": "Насос"}, 3, NOW)
        assert not await drafts.keep(tx, "d", vera.id, {"topic": "Насо"}, 2, NOW)
        assert not await drafts.keep(tx, "d", other.id, {"topic": "чужое"}, 9, NOW)
        (draft,) = await drafts.of_user(tx, vera.id)
        assert (draft.content, draft.revision, draft.call_id) == ({"topic": "Насос"}, 3, "c1")
        assert not await drafts.discard(tx, "d", other.id)
        assert await drafts.discard(tx, "d", vera.id)
        assert await drafts.of_user(tx, vera.id) == []

"""Who may do what: users with passwords and roles, their sessions, and tokens for machines.

Passwords are kept as argon2id hashes, tokens as SHA-256 of 256 random bits. What is a secret is returned once, when
it is made.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

import asyncpg
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from kommutator.crm import audit
from kommutator.crm.pool import Database, Row, Tx
from kommutator.errors import (
    AccountTaken,
    Conflict,
    LastAdministrator,
    NotFound,
    PasswordLength,
    Refused,
    SignInRefused,
    SignInThrottled,
)

Role = Literal["operator", "manager", "supervisor", "administrator"]
MIN_PASSWORD: Final = 8
MAX_PASSWORD: Final = 1_024
SCOPES: Final = frozenset(
    f"{subject}:{right}"
    for subject in ("clients", "interests", "calls", "missed", "tasks", "notices", "employees", "presence", "versions")
    for right in ("read", "write")
)
"""What a token may be allowed."""


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """How sign-in is guarded."""

    session_s: float = 12 * 3600
    """A session ends so long after it was last seen."""
    longest_session_s: float = 30 * 24 * 3600
    """…and so long after the sign-in at the latest."""
    failures_of_login: int = 5
    """So many wrong passwords of one login within `throttle_s` close it for others until that time is over."""
    failures_of_address: int = 50
    """So many from one address."""
    throttle_s: float = 300.0
    hasher: PasswordHasher = field(default_factory=PasswordHasher)
    """argon2id as RFC 9106 recommends for little memory: 64 MiB, 3 passes, 4 lanes; about 0.1 s of one core."""


@dataclass(frozen=True, slots=True)
class User:
    """A person who signs in."""

    id: int
    login: str
    name: str
    role: Role
    employee: str | None
    """The employee of the company document who this is."""
    active: bool
    revision: int


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in user."""

    user: User
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A machine's right."""

    id: int
    name: str
    scopes: frozenset[str]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked_at: datetime | None


# --- users


async def create_user(
    tx: Tx,
    login: str,
    name: str,
    role: Role,
    password: str,
    now: datetime,
    settings: AccountSettings,
    *,
    employee: str | None = None,
) -> User:
    """A new user. Raises `Refused`: the login is taken, the employee is unknown or has an account, the password is
    too short."""
    hashed = await _hashed(password, settings)
    try:
        async with tx.connection.transaction():
            row = await tx.one(
                f"""insert into users (company_id, login, name, role, employee, password_hash, created_at)
                    values ($1, $2, $3, $4, $5, $6, $7) returning {_USER}""",
                _login(login), name, role, employee, hashed, now,
            )  # fmt: skip
    except asyncpg.UniqueViolationError as error:
        raise AccountTaken("the login is taken, or the employee has an account already") from error
    except (asyncpg.ForeignKeyViolationError, asyncpg.CheckViolationError) as error:
        raise Refused("an account has a login, a known role, and a known employee if any") from error
    assert row is not None
    made = User(**dict(row))
    await audit.record(tx, "user.create", "user", made.id, {"login": made.login, "role": role, "employee": employee})
    return made


async def change_user(
    tx: Tx, user_id: int, revision: int, *, name: str, role: Role, employee: str | None, active: bool
) -> User:
    """Writes over a user at that revision; one who is no longer active is signed out everywhere. Raises `NotFound`,
    `Conflict`, `Refused`."""
    await tx.value("select pg_advisory_xact_lock($1::integer, hashtext('administrators'))")
    before = await get_user(tx, user_id, lock=True)
    if before.revision != revision:
        raise Conflict("user", user_id, before.revision)
    if before.role == "administrator" and before.active and not (role == "administrator" and active):
        others = await tx.fetch(
            """select id from users where company_id = $1 and role = 'administrator' and active and id <> $2
               limit 1""",
            user_id,
        )
        if not others:
            raise LastAdministrator("the last administrator stays one")
    try:
        async with tx.connection.transaction():
            row = await tx.one(
                f"""update users set name = $3, role = $4, employee = $5, active = $6, revision = revision + 1
                    where company_id = $1 and id = $2 returning {_USER}""",
                user_id, name, role, employee, active,
            )  # fmt: skip
    except asyncpg.IntegrityConstraintViolationError as error:
        raise AccountTaken("the role or the employee is unknown, or the employee has an account already") from error
    assert row is not None
    if not active:
        await sign_out_everywhere(tx, user_id)
    else:
        await tx.tell("session", user=user_id)
    await audit.record(tx, "user.change", "user", user_id, {"role": role, "employee": employee, "active": active})
    return User(**dict(row))


async def set_password(tx: Tx, user_id: int, password: str, settings: AccountSettings) -> None:
    """Another password; the user is signed out everywhere. Raises `NotFound`, `Refused`."""
    await _set_hash(tx, user_id, await _hashed(password, settings))


async def get_user(tx: Tx, user_id: int, *, lock: bool = False) -> User:
    """One user. Raises `NotFound`."""
    row = await tx.one(
        f"select {_USER} from users where company_id = $1 and id = $2" + (" for update" if lock else ""), user_id
    )
    if row is None:
        raise NotFound("user", user_id)
    return User(**dict(row))


async def users(tx: Tx) -> list[User]:
    """All users by login."""
    return [
        User(**dict(row)) for row in await tx.fetch(f"select {_USER} from users where company_id = $1 order by login")
    ]


# --- sessions


async def sign_in(
    database: Database,
    login: str,
    password: str,
    address: str,
    now: datetime,
    settings: AccountSettings,
    *,
    agent: str = "",
) -> tuple[str, Session]:
    """Opens a session; its token is for the cookie. The hash is computed in a thread, while no connection is held.

    An attempt counts as failed until it has succeeded, so that many guesses at once find the login closed as well.

    Raises `SignInRefused`, as late for a login that does not exist as for a wrong password; `SignInThrottled`,
    without a look at the password, after too many failures of this login or from this address.
    """
    user, hashed, attempt = await _proved(database, _login(login), password, address, now, settings)
    again = await _hashed(password, settings) if settings.hasher.check_needs_rehash(hashed) else None
    async with database.transaction(user.login) as tx:
        if again is not None:
            await tx.run("update users set password_hash = $3 where company_id = $1 and id = $2", user.id, again)
        await _forgiven(tx, user.login, attempt, now, settings)
        opened = await _open_session(tx, user, address, agent, now, settings)
        await audit.record(tx, "user.sign_in", "user", user.id, {"address": address})
    return opened


async def change_password(
    database: Database,
    user: User,
    old: str,
    new: str,
    address: str,
    now: datetime,
    settings: AccountSettings,
    *,
    agent: str = "",
) -> tuple[str, Session]:
    """Another password for a user who knows his present one; all his sessions end, and this new one is opened.

    Raises `Refused` for a new password that is none; `SignInRefused` and `SignInThrottled` as `sign_in`.
    """
    _, _, attempt = await _proved(database, user.login, old, address, now, settings)
    hashed = await _hashed(new, settings)
    async with database.transaction(user.login) as tx:
        await _forgiven(tx, user.login, attempt, now, settings)
        await _set_hash(tx, user.id, hashed)
        return await _open_session(tx, user, address, agent, now, settings)


async def session(tx: Tx, token: str, now: datetime, settings: AccountSettings) -> Session:
    """The session of a cookie. It is prolonged, at most once a minute, so that most requests only read: one row by key.

    Raises `SignInRefused`.
    """
    row = await tx.one(
        """select u.id, u.login, u.name, u.role, u.employee, u.active, u.revision, s.created_at, s.expires_at, s.seen_at
           from sessions s join users u on u.company_id = s.company_id and u.id = s.user_id
           where s.company_id = $1 and s.token_hash = $2 and s.expires_at > $3 and u.active""",
        _token_hash(token), now,
    )  # fmt: skip
    if row is None:
        raise SignInRefused("not signed in")
    expires = row["expires_at"]
    if now - row["seen_at"] > timedelta(minutes=1):
        last = row["created_at"] + timedelta(seconds=settings.longest_session_s)
        expires = min(last, now + timedelta(seconds=settings.session_s))
        await tx.run(
            "update sessions set seen_at = $3, expires_at = $4 where company_id = $1 and token_hash = $2",
            _token_hash(token), now, expires,
        )  # fmt: skip
    user = User(**{key: row[key] for key in User.__slots__})
    return Session(user, row["created_at"], expires)


async def sessions_going_on(tx: Tx, now: datetime) -> int:
    """How many sessions have not ended. One index range."""
    many: int = await tx.value("select count(*) from sessions where company_id = $1 and expires_at > $2", now)
    return many


async def sign_out(tx: Tx, token: str) -> None:
    """Ends a session, if there is one."""
    user_id = await tx.value(
        "delete from sessions where company_id = $1 and token_hash = $2 returning user_id", _token_hash(token)
    )
    if user_id is not None:
        await tx.tell("session", user=user_id)


async def sign_out_everywhere(tx: Tx, user_id: int) -> int:
    """Ends all sessions of a user; how many there were."""
    await tx.tell("session", user=user_id)
    return await tx.run("delete from sessions where company_id = $1 and user_id = $2", user_id)


# --- tokens for machines


async def create_token(
    tx: Tx, name: str, scopes: Sequence[str], now: datetime, *, expires_at: datetime | None = None
) -> tuple[str, ApiToken]:
    """A token, told only now, and what is kept of it. Raises `Refused` for an unknown scope, or none."""
    unknown = set(scopes) - SCOPES
    if unknown or not scopes or not name:
        raise Refused(f"a token has a name and scopes of {', '.join(sorted(SCOPES))}")
    token = f"kt_{secrets.token_urlsafe(32)}"
    row = await tx.one(
        f"""insert into api_tokens (company_id, token_hash, name, scopes, created_by, created_at, expires_at)
            values ($1, $2, $3, $4, $5, $6, $7) returning {_TOKEN}""",
        _token_hash(token), name, sorted(set(scopes)), tx.actor, now, expires_at,
    )  # fmt: skip
    made = _api_token(row)
    await audit.record(tx, "token.create", "token", made.id, {"name": name, "scopes": sorted(made.scopes)})
    return token, made


async def api_token(tx: Tx, token: str, now: datetime) -> ApiToken:
    """What a token allows. One row by index; its use is noted at most once a minute. Raises `SignInRefused`."""
    row = await tx.one(
        f"""select {_TOKEN} from api_tokens where company_id = $1 and token_hash = $2 and revoked_at is null
            and (expires_at is null or expires_at > $3)""",
        _token_hash(token), now,
    )  # fmt: skip
    if row is None:
        raise SignInRefused("the token is unknown, has expired, or was revoked")
    if row["used_at"] is None or now - row["used_at"] > timedelta(minutes=1):
        await tx.run("update api_tokens set used_at = $3 where company_id = $1 and id = $2", row["id"], now)
    return _api_token(row)


async def revoke_token(tx: Tx, token_id: int, now: datetime) -> None:
    """The token is worth nothing any more. Raises `NotFound`."""
    done = await tx.run(
        "update api_tokens set revoked_at = coalesce(revoked_at, $3) where company_id = $1 and id = $2", token_id, now
    )
    if not done:
        raise NotFound("token", token_id)
    await audit.record(tx, "token.revoke", "token", token_id)


async def tokens(tx: Tx) -> list[ApiToken]:
    """All tokens, the newest first."""
    return [
        _api_token(row)
        for row in await tx.fetch(f"select {_TOKEN} from api_tokens where company_id = $1 order by id desc")
    ]


# --- inside


async def _proved(
    database: Database, login: str, password: str, address: str, now: datetime, settings: AccountSettings
) -> tuple[User, str, int]:
    """The user whose password it is, its hash, and the attempt that was noted before it was tried."""
    since = now - timedelta(seconds=settings.throttle_s)
    async with database.transaction("sign-in") as tx:
        for guarded in sorted({f"login {login}", f"address {address}"}):
            await tx.value("select pg_advisory_xact_lock($1::integer, hashtext($2))", guarded)
        await _throttle(tx, login, address, since, now, settings)
        attempt: int = await tx.value(
            "insert into sign_in_failures (company_id, login, address, at) values ($1, $2, $3, $4) returning id",
            login, address, now,
        )  # fmt: skip
        row = await tx.one(f"select {_USER}, password_hash from users where company_id = $1 and login = $2", login)
    hashed: str | None = row["password_hash"] if row is not None and row["active"] else None
    fits = await asyncio.to_thread(_fits, settings.hasher, hashed, password)
    if not fits or row is None or hashed is None:
        raise SignInRefused("the login or the password is wrong")
    return User(**{key: row[key] for key in User.__slots__}), hashed, attempt


async def _forgiven(tx: Tx, login: str, attempt: int, now: datetime, settings: AccountSettings) -> None:
    """The attempt was none that failed; what failed before it is forgotten, and so is what is too old to count."""
    since = now - timedelta(seconds=settings.throttle_s)
    await tx.run(
        "delete from sign_in_failures where company_id = $1 and (id = $2 or login = $3 or at < $4)",
        attempt, login, since,
    )  # fmt: skip


async def _set_hash(tx: Tx, user_id: int, hashed: str) -> None:
    done = await tx.run("update users set password_hash = $3 where company_id = $1 and id = $2", user_id, hashed)
    if not done:
        raise NotFound("user", user_id)
    await sign_out_everywhere(tx, user_id)
    await audit.record(tx, "user.password", "user", user_id)


async def _open_session(
    tx: Tx, user: User, address: str, agent: str, now: datetime, settings: AccountSettings
) -> tuple[str, Session]:
    token = secrets.token_urlsafe(32)
    expires = now + timedelta(seconds=min(settings.session_s, settings.longest_session_s))
    await tx.run("delete from sessions where company_id = $1 and expires_at < $2", now)
    await tx.run(
        """insert into sessions (company_id, token_hash, user_id, created_at, seen_at, expires_at, address, agent)
           values ($1, $2, $3, $4, $4, $5, $6, $7)""",
        _token_hash(token), user.id, now, expires, address, agent[:500],
    )  # fmt: skip
    return token, Session(user, now, expires)


async def _throttle(
    tx: Tx, login: str, address: str, since: datetime, now: datetime, settings: AccountSettings
) -> None:
    for column, value, allowed in (
        ("login", login, settings.failures_of_login),
        ("address", address, settings.failures_of_address),
    ):
        failures = await tx.fetch(
            f"""select at from sign_in_failures where company_id = $1 and {column} = $2 and at > $3
                order by at desc limit $4""",
            value, since, allowed,
        )  # fmt: skip
        if len(failures) >= allowed:
            wait = failures[-1]["at"] + timedelta(seconds=settings.throttle_s) - now
            raise SignInThrottled(max(1, round(wait.total_seconds())))


async def _hashed(password: str, settings: AccountSettings) -> str:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise PasswordLength(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    return await asyncio.to_thread(settings.hasher.hash, password)


def _fits(hasher: PasswordHasher, hashed: str | None, password: str) -> bool:
    """Whether the password is that of the hash. A login that does not exist takes as long."""
    try:
        if hashed is None:
            hasher.hash(password[: MAX_PASSWORD + 1])
            return False
        return hasher.verify(hashed, password[: MAX_PASSWORD + 1])
    except (VerificationError, InvalidHashError):
        return False


def _login(text: str) -> str:
    return text.strip().casefold()


def _token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _api_token(row: Row | None) -> ApiToken:
    assert row is not None
    return ApiToken(**{**dict(row), "scopes": frozenset(row["scopes"])})


_USER = "id, login, name, role, employee, active, revision"
_TOKEN = "id, name, scopes, created_by, created_at, expires_at, used_at, revoked_at"

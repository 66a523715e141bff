"""Sign-in, sign-out, and the own profile."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address, ip_network

from quart import Response, request

from kommutator.crm import accounts, attendance
from kommutator.crm.accounts import Session
from kommutator.desk import etags
from kommutator.desk.auth import cookies
from kommutator.desk.auth.forms import Me, PasswordChange, Profile, SignIn
from kommutator.desk.forms import dumped
from kommutator.desk.live.attendance import COMES_BACK
from kommutator.desk.operations import JSON, Asked, Feature

feature = Feature("me", "Sign-in, sign-out and the own profile")


@feature.post("/api/sign-in", body=SignIn, returns=Me, revision=True, also=(401, 403, 429))
async def sign_in(asked: Asked, body: SignIn) -> Response:
    """Opens a session, which a cookie carries.

    Whoever has a phone and was offline is present as soon as his page listens; who had left it as away is away again.
    A wrong login and a wrong password are told alike, and take alike. After several failures of a login, or many from
    an address, the answer is 429 for a while.
    """
    token, session = await accounts.sign_in(
        asked.services.database,
        body.login,
        body.password,
        _address(),
        asked.now,
        asked.services.accounts,
        agent=request.headers.get("User-Agent", ""),
    )
    if session.user.employee is not None:
        async with asked.services.database.transaction(session.user.login) as tx:
            await attendance.arrived(tx, session.user.employee, asked.now, asked.now - COMES_BACK)
    return _signed_in(asked, token, session)


@feature.post("/api/sign-out")
async def sign_out(asked: Asked) -> Response:
    """Ends this session."""
    async with asked.transaction() as tx:
        await accounts.sign_out(tx, asked.who.session_token or "")
    return _signed_out(asked)


@feature.post("/api/sign-out-everywhere")
async def sign_out_everywhere(asked: Asked) -> Response:
    """Ends all sessions of this user, in every browser."""
    async with asked.transaction() as tx:
        await accounts.sign_out_everywhere(tx, asked.who.user.id)
    return _signed_out(asked)


@feature.get("/api/me", returns=Me, revision=True)
async def get_me(asked: Asked) -> Me:
    """Whoever is signed in."""
    assert asked.who.session is not None and asked.who.session_token is not None
    return _me(asked.who.session_token, asked.who.session)


@feature.put("/api/me", body=Profile, returns=Me, revision=True, if_match=True)
async def change_me(asked: Asked, revision: int, body: Profile) -> Me:
    """Changes the own name."""
    session, user = asked.who.session, asked.who.user
    assert session is not None and asked.who.session_token is not None
    async with asked.transaction() as tx:
        changed = await accounts.change_user(
            tx, user.id, revision, name=body.name, role=user.role, employee=user.employee, active=True
        )
    return _me(asked.who.session_token, Session(changed, session.created_at, session.expires_at))


@feature.put("/api/me/password", body=PasswordChange, returns=Me, revision=True, also=(429,))
async def change_my_password(asked: Asked, body: PasswordChange) -> Response:
    """Changes the own password: all other sessions end, and this one goes on under a new token.

    A wrong old password is told as 401 with the code `sign_in_refused`, and counts as a failed sign-in.
    """
    token, session = await accounts.change_password(
        asked.services.database,
        asked.who.user,
        body.old,
        body.new,
        _address(),
        asked.now,
        asked.services.accounts,
        agent=request.headers.get("User-Agent", ""),
    )
    return _signed_in(asked, token, session)


def _address() -> str:
    """Where the request comes from, for the throttle: of IPv6 the network, since one home has all addresses of it."""
    try:
        address = ip_address(request.remote_addr or "")
    except ValueError:
        return ""
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)


def _signed_in(asked: Asked, token: str, session: Session) -> Response:
    me = _me(token, session)
    response = Response(dumped(me), 200, {"ETag": etags.of(me.revision)}, content_type=JSON)
    cookies.give(response, token, asked.services.secure, round(asked.services.accounts.longest_session_s))
    return response


def _signed_out(asked: Asked) -> Response:
    response = Response(b"", 204)
    cookies.take(response, asked.services.secure)
    return response


def _me(token: str, session: Session) -> Me:
    user = session.user
    return Me(
        id=user.id,
        login=user.login,
        name=user.name,
        role=user.role,
        employee=user.employee,
        revision=user.revision,
        csrf=cookies.csrf_token(token),
        expires_at=session.expires_at,
    )

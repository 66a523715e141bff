"""The cookies of a session, and the token against requests forged by other sites."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from quart import Response, request

SESSION: Final = "kommutator"
CSRF: Final = "kommutator-csrf"


def session_name(secure: bool) -> str:
    """The prefix binds the cookie to this very host, by https (RFC 6265bis, 4.1.3)."""
    return f"__Host-{SESSION}" if secure else SESSION


def csrf_name(secure: bool) -> str:
    """The one that the page's script reads."""
    return f"__Host-{CSRF}" if secure else CSRF


def session_token(secure: bool) -> str | None:
    """What the browser sent."""
    return request.cookies.get(session_name(secure)) or None


def csrf_token(session: str) -> str:
    """The token that a page has to send in `X-CSRF-Token`: derived from the session's, so that a cookie planted by a
    neighbouring host fits no session."""
    digest = hmac.digest(session.encode(), b"kommutator csrf", hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def give(response: Response, session: str, secure: bool, max_age_s: int) -> None:
    """Signs the browser in."""
    response.set_cookie(
        session_name(secure), session, max_age=max_age_s, path="/", secure=secure, httponly=True, samesite="Lax"
    )
    response.set_cookie(
        csrf_name(secure),
        csrf_token(session),
        max_age=max_age_s,
        path="/",
        secure=secure,
        httponly=False,
        samesite="Lax",
    )


def take(response: Response, secure: bool) -> None:
    """Signs the browser out."""
    for name, hidden in ((session_name(secure), True), (csrf_name(secure), False)):
        response.delete_cookie(name, path="/", secure=secure, httponly=hidden, samesite="Lax")

"""Who asks: a browser's session, or a machine's token; and whether this request is allowed him."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from quart import request

from kommutator.crm import accounts
from kommutator.crm.accounts import ApiToken, Session, User
from kommutator.desk.auth import cookies
from kommutator.desk.auth.rights import RIGHTS, Right
from kommutator.desk.problems import Problem
from kommutator.desk.services import Services
from kommutator.errors import SignInRefused

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="kommutator"'}


@dataclass(frozen=True, slots=True)
class Who:
    """Whoever asks."""

    session: Session | None = None
    session_token: str | None = None
    machine: ApiToken | None = None

    @property
    def user(self) -> User:
        """The person. Only for operations that no machine may do."""
        assert self.session is not None
        return self.session.user

    @property
    def employee(self) -> str | None:
        """The employee who this is, if he is one."""
        return self.session.user.employee if self.session is not None else None

    @property
    def actor(self) -> str:
        """For histories and the audit."""
        if self.session is not None:
            return self.session.user.login
        return f"token:{self.machine.name}" if self.machine is not None else "nobody"

    def at_least(self, right: Right) -> bool:
        """Whether this person, or this machine, has a right."""
        if self.session is not None:
            return right.of_role(self.session.user.role)
        if self.machine is not None:
            return right.scope is not None and right.scope in self.machine.scopes
        return right.role is None


async def admitted(services: Services, operation: str, now: datetime) -> Who:
    """Whoever asks for an operation, when he may. Raises `Problem` 401 or 403."""
    right = RIGHTS[operation]
    if right.role is None:
        if request.method not in _SAFE:
            _same_site()
        return Who()
    who = await _known(services, now)
    if who.session_token is not None and request.method not in _SAFE:
        _same_site()
        given = request.headers.get("X-CSRF-Token", "")
        if not hmac.compare_digest(given.encode(), cookies.csrf_token(who.session_token).encode()):
            raise Problem(403, "csrf", "send the token of your session in X-CSRF-Token")
    if not who.at_least(right):
        needed = f"the scope {right.scope}" if who.machine is not None and right.scope else f"the role {right.role}"
        raise Problem(403, "forbidden", f"this needs {needed}")
    return who


async def _known(services: Services, now: datetime) -> Who:
    given = request.headers.get("Authorization")
    try:
        if given is not None:
            kind, _, token = given.partition(" ")
            if kind.casefold() != "bearer" or not token.strip():
                raise SignInRefused("only tokens are known here: Authorization: Bearer")
            async with services.database.transaction() as tx:
                return Who(machine=await accounts.api_token(tx, token.strip(), now))
        token = cookies.session_token(services.secure) or ""
        if not token:
            raise SignInRefused("not signed in")
        async with services.database.transaction() as tx:
            return Who(await accounts.session(tx, token, now, services.accounts), token)
    except SignInRefused as error:
        raise Problem(401, "not_signed_in", str(error), headers=_CHALLENGE) from None


def _same_site() -> None:
    """A browser tells where a request comes from; what tells nothing is no browser, and has no cookie of ours.

    Raises `Problem` 403 for a request that another site's page has made.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Problem(403, "csrf", "the request comes from another site")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise Problem(403, "csrf", "the request comes from another site")

"""Who may do what: the one table. It is part of the API's document, and a test walks it route by route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

from kommutator.crm.accounts import Role

ROLES: Final[tuple[Role, ...]] = get_args(Role)
"""From the one who may least; each may what those before him may."""


@dataclass(frozen=True, slots=True)
class Right:
    """Who may do an operation."""

    role: Role | None
    """The least role; None: anybody, without signing in."""
    scope: str | None = None
    """What a machine's token needs; None: no token is enough."""

    def of_role(self, role: Role) -> bool:
        """Whether a user of this role may."""
        return self.role is None or ROLES.index(role) >= ROLES.index(self.role)


ANYBODY: Final = Right(None)
SIGNED_IN: Final = Right("operator")

RIGHTS: Final[Mapping[str, Right]] = {
    # the process
    "health": ANYBODY,
    "readiness": ANYBODY,
    "metrics": ANYBODY,
    # oneself
    "sign_in": ANYBODY,
    "sign_out": SIGNED_IN,
    "sign_out_everywhere": SIGNED_IN,
    "get_me": SIGNED_IN,
    "change_me": SIGNED_IN,
    "change_my_password": SIGNED_IN,
    # clients
    "search_clients": Right("operator", "clients:read"),
    "get_client": Right("operator", "clients:read"),
    "create_client": Right("operator", "clients:write"),
    "change_client": Right("operator", "clients:write"),
    "merge_clients": Right("manager", "clients:write"),
}
"""By the operation's name."""


def table() -> str:
    """The rights in words, for the document."""
    lines = ["| operation | least role | scope of a token |", "|---|---|---|"]
    lines += [
        f"| `{name}` | {right.role or 'anybody'} | {f'`{right.scope}`' if right.scope else '–'} |"
        for name, right in RIGHTS.items()
    ]
    return "\n".join(lines)

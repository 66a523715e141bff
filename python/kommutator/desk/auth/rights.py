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

OVERSEES: Final = Right("supervisor", "tasks:read")
"""Who sees the tasks of others."""
ENDS_ALL: Final = Right("supervisor")
"""Who ends calls of others."""
HEARS_ALL: Final = Right("manager", "calls:read")
"""Who hears recordings that are for others."""

RIGHTS: Final[Mapping[str, Right]] = {
    # the process
    "health": ANYBODY,
    "readiness": ANYBODY,
    "metrics": ANYBODY,
    # a gateway, by its own token
    "hear_sms_receipt": ANYBODY,
    "take_sms_receipt": ANYBODY,
    # oneself
    "sign_in": ANYBODY,
    "sign_out": SIGNED_IN,
    "sign_out_everywhere": SIGNED_IN,
    "get_me": SIGNED_IN,
    "change_me": SIGNED_IN,
    "change_my_password": SIGNED_IN,
    "set_my_presence": SIGNED_IN,
    "my_interests": SIGNED_IN,
    "get_my_softphone": SIGNED_IN,
    "list_drafts": SIGNED_IN,
    "get_draft": SIGNED_IN,
    "keep_draft": SIGNED_IN,
    "discard_draft": SIGNED_IN,
    # live; what may be done with a call depends on who has it
    "follow_events": SIGNED_IN,
    "give_order": SIGNED_IN,
    "call_back": SIGNED_IN,
    # virtual phones, where a PBX is simulated
    "list_phones": SIGNED_IN,
    "take_phone_in_hand": SIGNED_IN,
    "answer_phone": SIGNED_IN,
    "decline_phone": SIGNED_IN,
    "put_phone_down": SIGNED_IN,
    "get_virtual_call": SIGNED_IN,
    "speak_message": SIGNED_IN,
    "press_hold_key": SIGNED_IN,
    "place_call": SIGNED_IN,
    "press_keys": SIGNED_IN,
    "hang_up_call": SIGNED_IN,
    # clients
    "search_clients": Right("operator", "clients:read"),
    "get_client": Right("operator", "clients:read"),
    "get_client_card": Right("operator", "clients:read"),
    "create_client": Right("operator", "clients:write"),
    "change_client": Right("operator", "clients:write"),
    "merge_clients": Right("manager", "clients:write"),
    "list_interactions": Right("operator", "clients:read"),
    "note_interaction": Right("operator", "clients:write"),
    # interests
    "list_interests": Right("operator", "interests:read"),
    "get_interest": Right("operator", "interests:read"),
    "get_interest_history": Right("operator", "interests:read"),
    "create_interest": Right("operator", "interests:write"),
    "change_interest": Right("operator", "interests:write"),
    "accept_enquiry": SIGNED_IN,
    # calls
    "list_calls": Right("operator", "calls:read"),
    "list_client_calls": Right("operator", "calls:read"),
    "list_calls_going_on": Right("operator", "calls:read"),
    "sum_up_calls": Right("operator", "calls:read"),
    "get_call": Right("operator", "calls:read"),
    "get_recording": Right("operator", "calls:read"),
    "get_sound": Right("operator", "calls:read"),
    "mark_heard": Right("operator", "calls:write"),
    # what calls leave behind
    "list_missed_calls": Right("operator", "missed:read"),
    "get_missed_call": Right("operator", "missed:read"),
    "handle_missed_call": Right("operator", "missed:write"),
    "list_tasks": Right("operator", "tasks:read"),
    "close_task": Right("operator", "tasks:write"),
    "list_notices": Right("supervisor", "notices:read"),
    "get_notice": Right("supervisor", "notices:read"),
    "count_notices": Right("supervisor", "notices:read"),
    "send_notice_again": Right("supervisor", "notices:write"),
    # the company
    "get_company": Right("operator", "employees:read"),
    "list_employees": Right("operator", "employees:read"),
    "list_departments": Right("operator", "employees:read"),
    "list_service_types": Right("operator", "employees:read"),
    "get_floor": Right("operator", "presence:read"),
    "set_presence": Right("supervisor", "presence:write"),
    "list_versions": Right("supervisor", "versions:read"),
    "get_version": Right("supervisor", "versions:read"),
    "get_report": Right("supervisor", "versions:read"),
    "list_version_files": Right("supervisor", "versions:read"),
    "get_document": Right("supervisor", "versions:read"),
    "diff_versions": Right("supervisor", "versions:read"),
    "list_activations": Right("supervisor", "versions:read"),
    "check_document": Right("supervisor", "versions:read"),
    "import_version": Right("administrator", "versions:write"),
    "change_cards": Right("administrator", "versions:write"),
    "activate_version": Right("administrator", "versions:write"),
    "roll_back": Right("administrator", "versions:write"),
    # accounts: no machine
    "list_users": Right("administrator"),
    "create_user": Right("administrator"),
    "get_user": Right("administrator"),
    "change_user": Right("administrator"),
    "set_user_password": Right("administrator"),
    "sign_user_out": Right("administrator"),
    "list_tokens": Right("administrator"),
    "create_token": Right("administrator"),
    "revoke_token": Right("administrator"),
    "list_audit": Right("administrator"),
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

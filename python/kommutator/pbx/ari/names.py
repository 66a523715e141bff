"""The names under which a call's parts live in Asterisk. All derive from the call, so that any router finds them again.

A caller's channel keeps the id that Asterisk gave it, which is the call's id. A leg is
`kt~<call>~<sequence>~<endpoint>`, with the sequence of the turn that began to ring it and the endpoint in base64url; a
playback is `kt~<call>~<sequence>~play`. The bridge in which the caller talks is `kt~<call>`, and that in which an
operator and a guest talk without him `kt~<call>~private`.
"""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from binascii import Error as Base64Error

GIVEN = "KOMMUTATOR_GIVEN"
"""Channel variable: the leg to which the caller was given away by a transfer; the call itself is over."""
TALK = "KOMMUTATOR_TALK"
"""Channel variable: the arrangement of the caller's conversation, as JSON, when it is more than two who talk."""
DIALLED = "KOMMUTATOR_DIALLED"
"""Variable of a leg: it was dialled, not only created."""


def leg_id(call: str, sequence: int | str, endpoint: str) -> str:
    """The channel id of a leg."""
    return f"kt~{call}~{sequence}~{urlsafe_b64encode(endpoint.encode()).decode().rstrip('=')}"


def is_ours(channel: str) -> bool:
    """Whether a channel is one that this software made, and no caller's."""
    return channel.startswith("kt~")


def parse_leg(channel: str) -> tuple[str, str] | None:
    """The call and the endpoint of a leg's channel id; None when it is not a leg of ours."""
    parts = channel.split("~")
    if len(parts) != 4 or parts[0] != "kt":
        return None
    try:
        endpoint = b64decode(parts[3] + "=" * (-len(parts[3]) % 4), altchars=b"-_", validate=True).decode()
    except (Base64Error, UnicodeDecodeError):
        return None
    return (parts[1], endpoint) if endpoint else None


def playback_id(call: str, sequence: int) -> str:
    """The id of what a turn plays."""
    return f"kt~{call}~{sequence}~play"


def bridge_id(call: str) -> str:
    """The id of the bridge in which the caller talks."""
    return f"kt~{call}"


def private_bridge_id(call: str) -> str:
    """The id of the bridge in which an operator and a guest talk without the caller."""
    return f"kt~{call}~private"


def parse_bridge(bridge: str) -> str | None:
    """The call of a bridge; None when it is not ours."""
    return bridge[3:].removesuffix("~private") if bridge.startswith("kt~") else None

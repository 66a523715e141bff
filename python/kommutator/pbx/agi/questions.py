"""What is asked of a channel: variables and functions, several in one command."""

from __future__ import annotations

import re

import msgspec

from kommutator.pbx.agi import dial
from kommutator.pbx.agi.session import Session
from kommutator.pbx.asterisk import STARTED, STATE

_AT_ONCE = 100
_CHANNEL = re.compile(r"[A-Za-z0-9]+/[A-Za-z0-9_.+@:;=*#-]+")
"""A channel's name that can be asked for without changing the question."""
_LAST_LETTERS = "0123456789abcdef"


class Found(msgspec.Struct, frozen=True):
    """What a channel had kept when it asked."""

    state: str
    started: str
    """The sequence of the turn whose action was begun last."""
    status: str
    """Of its last `Dial()`."""
    number: str
    """Who had answered that, by its dial string."""


async def values(session: Session, *expressions: str, channel: str = "") -> list[str]:
    """The values of expressions such as `${DIALSTATUS}`, which may have no `|` in them; of another channel if named.

    Raises `PbxUnreachable`, `PbxTimeout`.
    """
    arguments = ("|".join(expressions), channel) if channel else ("|".join(expressions),)
    reply = await session.command("GET FULL VARIABLE", *arguments, even_gone=True)
    found = (reply.text or "").split("|")
    return found if len(found) == len(expressions) else [""] * len(expressions)


async def found(session: Session) -> Found:
    """What the channel has kept."""
    names = (STATE, STARTED, "DIALSTATUS", "DIALEDPEERNUMBER")
    return Found(*await values(session, *[f"${{{name}}}" for name in names]))


async def is_alive(session: Session) -> bool:
    """Whether the caller is still there: a hang-up is told before the reply to any later command."""
    await session.command("NOOP", even_gone=True)
    return not session.hung_up


async def ends(session: Session, plan: dial.Plan, status: str) -> dict[str, str]:
    """How each phone ended, of a `Dial()` that is over without an answer."""
    (keys,) = await values(session, "${HANGUPCAUSE_KEYS()}")
    channels = [name for name in keys.split(",") if _CHANNEL.fullmatch(name)]
    causes: dict[str, str] = {}
    for at in range(0, len(channels), _AT_ONCE):
        some = channels[at : at + _AT_ONCE]
        causes |= zip(some, await values(session, *[f"${{HANGUPCAUSE({name},tech)}}" for name in some]), strict=True)
    return dial.ended(plan, status, causes)


async def living(session: Session) -> frozenset[str]:
    """The ids of all channels that Asterisk has.

    `CHANNELS()` has room for 4096 characters; asked by the last letter of their names, that is some 3000 channels.
    """
    parts = await values(session, *[f"${{CHANNELS({letter}$)}}" for letter in _LAST_LETTERS])
    names = [name for part in parts for name in part.split() if _CHANNEL.fullmatch(name)]
    return frozenset([(await values(session, "${UNIQUEID}", channel=name))[0] for name in names])


async def is_there(session: Session, channel: str) -> bool:
    """Whether there is a channel of this name; one whose name cannot be asked for counts as gone."""
    if not _CHANNEL.fullmatch(channel):
        return False
    return (await session.command("GET FULL VARIABLE", "${UNIQUEID}", channel, even_gone=True)).text is not None


async def device_states(session: Session, devices: list[str]) -> dict[str, str]:
    """The states of devices (`PJSIP/101`)."""
    safe = [device for device in devices if _CHANNEL.fullmatch(device)]
    states: dict[str, str] = {}
    for at in range(0, len(safe), _AT_ONCE):
        some = safe[at : at + _AT_ONCE]
        told = await values(session, *[f"${{DEVICE_STATE({device})}}" for device in some])
        states |= {device: state for device, state in zip(some, told, strict=True) if state}
    return states

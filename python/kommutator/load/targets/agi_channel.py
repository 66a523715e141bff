"""Asterisk's side of FastAGI without any I/O: one call's channel, its variables, and how it answers commands.

Commands that take their time are told to whoever plays the people of the call, and answered when he says how they went; all
others are answered at once. The facts are those of Asterisk's `res/res_agi.c` and `apps/app_dial.c` (20 to 22).

Which action a command belongs to is seen by `KOMMUTATOR_STATE`, which a router sets before each: what comes until the next is
one action's. Prompts are seen as files, recordings by name, and of a menu that keys are listened to, not which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from kommutator.errors import PbxProtocolError
from kommutator.pbx.agi.line import OVER
from kommutator.pbx.asterisk import CAUSES, STATE

LONGEST_LINE: Final = 8192
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ESCAPED = re.compile(r"\\(.)")
CAUSE_OF: Final[Mapping[str, str]] = {str(number): cause for cause, number in CAUSES.items()}
_MASTER: Final = "MASTER_CHANNEL("


class Doing(msgspec.Struct, frozen=True):
    """A command that is answered when somebody has acted: who hears it, and what of the contract's action can be seen."""

    kind: Literal["play", "menu", "key", "ring", "wait", "record", "hang_up", "end"]
    file: str = ""
    """Of what is played or recorded: the path, without extension."""
    phones: tuple[str, ...] = ()
    """Whom `Dial()` rings, by dial strings."""
    seconds: float = 0.0
    cause: str = "normal"


class Over(msgspec.Struct, frozen=True):
    """The router has said that the call is over."""


def greeting(call_id: str, script: str, channel: str, did: str, caller: str | None, *arguments: str) -> bytes:
    """The variables with which a connection begins."""
    number = "unknown" if caller is None else _one_line(caller)
    said = {
        "network": "yes",
        "network_script": script,
        "request": f"agi://load/{script}",
        "channel": channel,
        "language": "en",
        "type": "PJSIP",
        "uniqueid": call_id,
        "callerid": number,
        "calleridname": "unknown",
        "dnid": _one_line(did),
        "context": "load",
        "extension": _one_line(did),
        "priority": "1",
        "enhanced": "0.0",
    }
    said |= {f"arg_{place}": _one_line(argument) for place, argument in enumerate(arguments, 1)}
    return "".join(f"agi_{name}: {value}\n" for name, value in said.items()).encode() + b"\n"


class Lines:
    """Makes command lines of bytes, however these are split."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that these bytes complete. Raises `PbxProtocolError` for one that Asterisk would not take."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_LINE or any(len(line) > LONGEST_LINE for line in lines):
            raise PbxProtocolError(f"a command is longer than {LONGEST_LINE} bytes")
        return [line.decode(errors="replace") for line in lines]


class Channel:
    """The caller's channel, or that of a phone that has answered (`master` is then the caller's)."""

    def __init__(self, call_id: str, variables: Mapping[str, str], master: Channel | None = None) -> None:
        self.call_id = call_id
        self.variables = dict(variables)
        self.turns = 0
        """How many states were set: so many actions were begun, those among them of which a channel sees nothing."""
        self.causes: dict[str, str] = {}
        """Of the channels that the last `Dial()` made: how each ended, in SIP's words."""
        self._master = master

    def take(self, line: str) -> str | Doing | Over:
        """The answer to a command, or what somebody must act upon."""
        words = [bare or _ESCAPED.sub(r"\1", quoted) for quoted, bare in _WORD.findall(line)]
        match [word.upper() for word in words[:2]], words:
            case ["GET", "FULL"], [_, _, _, expressions, *channel]:
                return self._values(expressions, channel[0] if channel else None)
            case ["SET", "VARIABLE"], [_, _, name, value]:
                return self._set(name, value)
            case ["SET", "MUSIC"], [_, _, switch, *_]:
                return Doing("wait") if switch.upper() == "ON" else "200 result=0"
            case ["STREAM", "FILE"], [_, _, path, keys, *_]:
                return Doing("menu" if keys else "play", path)
            case ["WAIT", "FOR"], [_, _, _, milliseconds, *_]:
                return Doing("key", seconds=float(milliseconds) / 1000)
            case ["RECORD", "FILE"], [_, _, path, _, _, milliseconds, *_]:
                return Doing("record", path, seconds=float(milliseconds) / 1000)
            case ["EXEC", "DIAL"], [_, _, given]:
                phones, seconds, *_ = given.split(",")
                return Doing("ring", phones=tuple(phones.split("&")), seconds=float(seconds))
            case ["EXEC", "HANGUP"], [_, _, cause]:
                return Doing("hang_up", cause=CAUSE_OF.get(cause, "normal"))
            case ["EXEC", _] | ["NOOP", *_] | ["NOOP"], _:
                return "200 result=0"
            case _:
                return "510 Invalid or unknown command"

    def dialled(self, status: str, number: str = "", causes: Mapping[str, str] | None = None) -> None:
        """What a `Dial()` leaves in variables: its status, who had answered, and how the others' channels ended."""
        self.variables |= {"DIALSTATUS": status, "DIALEDPEERNUMBER": number}
        self.causes = dict(causes or {})

    def _set(self, name: str, value: str) -> str | Over:
        owner: Channel = self
        if self._master is not None and name.startswith(_MASTER):
            owner, name = self._master, name.removeprefix(_MASTER).removesuffix(")")
        owner.turns += name == STATE
        owner.variables[name] = value
        return Over() if name == OVER else "200 result=1"

    def _values(self, expressions: str, channel: str | None) -> str:
        if channel is not None:
            return "200 result=0"
        return f"200 result=1 ({'|'.join(map(self._value, expressions.split('|')))})"

    def _value(self, expression: str) -> str:
        name, _, arguments = expression.removeprefix("${").removesuffix("}").partition("(")
        match name:
            case "DEVICE_STATE":
                return "NOT_INUSE"
            case "HANGUPCAUSE_KEYS":
                return ",".join(self.causes)
            case "HANGUPCAUSE":
                return self.causes.get(arguments.partition(",")[0], "")
            case "CHANNEL":
                return self.call_id if self._master is None else self._master.call_id
            case _:
                return self.variables.get(name, "")


def channels_of(phones: Sequence[str], words: str) -> dict[str, str]:
    """The channels that `Dial()` makes for these dial strings, each of which ended in these words of SIP."""
    made: dict[str, str] = {}
    for place, phone in enumerate(phones):
        technology, _, rest = phone.partition("/")
        made[f"{technology}/{rest.rpartition('@')[2]}-{place:08x}"] = words
    return made


def looks_like(seen: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether an action, as far as a channel sees it, can be this one of the contract. Prompts are no part of it."""
    kind, other = seen["type"], wanted["type"]
    if kind == "ring" and other == "transfer":
        return [each["endpoint"] for each in seen["endpoints"]] == [wanted["to"]]
    if kind != other:
        return False
    if kind == "ring":
        return {each["endpoint"] for each in seen["endpoints"]} == {each["endpoint"] for each in wanted["endpoints"]}
    if kind == "talk":
        return bool(seen["endpoint"] == wanted["endpoint"])
    return kind != "hang_up" or bool(seen["cause"] == wanted["cause"])


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", "", text)

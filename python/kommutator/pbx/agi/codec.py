"""The protocol of FastAGI as a pure codec: bytes in, messages out, and commands into bytes.

Asterisk connects and tells the call's variables (`agi_uniqueid: …`, up to an empty line). From then on we send commands,
one a line, and Asterisk answers each with one reply; a line `HANGUP` comes between replies when the caller has gone.
The facts are those of Asterisk's `res/res_agi.c` (20 to 22).
"""

from __future__ import annotations

import re

import msgspec

from kommutator.errors import PbxProtocolError

LONGEST_COMMAND = 8190
"""Asterisk reads a line into 8192 bytes (`AGI_BUF_LEN`), and takes what is longer for two commands."""
_LONGEST_LINE = 65_536
_MOST_VARIABLES = 256
_LONGEST_REPLY = 65_536
_MOST_LINES = 512

_VARIABLE = re.compile(r"(agi_[a-z0-9_]{1,64}): ?(.*)", re.DOTALL)
_REPLY = re.compile(r"([0-9]{3})([ -])(.*)", re.DOTALL)
_RESULT = re.compile(r"result=([-0-9A-Da-d*#]*)(?: \((.*)\))?(?: endpos=(-?[0-9]+))?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Environment(msgspec.Struct, frozen=True):
    """The variables with which a connection begins, without `agi_`."""

    variables: dict[str, str]

    @property
    def arguments(self) -> tuple[str, ...]:
        """What the dialplan gave after the address: `AGI(agi://host/script,first,second)`."""
        found: list[str] = []
        while (value := self.variables.get(f"arg_{len(found) + 1}")) is not None:
            found.append(value)
        return tuple(found)


class Reply(msgspec.Struct, frozen=True):
    """The answer to a command: 200 done, 510 unknown, 511 not for a channel that has hung up, 520 wrongly used."""

    code: int
    result: str = ""
    """Of a 200: a number, or keys that were pressed."""
    text: str | None = None
    """Of a 200: what stands in parentheses; of another, its words."""
    endpos: int | None = None
    """Of a command that plays or records: where it ended, in samples."""

    @property
    def number(self) -> int:
        """The result as a number; -1 when it is none."""
        try:
            return int(self.result)
        except ValueError:
            return -1


class HungUp(msgspec.Struct, frozen=True):
    """The caller has gone. The connection stays, for commands that need no channel."""


Message = Environment | Reply | HungUp


class Decoder:
    """Makes messages of bytes, however these are split. After an error it takes nothing more."""

    def __init__(self) -> None:
        self._rest = b""
        self._variables: dict[str, str] | None = {}
        self._begun: list[str] = []
        """The lines of a reply that goes on."""
        self._broken = False

    def feed(self, data: bytes) -> list[Message]:
        """The messages that these bytes complete. Raises `PbxProtocolError`."""
        if self._broken:
            raise PbxProtocolError("the connection was broken off before")
        try:
            lines = (self._rest + data).split(b"\n")
            self._rest = lines.pop()
            found = [message for line in lines if (message := self._line(line)) is not None]
            if len(self._rest) > _LONGEST_LINE:
                raise PbxProtocolError(f"a line is longer than {_LONGEST_LINE} bytes")
        except PbxProtocolError:
            self._broken = True
            raise
        return found

    def _line(self, raw: bytes) -> Message | None:
        if len(raw) > _LONGEST_LINE:
            raise PbxProtocolError(f"a line is longer than {_LONGEST_LINE} bytes")
        line = raw.decode(errors="replace").removesuffix("\r")
        return self._greet(line, self._variables) if self._variables is not None else self._answer(line)

    def _greet(self, line: str, variables: dict[str, str]) -> Environment | None:
        if not line:
            if "uniqueid" not in variables:
                raise PbxProtocolError("a connection begins with the variables of a call")
            self._variables = None
            return Environment(variables)
        variable = _VARIABLE.fullmatch(line)
        if variable is None:
            raise PbxProtocolError(f"a connection begins with variables, not with {line[:80]!r}")
        if len(variables) >= _MOST_VARIABLES:
            raise PbxProtocolError(f"a connection begins with more than {_MOST_VARIABLES} variables")
        variables[variable[1].removeprefix("agi_")] = variable[2]
        return None

    def _answer(self, line: str) -> Message | None:
        if not self._begun and line == "HANGUP":
            return HungUp()
        begun = [*self._begun, line]
        reply = _REPLY.fullmatch("\n".join(begun))
        if reply is None:
            raise PbxProtocolError(f"a reply begins with its code, not with {line[:80]!r}")
        if len(begun) > _MOST_LINES or sum(map(len, begun)) > _LONGEST_REPLY:
            raise PbxProtocolError(f"a reply is longer than {_MOST_LINES} lines or {_LONGEST_REPLY} characters")
        goes_on = (reply[2] == "-" and (len(begun) == 1 or not line.startswith(f"{reply[1]} "))) or (
            reply[1] == "200" and _has_open_text(reply[3])
        )
        self._begun = begun if goes_on else []
        return None if goes_on else _reply(int(reply[1]), reply[3])


def _has_open_text(words: str) -> bool:
    """Whether a value in parentheses goes on in the next line: a variable may have any content."""
    return " (" in words and _RESULT.fullmatch(words) is None


def _reply(code: int, words: str) -> Reply:
    if code != 200:
        return Reply(code, text=words)
    result = _RESULT.fullmatch(words)
    if result is None:
        raise PbxProtocolError(f"a result cannot be read: {words[:80]!r}")
    return Reply(code, result[1], result[2], None if result[3] is None else int(result[3]))


def command(words: str, *arguments: str) -> bytes:
    """A command as it is sent, its arguments quoted. Raises `PbxProtocolError` for what cannot be sent."""
    parts = [words, *map(_quoted, arguments)]
    line = " ".join(parts).encode()
    if len(line) > LONGEST_COMMAND:
        raise PbxProtocolError(f"the command {words} is longer than {LONGEST_COMMAND} bytes")
    return line + b"\n"


def _quoted(argument: str) -> str:
    if _CONTROL.search(argument):
        raise PbxProtocolError(f"an argument has a control character: {argument[:80]!r}")
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

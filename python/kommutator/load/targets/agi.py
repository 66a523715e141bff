"""A FastAGI router under load: `agi://HOST:PORT/call`, played by whoever would be Asterisk.

A call is a connection. Its latency goes from the connecting to the first command of the first action; of a whole call, from each
answer to the first command of the next action. `agi://…/decide` is the dialplan that only asks what: a connection for
the arrival and one for each step, and the latency is that of the whole connection.

Of whole calls, `Chances` draw what people do. A phone that answers does so after `rings` seconds and talks for `talks`
(`agi://host:port/call?rings=2&talks=30`; 0 each unless told), by a connection of its own as Asterisk's would be; nobody's
time-out is waited for but that of a `wait`, which is the router's. Announcements are heard to their end.
"""

from __future__ import annotations

import errno
import math
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from itertools import takewhile
from time import perf_counter
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import trio

from kommutator.company.reader import load
from kommutator.errors import BadTarget, PbxProtocolError, TargetUnreachable
from kommutator.load.reference import Expected
from kommutator.load.target import Ask, Json, Options, Server, Told
from kommutator.load.targets import agi_calls, agi_steps
from kommutator.load.targets.agi_channel import looks_like
from kommutator.load.targets.agi_people import UNSEEN, Connection, People, transfers_of

_SCRIPTS: Final = ("call", "decide")
_GOODBYE_S: Final = 5.0
_TIMES: Final = ("rings", "talks")


def make(address: str, options: Options) -> AgiTarget:
    """The target at `agi://host:port/call` or `…/decide`. Raises `BadTarget`."""
    try:
        parts = urlsplit(address)
        host, port, script = parts.hostname, parts.port or 4573, parts.path.strip("/") or "call"
        given = {
            name: float(values[-1]) for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()
        }
    except ValueError as error:
        raise BadTarget(f"`{address}`: {error}") from error
    if not host or not address.startswith("agi://"):
        raise BadTarget(f"`{address}` is not of the form agi://HOST:PORT/call")
    if script not in _SCRIPTS:
        raise BadTarget(f"`{address}`: what is asked is {' or '.join(_SCRIPTS)}, not `{script}`")
    for name, value in given.items():
        if name not in _TIMES or not (0 <= value < math.inf):
            raise BadTarget(f"`{address}`: `{name}` is none of {', '.join(_TIMES)} in seconds")
    return AgiTarget(host, port, script, options, given.get("rings", 0.0), given.get("talks", 0.0))


class AgiTarget:
    """The router at `host`:`port`."""

    def __init__(self, host: str, port: int, script: str, options: Options, rings_s: float, talks_s: float) -> None:
        self._host = host
        self._port = port
        self._options = options
        self._times = (rings_s, talks_s)
        self._lead = agi_calls.lead if script == "call" else agi_steps.lead
        self._free = trio.Semaphore(options.connections)
        self._nursery: trio.Nursery | None = None
        self._transfers: frozenset[str] = frozenset()
        self._address: tuple[int, Any] = (socket.AF_INET, (host, port))
        self._leaving = 0
        """Callers who hang up, and whose router has not taken notice yet."""
        self._left = trio.Event()
        self._files: dict[str, str] = {}
        """By prompt, the file that it was heard from."""

    async def open(self, nursery: trio.Nursery) -> None:
        """Connect once, to see that somebody is there. Raises `TargetUnreachable`."""
        self._nursery = nursery
        if self._options.company is not None:
            self._transfers = transfers_of(load(self._options.company).document)
        try:
            family, _, _, _, address = (await trio.socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM))[
                0
            ]
            self._address = (family, address)
            await (await self._connect()).aclose()
        except OSError as error:
            raise TargetUnreachable(f"{self._host}:{self._port}: {os.strerror(error.errno or 0)}") from error

    async def ask(self, ask: Ask) -> Told:
        """One call, to its first action or to its end."""
        told = Told()
        opened: list[Connection] = []

        async def connect() -> Connection:
            connection = Connection(await self._connect())
            opened.append(connection)
            return connection

        goodbye: Callable[[], Awaitable[None]] | None = None
        async with self._free:
            told.sent_at = perf_counter()
            people = People(ask, self._options, told, *self._times, self._transfers)
            try:
                goodbye = await self._lead(people, connect)
            except PbxProtocolError as error:
                people.fails("protocol", str(error))
            except (trio.BrokenResourceError, OSError) as error:
                people.fails(_kind_of(error), str(error))
            finally:
                if goodbye is None:
                    _cut(opened)
        if goodbye is not None and self._nursery is not None:
            self._leaving += 1
            self._nursery.start_soon(self._say, goodbye, opened)
        return told

    async def _say(self, goodbye: Callable[[], Awaitable[None]], opened: Sequence[Connection]) -> None:
        """What is left of a call, after which nobody asks."""
        try:
            with trio.move_on_after(_GOODBYE_S):
                await goodbye()
        except (PbxProtocolError, trio.BrokenResourceError, OSError):
            pass
        finally:
            _cut(opened)
            self._leaving -= 1
            if not self._leaving:
                self._left.set()
                self._left = trio.Event()

    async def close(self) -> None:
        """Wait until the last callers have hung up; every call has its own connections."""
        with trio.move_on_after(_GOODBYE_S, shield=True):
            while self._leaving:
                await self._left.wait()

    def servers(self) -> Sequence[Server]:
        """Whoever listens there."""
        return [Server(tcp=(self._host, self._port))]

    def compare(self, expected: Expected, told: Told) -> str | None:
        """What is wrong with a call, as far as a channel sees it: prompts by whether each is always heard from one file."""
        seen = list(takewhile(lambda action: action["type"] != UNSEEN, told.actions))
        if not seen:
            return None
        wanted = expected.action
        if _prompt_of(wanted) and seen[0].get("file") and looks_like(seen[0], wanted):
            self._files.setdefault(wanted["prompt"], seen[0]["file"])
        return expected.verdict(Told(actions=seen, events=told.events[: len(seen) - 1]), self._is_like)

    def _is_like(self, seen: Json, wanted: Json) -> bool:
        file, prompt = seen.get("file"), _prompt_of(wanted)
        return looks_like(seen, wanted) and (not file or not prompt or self._files.get(prompt, file) == file)

    async def _connect(self) -> trio.SocketStream:
        sock = trio.socket.socket(self._address[0], socket.SOCK_STREAM)
        try:
            await sock.connect(self._address[1])
        except BaseException:
            sock.close()
            raise
        return trio.SocketStream(sock)


def _prompt_of(wanted: Json) -> str | None:
    """The prompt that is heard first: a menu's notice comes before it."""
    return None if wanted.get("notice") else wanted.get("prompt")


def _cut(opened: Sequence[Connection]) -> None:
    for connection in opened:
        connection.cut()


def _kind_of(error: Exception) -> str:
    """The kind of a failure of the network."""
    cause = error.__cause__ if isinstance(error, trio.BrokenResourceError) else error
    if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
        return "refused"
    return "reset"

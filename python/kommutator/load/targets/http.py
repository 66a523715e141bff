"""Queries over HTTP: `http://HOST:PORT`, `https://…`, `unix:PATH`; `POST /v1/calls`, and steps for whole calls.

httptools (llhttp, the parser of Node) reads the replies in 0.4 µs each, where h11 takes 36. No request is pipelined: a
connection that is kept has one at a time.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import httptools
import msgspec
import outcome
import trio

from kommutator.errors import BadTarget, TargetUnreachable
from kommutator.load.reference import Expected
from kommutator.load.target import Ask, Options, Server, Told

_ARRIVALS: Final = "/v1/calls"
_STEPS: Final = "/v1/calls/step"
_READ: Final = 64 * 1024
_CONNECT_S: Final = 10.0
_SURE_S: Final = 1.0
"""A connection idle for longer is looked at before it is used: servers close those that nobody uses."""
_PORTS: Final = {"http": 80, "https": 443}
_UNIX: Final = "unix:"

_now = time.perf_counter
_encode = msgspec.json.encode


class _Turn(msgspec.Struct):
    """What is read of an answer."""

    state: str
    action: dict[str, Any]
    trace: list[dict[str, Any]] = []


_decode = msgspec.json.Decoder(_Turn).decode


def make(address: str, options: Options) -> HttpTarget:
    """The target at an address. Raises `BadTarget`."""
    if address.startswith(_UNIX):
        path = address.removeprefix(_UNIX)
        if not path:
            raise BadTarget(f"`{address}` names no socket: unix:PATH")
        return HttpTarget(_Where(unix=path), options)
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError as error:
        raise BadTarget(f"`{address}` is no address: {error}") from error
    if not host or parts.username is not None or parts.query or parts.fragment:
        raise BadTarget(f"`{address}` is not http://HOST:PORT")
    if parts.path.rstrip("/") not in ("", _ARRIVALS):
        raise BadTarget(f"`{address}`: calls are asked for at {_ARRIVALS}; leave `{parts.path}` out")
    return HttpTarget(_Where(host, port, tls=parts.scheme == "https"), options)


class _Where(msgspec.Struct, frozen=True):
    """An address."""

    host: str = "localhost"
    port: int = 0
    unix: str | None = None
    tls: bool = False

    @property
    def authority(self) -> str:
        """As `Host` says it."""
        if self.unix is not None:
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"unix:{self.unix}" if self.unix is not None else self.authority


class HttpTarget:
    """A server of the contract's queries."""

    def __init__(self, where: _Where, options: Options) -> None:
        self._where = where
        self._options = options
        token = "" if options.token is None else f"Authorization: Bearer {options.token}\r\n"
        self._heads = {
            path: (
                f"POST {path} HTTP/1.1\r\nHost: {where.authority}\r\n{token}"
                "Content-Type: application/json\r\nContent-Length: "
            ).encode()
            for path in (_ARRIVALS, _STEPS)
        }
        self._arrival = self._heads[_ARRIVALS]
        self._tls = ssl.create_default_context() if where.tls else None
        self._addresses: list[tuple[int, Any]] = []
        self._idle: list[_Connection] = []
        self._made = 0
        self._waiting: deque[_Waiter] = deque()

    async def open(self, nursery: trio.Nursery) -> None:
        """Make one connection, so that it is known that somebody is there. Raises `TargetUnreachable`."""
        try:
            with trio.fail_after(_CONNECT_S):
                self._addresses = await self._resolved()
                self._idle.append(await self._connect())
        except (OSError, trio.TooSlowError) as error:
            raise TargetUnreachable(f"{self._where}: {_reason(error)}") from error
        self._made = 1

    async def ask(self, ask: Ask) -> Told:
        """Ask for one call."""
        # msgspec writes it in 0.4 µs; `at` goes along, so that both sides decide for the same moment
        body = _encode({"did": ask.did, "caller": ask.caller, "call_id": ask.call_id, "at": ask.at_ms})
        connection: _Connection | None = None
        sound = False
        try:
            connection = self._rested() or await self._connection()
            sent_at = _now()
            status, content = await connection.exchange(b"%b%d\r\n\r\n%b" % (self._arrival, len(body), body))
            first_at = _now()
            if status != 200:
                sound = True
                return Told(error=f"http {status}", detail=_problem(content))
            turn = _decode(content)
            told = Told((turn.action,), (), (turn.trace,), None, "", sent_at, first_at)
            if self._options.whole:
                await self._lead(ask, turn, told, connection)
            sound = True
            return told
        except (OSError, _Broken) as error:
            return Told(error=_kind(error), detail=_reason(error))
        except msgspec.DecodeError as error:
            return Told(error="unreadable", detail=str(error))
        finally:
            if connection is not None:
                self._give_back(connection, sound)

    async def close(self) -> None:
        """Close the connections that are idle; the others are their calls'."""
        while self._idle:
            self._idle.pop().close()

    def servers(self) -> Sequence[Server]:
        """Whoever listens there."""
        where = self._where
        return [Server(unix=where.unix) if where.unix is not None else Server(tcp=(where.host, where.port))]

    def compare(self, expected: Expected, told: Told) -> str | None:
        """As the contract's actions are compared."""
        return expected.verdict(told)

    # --- whole calls

    async def _lead(self, ask: Ask, turn: _Turn, told: Told, connection: _Connection) -> None:
        """Step until the call has ended. What went wrong is told in place of it all."""
        actions, traces = [turn.action], [turn.trace]
        events: list[dict[str, Any]] = []
        steps: list[float] = []
        began = _now()
        head = self._heads[_STEPS]
        chances = self._options.chances
        while (event := chances.event(turn.action, ask.number, len(events))) is not None:
            asked = _now()
            at_ms = ask.at_ms + int((asked - began) * 1000)
            body = _encode({"state": turn.state, "event": event, "at": at_ms})
            status, content = await connection.exchange(b"%b%d\r\n\r\n%b" % (head, len(body), body))
            steps.append(_now() - asked)
            if status != 200:
                told.error, told.detail = f"http {status}", _problem(content)
                return
            turn = _decode(content)
            actions.append(turn.action)
            events.append({**event, "at": at_ms})
            traces.append(turn.trace)
        told.actions, told.events, told.traces, told.steps_s = actions, events, traces, tuple(steps)

    # --- connections

    def _rested(self) -> _Connection | None:
        """A connection that is idle, and that the server has not closed meanwhile."""
        while self._idle:
            connection = self._idle.pop()
            if connection.since + _SURE_S > _now() or connection.lives():
                return connection
            connection.close()
            self._lost()
        return None

    async def _connection(self) -> _Connection:
        """A new connection while there may be more; else one that another call has given back, first come first served."""
        if self._made < self._options.connections:
            self._made += 1
            try:
                return await self._connect()
            except BaseException:
                self._lost()
                raise
        waiter = _Waiter(trio.lowlevel.current_task())
        self._waiting.append(waiter)

        def abort(_: object) -> trio.lowlevel.Abort:
            self._waiting.remove(waiter)
            return trio.lowlevel.Abort.SUCCEEDED

        given = await trio.lowlevel.wait_task_rescheduled(abort)
        if isinstance(given, _Connection):
            return given
        return await self._connection()

    def _give_back(self, connection: _Connection, sound: bool) -> None:
        if not sound or not connection.keeps:
            connection.close()
            self._lost()
        elif self._waiting:
            trio.lowlevel.reschedule(self._waiting.popleft().task, _value(connection))
        else:
            connection.since = _now()
            self._idle.append(connection)

    def _lost(self) -> None:
        """A connection is gone: whoever waits may make another."""
        self._made -= 1
        if self._waiting:
            trio.lowlevel.reschedule(self._waiting.popleft().task, _value(None))

    async def _resolved(self) -> list[tuple[int, Any]]:
        """Families and addresses, looked up once a run."""
        where = self._where
        if where.unix is not None:
            return [(socket.AF_UNIX, where.unix)]
        found = await trio.socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
        return [(family, address) for family, _, _, _, address in found]

    async def _connect(self) -> _Connection:
        error: OSError | None = None
        for family, address in self._addresses:
            made = trio.socket.socket(family, socket.SOCK_STREAM)
            try:
                await made.connect(address)
                return await self._secured(made)
            except OSError as one:
                made.close()
                error = one
            except BaseException:
                made.close()
                raise
        raise error or OSError("the name has no address")

    async def _secured(self, made: trio.socket.SocketType) -> _Connection:
        if self._tls is None:
            return _Connection(_Plain(socket.socket(made.family, made.type, made.proto, made.detach())))
        stream = trio.SSLStream(
            trio.SocketStream(made), self._tls, server_hostname=self._where.host, https_compatible=True
        )
        try:
            await stream.do_handshake()
        except trio.BrokenResourceError as error:
            raise error.__cause__ if isinstance(error.__cause__, OSError) else OSError(str(error)) from error
        return _Connection(_Tls(stream))


class _Waiter(msgspec.Struct):
    """A call that waits for a connection."""

    task: trio.lowlevel.Task


class _Broken(Exception):
    """A connection that cannot be gone on with; its arguments are a kind and what else is known."""


class _Wire(Protocol):
    async def send(self, data: bytes) -> None:
        """Send all of it."""
        ...

    async def receive(self) -> bytes:
        """What came; nothing at the end."""
        ...

    def lives(self) -> bool:
        """Whether the server has not closed it."""
        ...

    def close(self) -> None:
        """Close."""
        ...


class _Connection:
    """One request and its reply at a time. Callbacks are httptools'."""

    __slots__ = ("_body", "_complete", "_parser", "_status", "_wire", "keeps", "since")

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""
        self._complete = False
        self._status = 0
        self.keeps = True
        """Whether another request may follow."""
        self.since = _now()
        """When it became idle."""

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; the reply's status and content."""
        self._complete, self._body = False, b""
        await self._wire.send(request)
        parser = self._parser
        while not self._complete:
            data = await self._wire.receive()
            if not data:
                raise _Broken("closed", "the server closed the connection instead of answering")
            try:
                parser.feed_data(data)
            except httptools.HttpParserError as error:
                raise _Broken("unreadable", f"not HTTP: {error}") from error
        return self._status, self._body

    def lives(self) -> bool:
        """Whether the server has not closed it."""
        return self._wire.lives()

    def close(self) -> None:
        """Close."""
        self._wire.close()

    def on_body(self, part: bytes) -> None:
        """A part of the content."""
        self._body = self._body + part if self._body else part

    def on_message_complete(self) -> None:
        """The reply is complete; those of 1xx come before another. Only here the parser knows what it says of it."""
        self._status = self._parser.get_status_code()
        if self._status >= 200:
            self._complete = True
            self.keeps = self._parser.should_keep_alive()


class _Plain:
    """A socket without TLS, by hand: one wait a reply, and none a request that goes at once."""

    __slots__ = ("_socket",)

    def __init__(self, made: socket.socket) -> None:
        made.setblocking(False)
        if made.family != socket.AF_UNIX:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = made

    async def send(self, data: bytes) -> None:
        sent = 0
        with suppress(BlockingIOError):
            sent = self._socket.send(data)
        while sent < len(data):
            await trio.lowlevel.wait_writable(self._socket)
            with suppress(BlockingIOError):
                sent += self._socket.send(data[sent:])

    async def receive(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                return self._socket.recv(_READ)
            except BlockingIOError:
                continue

    def lives(self) -> bool:
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()


class _Tls:
    """A socket with TLS."""

    __slots__ = ("_stream",)

    def __init__(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        self._stream = stream

    async def send(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError as error:
            raise _Broken("reset", str(error.__cause__ or error)) from error

    async def receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(_READ))
        except trio.BrokenResourceError as error:
            raise _Broken("reset", str(error.__cause__ or error)) from error

    def lives(self) -> bool:
        """Nobody can tell without reading: what waits may be a ticket or the end."""
        return False

    def close(self) -> None:
        self._stream.transport_stream.socket.close()


def _value(given: _Connection | None) -> Any:
    """What a task that waits is rescheduled with."""
    return outcome.Value(given)


def _kind(error: OSError | _Broken) -> str:
    if isinstance(error, _Broken):
        return str(error.args[0])
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "reset"
    if isinstance(error, ssl.SSLError):
        return "tls"
    return "unreachable"


def _reason(error: Exception) -> str:
    if isinstance(error, _Broken):
        return str(error.args[1])
    if isinstance(error, trio.TooSlowError):
        return f"no connection in {_CONNECT_S:g} s"
    return str(getattr(error, "strerror", None) or error)


def _problem(content: bytes) -> str:
    """What a problem document says (RFC 9457), or how the content begins."""
    try:
        told = msgspec.json.decode(content)
        return " ".join(str(told[key]) for key in ("code", "detail") if told.get(key)) or str(told)[:200]
    except (msgspec.DecodeError, AttributeError, UnicodeDecodeError):
        return content[:200].decode(errors="replace")

"""Routing queries over HTTP/1.1: `kommutator._engine` parses, decides and writes; here bytes are moved and times are kept.

One task a connection, and one crossing into the codec a read: whatever requests are complete in it are answered by it.
"""

from __future__ import annotations

import secrets
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import structlog
import trio

from kommutator import _engine
from kommutator.query.claiming import Claiming
from kommutator.query.journal import QueryJournal
from kommutator.routing.ports import Clock, Lookups
from kommutator.routing.turn import Event

_READ = 64 * 1024
_LINGER_S = 1.0
_LINGER_BYTES = 4 * 1024 * 1024
_ACCEPT_AGAIN_S = 0.1
_IDLE, _WAITING, _CLOSED = 0, 3, 4
Question = tuple[Literal["owner", "history", "claims"], str, int | None, int, list[str]]
"""As `HttpConnection.questions` tells it."""
_NAGLE = (socket.IPPROTO_TCP, socket.TCP_NODELAY)


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """The bounds of a server. Seconds and bytes."""

    tokens: tuple[str, ...] = ()
    """Who may ask: whoever has one of them; without any, everybody but pages of browsers."""
    connections: int = 1000
    """At once; whoever comes beyond is told so and turned away."""
    idle_s: float = 75
    """A connection without a request is kept so long."""
    head_s: float = 10
    """From the first byte of a head to its last, and for a TLS handshake."""
    body_s: float = 30
    """From the end of the head to the end of the body."""
    send_s: float = 30
    """For a client to take replies."""
    grace_s: float = 5
    """At the end, for the requests that are on their way."""
    head_bytes: int = 16 * 1024
    body_bytes: int = 1024 * 1024
    batch: int = 1000
    """Arrivals and steps of one request."""


class HttpServer:
    """Answers queries with the engine given. Without `lookups` they are the clients' own, and without `journal` turns are
    told to nobody.
    """

    def __init__(
        self,
        settings: HttpSettings,
        clock: Clock,
        journal: QueryJournal | None = None,
        lookups: Lookups | None = None,
        claims: Path | None = None,
        claiming: Claiming | None = None,
    ) -> None:
        """`claims` is the file in whose locks processes hold employees against each other; `claiming` claims those whose
        phones are at other PBXs, and without it nobody of them is rung."""
        self._settings = settings
        self._clock = clock
        self._lookups = lookups
        self._claiming = claiming
        self._service = _engine.HttpService(
            ids=f"q-{secrets.token_hex(8)}-",
            tokens=settings.tokens,
            looks_up=lookups is not None,
            most_items=settings.batch,
            head_limit=settings.head_bytes,
            body_limit=settings.body_bytes,
            journal=journal.spool if journal is not None else None,
            claims=claims,
        )
        self._clients: dict[_Client, None] = {}
        self._log = structlog.get_logger()
        self.turned_away = 0
        """Connections for which there was no place."""

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._clients)

    def figures(self) -> dict[str, int]:
        """What was counted: `requests`, `arrivals`, `steps`, `refused`."""
        return self._service.figures()

    def look(self) -> None:
        """Let go and end what its time is over for: employees whom no call claims, calls for which nobody comes back."""
        self._service.look(self._clock.now_ms())

    def route_by(self, engine: _engine.Engine) -> None:
        """Decide with this engine from now on."""
        self._service.engine = engine

    async def run(self, listeners: Sequence[socket.socket], tls: ssl.SSLContext | None = None) -> None:
        """Serve at these sockets until cancelled, and close them; requests that are on their way then are answered."""
        async with trio.open_nursery() as nursery:
            try:
                for listener in listeners:
                    nursery.start_soon(self._accept, listener, tls, nursery)
                await self._keep_times()
            finally:
                for listener in listeners:
                    trio.lowlevel.notify_closing(listener)
                    listener.close()
                self._drain()

    async def _accept(self, listener: socket.socket, tls: ssl.SSLContext | None, nursery: trio.Nursery) -> None:
        while True:
            try:
                await trio.lowlevel.wait_readable(listener)
                while True:
                    accepted, _ = listener.accept()
                    self._take(accepted, tls, nursery)
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except trio.ClosedResourceError:
                return
            except OSError as error:
                # Out of files, most likely: those who wait are served when others have gone.
                self._log.error("connections cannot be accepted", reason=str(error))
                await trio.sleep(_ACCEPT_AGAIN_S)

    def _take(self, accepted: socket.socket, tls: ssl.SSLContext | None, nursery: trio.Nursery) -> None:
        accepted.setblocking(False)
        if accepted.family != socket.AF_UNIX:
            accepted.setsockopt(*_NAGLE, 1)
        if len(self._clients) >= self._settings.connections:
            self.turned_away += 1
            with accepted, suppress(OSError):
                if tls is None:
                    accepted.send(_engine.HttpConnection(self._service).turn_away(self._clock.now_ms()))
                    accepted.shutdown(socket.SHUT_WR)
            return
        wire: _Wire = _Plain(accepted) if tls is None else _Tls(accepted, tls, self._settings.head_s)
        client = _Client(wire, _engine.HttpConnection(self._service), self._settings)
        self._clients[client] = None
        nursery.start_soon(self._serve, client)

    async def _serve(self, client: _Client) -> None:
        wire, connection = client.wire, client.connection
        try:
            with client.scope, suppress(OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                await self._talk(client)
                if connection.stage == _CLOSED:
                    await wire.linger()
            if client.late:
                await wire.say(connection.time_out(self._clock.now_ms()))
        except Exception:
            log = self._log
            log.exception("a connection of a query failed in our code")
        finally:
            del self._clients[client]
            wire.close()

    async def _talk(self, client: _Client) -> None:
        """Answer requests until the connection is over."""
        wire, connection = client.wire, client.connection
        now_ms = self._clock.now_ms
        await wire.begin()
        while data := await wire.receive():
            replies = connection.receive(data, now_ms())
            if replies:
                await wire.send(replies, self._settings.send_s)
            while (stage := connection.stage) == _WAITING:
                await self._answer(client)
            if stage == _CLOSED:
                return

    async def _answer(self, client: _Client) -> None:
        events = await self._ask(client.connection.questions())
        replies = client.connection.answer(events, self._clock.now_ms())
        if replies:
            await client.wire.send(replies, self._settings.send_s)

    async def _ask(self, questions: list[Question]) -> list[Event]:
        """The answers; `failed` for look-ups that do not come in the time that the scheme gives them."""
        events: list[Event] = [{"type": "failed"} for _ in questions]

        async def ask(place: int, question: Question) -> None:
            kind, subject, days, timeout_ms, employees = question
            if kind == "claims":
                events[place] = await self._claim(subject, employees)
                return
            lookups = self._lookups
            assert lookups is not None
            with trio.move_on_after(timeout_ms / 1000):
                events[place] = await (lookups.owner(subject) if kind == "owner" else lookups.history(subject, days))

        async with trio.open_nursery() as nursery:
            for place, question in enumerate(questions):
                nursery.start_soon(ask, place, question)
        return events

    async def _claim(self, call_id: str, employees: list[str]) -> Event:
        if self._claiming is None:
            return {"type": "taken", "employees": employees}
        return await self._claiming.claim(call_id, employees)

    async def _keep_times(self) -> None:
        settings = self._settings
        every_s = min(0.25, settings.idle_s / 4, settings.head_s / 4, settings.body_s / 4)
        while True:
            await trio.sleep(every_s)
            now = trio.current_time()
            for client in self._clients:
                client.look(now)
            self.look()

    def _drain(self) -> None:
        """Those who are asking get their answers, those who are not go now."""
        deadline = trio.current_time() + self._settings.grace_s
        for client in self._clients:
            client.connection.drain()
            if client.connection.stage == _IDLE and not client.wire.sending:
                client.scope.cancel()
            else:
                client.scope.deadline = deadline


class _Client:
    """A connection, with its time."""

    __slots__ = ("_bounds", "_seen", "_since", "connection", "late", "scope", "wire")

    def __init__(self, wire: _Wire, connection: _engine.HttpConnection, settings: HttpSettings) -> None:
        self.wire = wire
        self.connection = connection
        self.scope = trio.CancelScope(shield=True)
        self.late = False
        """Whether its time was over."""
        self._bounds = (settings.idle_s, settings.head_s, settings.body_s)
        self._seen = (0, 0)
        self._since = trio.current_time()

    def look(self, now: float) -> None:
        """End it when it has been in one stage of one request for too long."""
        stage, requests = self.connection.stage, self.connection.requests
        if (stage, requests) != self._seen or self.wire.sending:
            self._seen, self._since = (stage, requests), now
        elif stage < len(self._bounds) and now - self._since > self._bounds[stage]:
            self.late = True
            self.scope.cancel()


class _Wire(Protocol):
    """How bytes go to and fro. Everything raises `OSError` or trio's errors of resources when the client has gone."""

    sending: bool
    """Whether the client is taking replies."""

    async def begin(self) -> None:
        """Make it ready."""
        ...

    async def receive(self) -> bytes:
        """What came; nothing at the end."""
        ...

    async def send(self, replies: bytes, within_s: float) -> None:
        """Send all of it. Raises `BrokenResourceError` when the client does not take it in time."""
        ...

    async def linger(self) -> None:
        """Let the client read the last reply: closing while it sends would take it away (RFC 9112, 9.6)."""
        ...

    async def say(self, last: bytes) -> None:
        """Send what goes at once."""
        ...

    def close(self) -> None:
        """Close."""
        ...


class _Plain:
    """A socket without TLS, by hand: one wait a read, and none a write that goes at once."""

    __slots__ = ("_socket", "sending")

    def __init__(self, accepted: socket.socket) -> None:
        self._socket = accepted
        self.sending = False

    async def begin(self) -> None:
        pass

    async def receive(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            with suppress(BlockingIOError):
                return self._socket.recv(_READ)

    async def send(self, replies: bytes, within_s: float) -> None:
        try:
            sent = self._socket.send(replies)
        except BlockingIOError:
            sent = 0
        if sent < len(replies):
            await self._send_rest(memoryview(replies)[sent:], within_s)

    async def _send_rest(self, rest: memoryview, within_s: float) -> None:
        self.sending = True
        with trio.move_on_after(within_s):
            while rest:
                await trio.lowlevel.wait_writable(self._socket)
                with suppress(BlockingIOError):
                    rest = rest[self._socket.send(rest) :]
        self.sending = False
        if rest:
            raise trio.BrokenResourceError("the client does not take its replies")

    async def linger(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)
        passed = 0
        with trio.move_on_after(_LINGER_S):
            while passed < _LINGER_BYTES and (data := await self.receive()):
                passed += len(data)

    async def say(self, last: bytes) -> None:
        if last:
            with suppress(OSError):
                self._socket.send(last)
                self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()


class _Tls:
    """A socket with TLS."""

    def __init__(self, accepted: socket.socket, context: ssl.SSLContext, handshake_s: float) -> None:
        self._socket = trio.socket.from_stdlib_socket(accepted)
        self._stream = trio.SSLStream(trio.SocketStream(self._socket), context, server_side=True, https_compatible=True)
        self._handshake_s = handshake_s
        self.sending = False

    async def begin(self) -> None:
        with trio.move_on_after(self._handshake_s) as scope:
            await self._stream.do_handshake()
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("no handshake in time")

    async def receive(self) -> bytes:
        return bytes(await self._stream.receive_some(_READ))

    async def send(self, replies: bytes, within_s: float) -> None:
        self.sending = True
        with trio.move_on_after(within_s) as scope:
            await self._stream.send_all(replies)
        self.sending = False
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("the client does not take its replies")

    async def linger(self) -> None:
        with trio.move_on_after(_LINGER_S):
            await self._stream.aclose()

    async def say(self, last: bytes) -> None:
        """Nothing: what was cancelled within TLS cannot be gone on with."""

    def close(self) -> None:
        self._socket.close()

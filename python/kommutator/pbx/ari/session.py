"""One connection to Asterisk: the event websocket with requests over it, or over HTTP where the server is too old for
that.

The session reconnects for ever, with back-off and jitter. Every request has a deadline; one that was under way when the
connection broke fails with `PbxUnreachable`, and whether it was carried out is unknown: callers use ids of their own
choice and ask again.

Asterisk (22.10) carries out the requests of one websocket one after another, and some wait for the channel's own
thread: setting a variable waits until the playback or recording on that channel has ended, and every other request with
it. So nothing here sets a variable of a channel that plays or records.
"""

from __future__ import annotations

import random
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

import httpx
import structlog
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, HandshakeError, WebSocketConnection, wrap_client_stream

from kommutator.errors import PbxError, PbxProtocolError, PbxRefused, PbxTimeout, PbxUnreachable
from kommutator.pbx.ari import codec, requests
from kommutator.pbx.ari.codec import Event, Request, Response, RestResponse

_LONGEST_MESSAGE = 4 * 1024 * 1024
_REQUESTS_AT_ONCE = 256
_DEADLINE_S = 5.0
_PROBE_DEADLINE_S = 2.0
_CONNECT_DEADLINE_S = 3.0
_PING_EVERY_S = 10.0
_PING_DEADLINE_S = 5.0
_FIRST_DELAY_S = 0.2
_LONGEST_DELAY_S = 15.0


class Account(Protocol):
    """Where Asterisk is and who we are there."""

    @property
    def url(self) -> str:
        """`http://host:8088`, or `https://…`, with or without `/ari`."""
        ...

    @property
    def user(self) -> str: ...
    @property
    def password(self) -> str: ...
    @property
    def application(self) -> str: ...


class Session:
    """A connection that heals itself.

    `on_event` is called for each event, in order, and must not block. `on_connected` runs once a connection, while
    events are already arriving; only after it has returned is the session *ready*. If it raises a `PbxError` the
    connection is given up and made again.
    """

    def __init__(
        self, account: Account, on_event: Callable[[Event], None], on_connected: Callable[[], Awaitable[None]]
    ) -> None:
        self._account = account
        self._on_event = on_event
        self._on_connected = on_connected
        self._log = structlog.get_logger().bind(pbx=account.url)
        self._socket: WebSocketConnection | None = None
        self._over_websocket = False
        self._pending: dict[str, _Pending] = {}
        self._next_id = 0
        self._slots = trio.CapacityLimiter(_REQUESTS_AT_ONCE)
        self._ready = trio.Event()
        self._http: httpx.AsyncClient | None = None

    @property
    def requests_over_websocket(self) -> bool:
        """Whether this connection carries requests too."""
        return self._over_websocket

    @property
    def connected(self) -> bool:
        """Whether it is ready now."""
        return self._ready.is_set()

    async def ready(self) -> None:
        """Wait until the session is ready; returns at once when it is."""
        while not self._ready.is_set():
            await self._ready.wait()

    async def run(self) -> None:
        """Stay connected until cancelled. Raises `PbxRefused` when the very first connection is refused for its
        credentials.
        """
        ever = False
        failures = 0
        limits = httpx.Limits(max_connections=32, max_keepalive_connections=8)
        auth = httpx.BasicAuth(self._account.user, self._account.password)
        async with httpx.AsyncClient(auth=auth, limits=limits, timeout=None, trust_env=False) as self._http:
            while True:
                started = trio.current_time()
                try:
                    await self._one_connection()
                except ConnectionRejected as error:
                    if error.status_code in (401, 403) and not ever:
                        raise PbxRefused(f"{self._account.url}: the user or the password is wrong") from error
                    self._log.warning("pbx refused the connection", status=error.status_code)
                except (HandshakeError, ConnectionClosed, OSError, PbxError) as error:
                    self._log.warning("pbx connection lost", reason=str(error) or type(error).__name__)
                finally:
                    was_ready = self._ready.is_set()
                    self._lost()
                ever = ever or was_ready
                failures = 0 if was_ready and trio.current_time() - started > _LONGEST_DELAY_S else failures + 1
                delay = (
                    min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** min(failures - 1, 10)) if failures else _FIRST_DELAY_S
                )
                await trio.sleep(delay * random.uniform(0.5, 1.0))

    async def request(self, request: Request, deadline_s: float = _DEADLINE_S) -> Response:
        """Make a request and return its response, whatever its status.

        Raises `PbxUnreachable` when there is no connection or it breaks, `PbxTimeout` after `deadline_s` seconds.
        """
        return (await self.in_order((request,), deadline_s))[0]

    async def in_order(self, wanted: Sequence[Request], deadline_s: float = _DEADLINE_S) -> list[Response]:
        """Make several requests, each sent without waiting for the answer to the one before where the transport allows.

        Asterisk carries them out in this order. A router that dies between two of them has microseconds to do so.
        Raises as `request`.
        """
        with trio.move_on_after(deadline_s):
            async with self._slots:
                if self._socket is None:
                    raise PbxUnreachable("there is no connection to the PBX")
                if self._over_websocket:
                    return await self._by_websocket(self._socket, wanted)
                return [await self._by_http(request) for request in wanted]
        first = wanted[0]
        raise PbxTimeout(f"{first.method} {first.uri}: no answer in {deadline_s} s")

    async def download(self, request: Request, deadline_s: float = 30.0) -> Response:
        """Make a request whose response is binary: over HTTP, always. Raises as `request` does."""
        with trio.move_on_after(deadline_s):
            return await self._by_http(request)
        raise PbxTimeout(f"{request.method} {request.uri}: no answer in {deadline_s} s")

    # --- one connection

    async def _one_connection(self) -> None:
        """Connect, and serve until something fails; raises that."""
        base = urlsplit(codec.base_of(self._account.url))
        secret = b64encode(f"{self._account.user}:{self._account.password}".encode())
        failure: Exception = PbxTimeout("the PBX does not open the event stream")
        # The stream is ours: trio-websocket 0.12 leaves it open when the server refuses, and waits for ever for a
        # handshake whose connection was closed.
        async with await _open_stream(base) as stream:
            try:
                async with trio.open_nursery() as nursery:
                    socket: WebSocketConnection | None = None
                    with trio.move_on_after(_CONNECT_DEADLINE_S):
                        socket = await wrap_client_stream(
                            nursery,
                            stream,
                            base.netloc,
                            base.path + codec.events_path(self._account.application),
                            extra_headers=[(b"Authorization", b"Basic " + secret)],
                            max_message_size=_LONGEST_MESSAGE,
                            receive_buffer_size=65536,
                        )
                    if socket is not None:
                        failure = await self._serve(socket)
                    nursery.cancel_scope.cancel()
            except* HandshakeError as group:
                failure = group.exceptions[0]
        raise failure

    async def _serve(self, socket: WebSocketConnection) -> Exception:
        """Run the parts of one connection until the first fails; returns its failure."""
        failures: list[Exception] = []
        self._socket = socket
        async with trio.open_nursery() as nursery:

            async def guarded(part: Callable[[WebSocketConnection], Awaitable[None]]) -> None:
                try:
                    await part(socket)
                except (ConnectionClosed, PbxError) as error:
                    failures.append(error)
                    self._fail_pending()
                    nursery.cancel_scope.cancel()

            nursery.start_soon(guarded, self._read)
            nursery.start_soon(guarded, self._keep_alive)
            nursery.start_soon(guarded, self._begin)
        return failures[0]

    async def _begin(self, socket: WebSocketConnection) -> None:
        self._over_websocket = await self._probe(socket)
        self._log.info("pbx reached", requests="websocket" if self._over_websocket else "http")
        await self._on_connected()
        self._log.info("pbx connected")
        self._ready.set()

    async def _probe(self, socket: WebSocketConnection) -> bool:
        """Whether the server answers requests on the websocket: servers that do not know them ignore them."""
        with trio.move_on_after(_PROBE_DEADLINE_S):
            return (await self._by_websocket(socket, (requests.ping(),)))[0].ok
        return False

    async def _read(self, socket: WebSocketConnection) -> None:
        while True:
            message = await socket.get_message()
            try:
                event = codec.decode_event(message)
            except PbxProtocolError as error:
                self._log.warning("event not understood", reason=str(error))
                continue
            if isinstance(event, RestResponse):
                pending = self._pending.pop(event.request_id, None)
                if pending is not None:
                    pending.resolve(codec.websocket_response(event))
            elif event is not None:
                self._on_event(event)

    async def _keep_alive(self, socket: WebSocketConnection) -> None:
        while True:
            await trio.sleep(_PING_EVERY_S)
            with trio.move_on_after(_PING_DEADLINE_S) as waiting:
                await socket.ping()
            if waiting.cancelled_caught:
                raise PbxTimeout("the PBX does not answer a ping")

    def _lost(self) -> None:
        self._socket = None
        self._over_websocket = False
        if self._ready.is_set():
            self._ready = trio.Event()
        self._fail_pending()

    def _fail_pending(self) -> None:
        for pending in self._pending.values():
            pending.resolve(None)
        self._pending.clear()

    # --- the transports

    async def _by_websocket(self, socket: WebSocketConnection, wanted: Sequence[Request]) -> list[Response]:
        waiting: dict[str, _Pending] = {}
        try:
            for request in wanted:
                self._next_id += 1
                request_id = f"{self._next_id:x}"
                waiting[request_id] = self._pending[request_id] = _Pending()
                await socket.send_message(codec.encode_websocket(request, request_id))
            responses = [await pending.wait() for pending in waiting.values()]
        except ConnectionClosed as error:
            raise PbxUnreachable("the connection to the PBX is lost") from error
        finally:
            for request_id in waiting:
                self._pending.pop(request_id, None)
        answered = [response for response in responses if response is not None]
        if len(answered) < len(responses):
            raise PbxUnreachable("the connection to the PBX is lost")
        return answered

    async def _by_http(self, request: Request) -> Response:
        if self._http is None:
            raise PbxUnreachable("the session does not run")
        method, url, body = codec.encode_http(request, codec.base_of(self._account.url))
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            answer = await self._http.request(method, url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise PbxUnreachable(f"{request.method} {request.uri}: {error or type(error).__name__}") from error
        return Response(answer.status_code, answer.reason_phrase, answer.content)


async def _open_stream(base: SplitResult) -> trio.SocketStream | trio.SSLStream[trio.SocketStream]:
    """A connection to the server, by TLS for `https`. Raises `OSError` or `PbxTimeout`."""
    host = base.hostname or "localhost"
    with trio.move_on_after(_CONNECT_DEADLINE_S):
        if base.scheme == "https":
            return await trio.open_ssl_over_tcp_stream(host, base.port or 443, https_compatible=True)
        return await trio.open_tcp_stream(host, base.port or 80)
    raise PbxTimeout(f"{host} does not answer")


class _Pending:
    """A response that is awaited; None when it will never come."""

    def __init__(self) -> None:
        self._done = trio.Event()
        self._response: Response | None = None

    def resolve(self, response: Response | None) -> None:
        self._response = response
        self._done.set()

    async def wait(self) -> Response | None:
        await self._done.wait()
        return self._response

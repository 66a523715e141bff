"""A server of queries in the test's own loop, at a real socket, and clients that see every byte."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import h11
import orjson
import trio

from kommutator import Engine
from kommutator.query.claiming import Claiming
from kommutator.query.http import HttpServer, HttpSettings
from kommutator.query.journal import QueryJournal
from kommutator.query.listening import listen
from kommutator.routing.ports import Lookups

ROOT: Final = Path(__file__).parents[2]
SCENARIOS: Final = ROOT / "tests/scenarios"
DID: Final = "+74951112233"
CALLER: Final = "89161230099"
NOW_MS: Final = 1_794_992_400_000
"""A working day at noon in Moscow."""
PATIENCE_S: Final = 60.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.ms = NOW_MS

    def now_ms(self) -> int:
        """What it was set to."""
        return self.ms


def engine_of(scheme: str) -> Engine:
    """The engine of one of the eight schemes."""
    return Engine((SCENARIOS / scheme / "company.json").read_bytes())


def request(path: str, body: object = None, *, method: str = "POST", **fields: str) -> bytes:
    """A request of HTTP/1.1 with JSON, or with these bytes."""
    content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    lines = {"Host": "a", "Content-Length": str(len(content))}
    if body is not None:
        lines["Content-Type"] = "application/json"
    lines |= {name.replace("_", "-"): value for name, value in fields.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content


class Client:
    """A connection. Replies are read by h11, which knows nothing of ours."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._h11 = h11.Connection(h11.CLIENT)

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        await self.stream.send_all(data)

    async def reply(self, method: str = "POST") -> tuple[int, dict[str, str], Any]:
        """The next reply: status, fields, and its JSON."""
        with trio.fail_after(PATIENCE_S):
            return await self._reply(method)

    async def ask(self, path: str, body: object = None, **fields: str) -> Any:
        """A request and the JSON of its reply, which must be 200."""
        await self.send(request(path, body, **fields))
        status, _, told = await self.reply()
        assert status == 200, told
        return told

    async def closed(self) -> bool:
        """Whether the server has closed, and sent nothing before."""
        with trio.fail_after(PATIENCE_S):
            try:
                return not await self.stream.receive_some(1)
            except trio.BrokenResourceError:
                return True

    async def _reply(self, method: str) -> tuple[int, dict[str, str], Any]:
        if self._h11.our_state is h11.DONE:
            self._h11.start_next_cycle()
        self._h11.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        self._h11.send(h11.EndOfMessage())
        status, fields, content = 0, {}, b""
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                self._h11.receive_data(bytes(await self.stream.receive_some(65536)))
            elif isinstance(event, h11.Response):
                status = event.status_code
                fields = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                content += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return status, fields, orjson.loads(content) if content else None
            elif not isinstance(event, h11.InformationalResponse):
                raise AssertionError(f"the server went away: {event}")


class Serving:
    """A server that runs; `stop` ends it as SIGTERM would."""

    def __init__(self, server: HttpServer, address: tuple[str, int] | str, scope: trio.CancelScope) -> None:
        self.server = server
        self.address = address
        self.stop = scope.cancel
        self.stopped = trio.Event()
        self._clients: list[Client] = []

    async def client(self, tls: ssl.SSLContext | None = None) -> Client:
        """A new connection."""
        with trio.fail_after(PATIENCE_S):
            stream: trio.abc.Stream
            if isinstance(self.address, str):
                stream = await trio.open_unix_socket(self.address)
            else:
                stream = await trio.open_tcp_stream(*self.address)
            if tls is not None:
                stream = trio.SSLStream(stream, tls, server_hostname="localhost", https_compatible=True)
            client = Client(stream)
            self._clients.append(client)
            return client

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients:
            await trio.aclose_forcefully(client.stream)


@asynccontextmanager
async def serving(
    engine: Engine | None,
    settings: HttpSettings | None = None,
    *,
    address: str = "127.0.0.1:0",
    clock: Clock | None = None,
    journal: QueryJournal | None = None,
    lookups: Lookups | None = None,
    tls: ssl.SSLContext | None = None,
    claims: Path | None = None,
    claiming: Claiming | None = None,
) -> AsyncIterator[Serving]:
    """A server at an address, while the context lasts."""
    server = HttpServer(settings or HttpSettings(), clock or Clock(), journal, lookups, claims, claiming)
    if engine is not None:
        server.route_by(engine)
    listeners = listen(address)
    where = listeners[0].getsockname()
    scope = trio.CancelScope()
    serves = Serving(server, where if isinstance(where, str) else where[:2], scope)

    async def run() -> None:
        with scope:
            await server.run(listeners, tls)
        serves.stopped.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        try:
            yield serves
        finally:
            await serves.close()
            scope.cancel()


class Answers:
    """Look-ups that are known; one that is not never comes."""

    def __init__(self, owners: Mapping[str, str], called: Sequence[str] = ()) -> None:
        self._owners = owners
        self._called = called
        self.asked: list[str] = []

    async def owner(self, caller: str, /) -> Mapping[str, Any]:
        """Who is responsible."""
        self.asked.append(caller)
        if caller not in self._owners:
            await trio.sleep_forever()
        return {"type": "owner", "employee": self._owners[caller]}

    async def history(self, caller: str, _days: int | None, /) -> Mapping[str, Any]:
        """Whether he has called before."""
        self.asked.append(caller)
        return {"type": "called_before" if caller in self._called else "never_called"}

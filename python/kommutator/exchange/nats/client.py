"""The client of NATS: one connection at a time, made again for ever, and what is done on it.

A lost connection is not repaired but replaced: whatever lives on one (`attach`) begins anew on the next, from the
server's own state. While there is none, everything fails at once with `ExchangeUnreachable`; nothing waits for better
times.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec
import nats
import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.kv import KV_DEL, KV_PURGE

from kommutator.errors import (
    ExchangeError,
    ExchangeMoved,
    ExchangeRefused,
    ExchangeTimeout,
    ExchangeUnreachable,
    NobodyThere,
)
from kommutator.exchange.nats.streams import streams
from kommutator.exchange.settings import ExchangeSettings

_WRONG_LAST_SEQUENCE: Final = (10071, 10164)
_ALREADY_THERE: Final = 10058
"""A stream of that name with another configuration."""
_CLOSE_S: Final = 1.0
_AGAIN_S: Final = 1.0

Handler = Callable[[bytes], Awaitable[bytes | None]]
"""Answers a request; None gives no answer."""


class KeyUpdate(msgspec.Struct, frozen=True):
    """A key of a bucket and its value now; None when it was deleted."""

    key: str
    value: bytes | None
    revision: int


class Stored(msgspec.Struct, frozen=True):
    """A message of a stream."""

    sequence: int
    payload: bytes
    subject: str = ""


class Connection:
    """One connection. Every method has a deadline, and raises an `ExchangeError` that says why it failed."""

    def __init__(self, client: Client, settings: ExchangeSettings) -> None:
        self._client = client
        self._settings = settings
        self._js = client.jetstream(timeout=settings.request_s)
        self._waits: set[asyncio.Timeout] = set()
        self.lost = asyncio.Event()
        """Set when the connection is no more."""

    def end(self) -> None:
        """The connection is no more: whatever waits on it fails now."""
        self.lost.set()
        for wait in tuple(self._waits):
            if not wait.expired():
                wait.reschedule(0)

    # --- messages

    async def request(self, subject: str, payload: bytes, deadline_s: float | None = None) -> bytes:
        """Ask whoever serves the subject. Raises `NobodyThere` at once when nobody does."""
        async with self._within(deadline_s) as seconds:
            answer = await self._client.request(subject, payload, timeout=seconds)
            return answer.data

    async def request_all(self, asked: Mapping[str, bytes], deadline_s: float) -> dict[str, bytes]:
        """Ask several subjects at once; who does not answer in time is not in the answer."""

        async def one(subject: str, payload: bytes) -> tuple[str, bytes | None]:
            try:
                return subject, await self.request(subject, payload, deadline_s)
            except ExchangeError:
                return subject, None

        answers = await asyncio.gather(*(one(subject, payload) for subject, payload in asked.items()))
        return {subject: answer for subject, answer in answers if answer is not None}

    async def publish(self, subject: str, payload: bytes) -> None:
        """Tell whoever listens now; nothing is kept."""
        async with self._within(None):
            await self._client.publish(subject, payload)

    async def append(
        self, subject: str, payload: bytes, expected_last: int | None = None, deadline_s: float | None = None
    ) -> int:
        """Add a message to the stream of this subject, and return its sequence once the server keeps it.

        With `expected_last`, only if that is the sequence of the last message on this subject (0: there is none), else
        `ExchangeMoved`. After `ExchangeTimeout` and `ExchangeUnreachable` the message may be there or not.
        """
        headers: dict[str, str] | None = None
        if expected_last is not None:
            headers = {api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE: str(expected_last)}
        async with self._within(deadline_s) as seconds:
            return (await self._js.publish(subject, payload, timeout=seconds, headers=headers)).seq

    async def last(self, stream: str, subject: str) -> Stored | None:
        """The last message on a subject of a stream."""
        async with self._within(None):
            try:
                message = await self._js.get_last_msg(stream, subject)
            except nats.js.errors.NotFoundError:
                return None
            return Stored(message.seq or 0, message.data or b"")

    async def serve(
        self, subject: str, handler: Handler, group: str = "", at_once: int = 64, waiting: int | None = None
    ) -> None:
        """Answer requests until the connection is lost.

        At most `at_once` at a time, and so many `waiting` (by default as many). The others get no answer.
        """
        queue: asyncio.Queue[Msg] = asyncio.Queue(at_once if waiting is None else waiting)

        async def received(message: Msg) -> None:
            try:
                queue.put_nowait(message)
            except asyncio.QueueFull:
                structlog.get_logger().error("a message was dropped: too many at once", subject=subject)

        async def work() -> None:
            while True:
                message = await queue.get()
                answer = await handler(message.data)
                if answer is not None and message.reply:
                    await self.publish(message.reply, answer)

        async with self._within(None):
            subscription = await self._client.subscribe(subject, queue=group, cb=received)
        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(at_once):
                    workers.create_task(work())
        finally:
            if not self.lost.is_set():
                async with self._within(_CLOSE_S):
                    await subscription.unsubscribe()

    # --- keys and objects

    async def put(self, bucket: str, key: str, value: bytes) -> int:
        """Set a key, and return its revision."""
        return await self.append(f"$KV.{bucket}.{key}", value)

    async def put_all(self, bucket: str, values: Mapping[str, bytes]) -> None:
        """Set keys, in no order."""
        await asyncio.gather(*(self.put(bucket, key, value) for key, value in values.items()))

    async def get(self, bucket: str, key: str) -> KeyUpdate | None:
        """A key's value; None when it has none."""
        async with self._within(None):
            store = await self._js.key_value(bucket)
            try:
                entry = await store.get(key)
            except nats.js.errors.KeyNotFoundError:
                return None
            return KeyUpdate(key, entry.value, entry.revision or 0)

    async def watch(self, bucket: str, keys: str = ">") -> AsyncIterator[KeyUpdate | None]:
        """All values of the bucket's keys, then None, then every change, until the connection is lost."""
        async with self._within(None):
            store = await self._js.key_value(bucket)
            watcher = await store.watch(keys)
        try:
            async for entry in watcher:
                if entry is None:
                    yield None
                else:
                    gone = entry.operation in (KV_DEL, KV_PURGE)
                    yield KeyUpdate(entry.key, None if gone else entry.value, entry.revision or 0)
        finally:
            if not self.lost.is_set():
                async with self._within(_CLOSE_S):
                    await watcher.stop()  # type: ignore[no-untyped-call]

    async def follow(self, stream: str, subject: str, after: int | None) -> AsyncIterator[Stored]:
        """The messages of a stream after a sequence (None: those to come), until the connection is lost."""
        policy = api.DeliverPolicy.NEW if after is None else api.DeliverPolicy.BY_START_SEQUENCE
        config = api.ConsumerConfig(deliver_policy=policy, opt_start_seq=None if after is None else after + 1)
        async with self._within(None):
            subscription = await self._js.subscribe(subject, stream=stream, config=config, ordered_consumer=True)
        try:
            while True:
                message = await subscription.next_msg(timeout=None)
                yield Stored(message.metadata.sequence.stream, message.data, message.subject)
        finally:
            if not self.lost.is_set():
                async with self._within(_CLOSE_S):
                    await subscription.unsubscribe()

    async def last_sequence(self, stream: str) -> tuple[int, int]:
        """The first and the last sequence of a stream."""
        async with self._within(None):
            state = (await self._js.stream_info(stream)).state
            return state.first_seq, state.last_seq

    async def store(self, bucket: str, name: str, content: bytes, deadline_s: float) -> None:
        """Store an object."""
        async with self._within(deadline_s):
            await (await self._js.object_store(bucket)).put(name, content)

    async def fetch(self, bucket: str, name: str, deadline_s: float) -> bytes | None:
        """An object's content, its digest checked; None when there is none of that name."""
        async with self._within(deadline_s):
            content = io.BytesIO()
            try:
                await (await self._js.object_store(bucket)).get(name, writeinto=content)
            except nats.js.errors.ObjectNotFoundError:
                return None
            return content.getvalue()

    async def store_file(self, bucket: str, name: str, content: io.BufferedIOBase, deadline_s: float) -> None:
        """Store an object from a file, piece by piece."""
        async with self._within(deadline_s):
            await (await self._js.object_store(bucket)).put(name, content)

    async def fetch_file(self, bucket: str, name: str, content: io.BufferedIOBase, deadline_s: float) -> bool:
        """Write an object's content into a file, piece by piece, its digest checked; False when there is none."""
        async with self._within(deadline_s):
            try:
                await (await self._js.object_store(bucket)).get(name, writeinto=content)
            except nats.js.errors.ObjectNotFoundError:
                return False
            return True

    async def remove(self, bucket: str, name: str) -> None:
        """Delete an object; one that is not there is no error."""
        async with self._within(None):
            with suppress(nats.js.errors.ObjectNotFoundError):
                await (await self._js.object_store(bucket)).delete(name)

    async def watch_objects(self, bucket: str) -> AsyncIterator[str | None]:
        """The names of all objects, then None, then every new one, until the connection is lost."""
        async with self._within(None):
            watcher = await (await self._js.object_store(bucket)).watch(ignore_deletes=True)
        try:
            async for info in watcher:
                yield None if info is None else info.name
        finally:
            if not self.lost.is_set():
                async with self._within(_CLOSE_S):
                    await watcher.stop()  # type: ignore[no-untyped-call]

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream itself."""
        return self._js

    # --- the streams

    async def prepare(self) -> None:
        """Make the streams and buckets that are not there."""
        for config in streams(self._settings):
            async with self._within(self._settings.connect_s):
                try:
                    await self._js.add_stream(config)
                except nats.js.errors.BadRequestError as error:
                    if error.err_code != _ALREADY_THERE:
                        raise
                    await self._js.update_stream(config)

    @asynccontextmanager
    async def _within(self, deadline_s: float | None) -> AsyncIterator[float]:
        """A deadline, and the errors of NATS as ours."""
        seconds = self._settings.request_s if deadline_s is None else deadline_s
        if self.lost.is_set():
            raise ExchangeUnreachable("there is no connection to the exchange")
        wait = asyncio.timeout(seconds)
        try:
            async with wait:
                self._waits.add(wait)
                try:
                    yield seconds
                finally:
                    self._waits.discard(wait)
        except (nats.errors.NoRespondersError, nats.js.errors.NoStreamResponseError) as error:
            raise NobodyThere("nobody serves this") from error
        except nats.js.errors.APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                raise ExchangeMoved(str(error)) from error
            if isinstance(error, nats.js.errors.ServiceUnavailableError):
                raise ExchangeUnreachable(str(error)) from error
            raise ExchangeRefused(str(error)) from error
        except TimeoutError as error:
            if self.lost.is_set():
                raise ExchangeUnreachable("the connection to the exchange was lost") from error
            raise ExchangeTimeout(f"no answer within {seconds:g} s") from error
        except (nats.errors.Error, OSError) as error:
            raise ExchangeUnreachable(str(error) or type(error).__name__) from error


class Exchange:
    """The exchange as this process sees it. `name` is shown to whoever looks at the server."""

    def __init__(
        self, settings: ExchangeSettings, name: str, find: Callable[[], ExchangeSettings | None] | None = None
    ) -> None:
        """`find` is asked before each connection where the exchange is now: an embedded server may be made, or get another
        address, after this process began. None: it was never started."""
        self._settings = settings
        self._find = find
        self._name = name
        self._attached: list[tuple[str, Callable[[Connection], Awaitable[None]]]] = []
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._log = structlog.get_logger().bind(exchange=name)
        self.connections = 0
        """How often a connection was made."""
        self.tried = False
        """Whether there was a connection already, or none to be had."""

    def attach(self, name: str, work: Callable[[Connection], Awaitable[None]]) -> None:
        """Have `work` run on every connection for as long as it lives.

        A failure of it is logged, and it begins again.
        """
        self._attached.append((name, work))

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connection is not None

    @property
    def connection(self) -> Connection:
        """The connection. Raises `ExchangeUnreachable` when there is none."""
        if self._connection is None:
            raise ExchangeUnreachable("there is no connection to the exchange")
        return self._connection

    async def ready(self) -> Connection:
        """Wait for a connection, as long as it takes."""
        while self._connection is None:
            await self._connected.wait()
        return self._connection

    async def run(self) -> None:
        """Keep a connection, until cancelled."""
        pause_s, longest_s = self._settings.retry_s
        told = False
        while True:
            try:
                await self._one_connection()
                pause_s, told = self._settings.retry_s[0], False
            except ExchangeError as error:
                self.tried = True
                if not told:
                    self._log.error("the exchange cannot be reached; calls go on", alarm="exchange", reason=str(error))
                    told = True
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, longest_s)

    async def _one_connection(self) -> None:
        """Connect, and work until the connection is lost. Raises `ExchangeError` when there was none."""
        settings = self._settings if self._find is None else self._find()
        if settings is None:
            raise ExchangeUnreachable("the exchange's server was never started here")
        client = Client()
        connection = Connection(client, settings)

        async def closed() -> None:
            connection.end()

        async def erred(error: Exception) -> None:
            if self._connection is not None:
                self._log.warning("the exchange reports an error", reason=str(error) or type(error).__name__)

        try:
            async with connection._within(settings.connect_s):
                await client.connect(
                    list(settings.urls),
                    name=self._name,
                    user=settings.user,
                    password=settings.password,
                    connect_timeout=max(1, int(settings.connect_s)),
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    ping_interval=settings.ping_s,  # type: ignore[arg-type]
                    max_outstanding_pings=2,
                    closed_cb=closed,
                    disconnected_cb=closed,
                    error_cb=erred,
                )
            await connection.prepare()
            self._connection = connection
            self.connections += 1
            self.tried = True
            self._connected.set()
            self._log.info(
                "connected to the exchange", server=str(client.connected_url and client.connected_url.netloc)
            )
            async with asyncio.TaskGroup() as tasks:
                working = [tasks.create_task(self._keep(name, work, connection)) for name, work in self._attached]
                await connection.lost.wait()
                self._forget(connection)
                for task in working:
                    task.cancel()
            self._log.error("the exchange is lost; calls go on", alarm="exchange")
        finally:
            self._forget(None)
            connection.end()
            await _close(client)

    def _forget(self, connection: Connection | None) -> None:
        if connection is None or self._connection is connection:
            self._connection = None
            self._connected.clear()

    async def _keep(self, name: str, work: Callable[[Connection], Awaitable[None]], connection: Connection) -> None:
        """The supervisor of one piece of work."""
        while not connection.lost.is_set():
            try:
                await work(connection)
                return
            except ExchangeError as error:
                if not connection.lost.is_set():
                    self._log.warning("work at the exchange is begun again", work=name, reason=str(error))
            except Exception:  # noqa: BLE001 - the supervisor of a task
                if not connection.lost.is_set():
                    self._log.exception("work at the exchange failed", work=name)
            await asyncio.sleep(_AGAIN_S)


async def _close(client: Client) -> None:
    try:
        async with asyncio.timeout(_CLOSE_S):
            await client.close()
    except (TimeoutError, nats.errors.Error, OSError) as error:
        structlog.get_logger().debug("a connection was not closed in order", reason=str(error))

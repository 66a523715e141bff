"""The one module through which trio awaits the exchange.

NATS's client is asyncio and lives in one helper thread. Here an operation on it is awaited with cancellation and a
deadline, and what comes from it is handed over in bounded queues that say what happens at their bound.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import outcome
import structlog
import trio

from kommutator.errors import ExchangeTimeout, ExchangeUnreachable
from kommutator.exchange.nats.client import Connection, Exchange, Stored
from kommutator.exchange.nats.feeds import Asked, Following, follow_changes_into, follow_into, serve_into, watch_into
from kommutator.exchange.nats.thread import ExchangeThread
from kommutator.exchange.settings import ExchangeSettings

_T = TypeVar("_T")
_AT_ONCE = 512
_STOP_S = 3.0
_GRACE_S = 0.25
"""An operation has its own deadline in the helper thread; trio gives it up so much later."""


class Bridge:
    """The exchange, for trio. `name` is the router's; `find` tells where the exchange is now, as for `Exchange`."""

    def __init__(
        self, settings: ExchangeSettings, name: str, find: Callable[[], ExchangeSettings | None] | None = None
    ) -> None:
        self.settings = settings
        self.name = name
        self._token: trio.lowlevel.TrioToken | None = None
        self._ended = trio.Event()
        self._failure: BaseException | None = None
        self._thread = ExchangeThread(settings, name, self._on_end, find)
        self._under_way = 0
        self._served: list[tuple[Callable[[bytes], Awaitable[bytes | None]], Inbox[Asked]]] = []
        self._log = structlog.get_logger().bind(exchange=name)

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the exchange at this moment."""
        return self._thread.exchange.connected

    @property
    def away(self) -> bool:
        """Whether there is none, and not only because the first one is being made."""
        return self._thread.exchange.tried and not self.connected

    async def run(self) -> None:
        """Keep the exchange, until cancelled. What is to live on every connection is attached before."""
        self._token = trio.lowlevel.current_trio_token()
        self._thread.start()
        try:
            async with trio.open_nursery() as nursery:
                for handler, inbox in self._served:
                    nursery.start_soon(self._answer_all, handler, inbox)
                await self._ended.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._token = None
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._thread.stop, _STOP_S)
        if self._failure is not None:
            raise self._failure

    async def call(self, operation: Callable[[Connection], Awaitable[_T]], deadline_s: float) -> _T:
        """Do something on the connection, such as `lambda c: c.request(…)`.

        Raises `ExchangeUnreachable` at once when there is no connection or too much is under way already,
        `ExchangeTimeout` after the deadline, and what the operation raises. Cancellation does not wait.
        """
        if self._token is None or self._under_way >= _AT_ONCE:
            raise ExchangeUnreachable("the exchange is not kept" if self._token is None else "too much is under way")

        async def on_connection(exchange: Exchange) -> _T:
            return await operation(exchange.connection)

        self._under_way += 1
        try:
            with trio.move_on_after(deadline_s + _GRACE_S):
                return await self._await(on_connection)
        finally:
            self._under_way -= 1
        raise ExchangeTimeout(f"no answer within {deadline_s:g} s")

    async def request(self, subject: str, payload: bytes, deadline_s: float) -> bytes:
        """Ask whoever serves the subject. Raises as `call`, and `NobodyThere` at once when nobody does."""
        return await self.call(lambda connection: connection.request(subject, payload, deadline_s), deadline_s)

    async def request_all(self, asked: Mapping[str, bytes], deadline_s: float) -> dict[str, bytes]:
        """Ask several subjects at once; who does not answer in time is not in the answer. Raises as `call`."""
        return await self.call(lambda connection: connection.request_all(asked, deadline_s), deadline_s)

    async def publish(self, subject: str, payload: bytes) -> None:
        """Tell whoever listens now. Raises as `call`."""
        await self.call(lambda connection: connection.publish(subject, payload), self.settings.request_s)

    async def put_all(self, bucket: str, values: Mapping[str, bytes]) -> None:
        """Set keys. Raises as `call`; some may be set then."""
        await self.call(lambda connection: connection.put_all(bucket, values), self.settings.request_s)

    # --- what lives on every connection; to be said before `run`

    def serve(self, subject: str, handler: Callable[[bytes], Awaitable[bytes | None]], at_once: int = 64) -> None:
        """Answer what is asked on a subject. At most so many at a time; others, and what fails, get no answer."""
        inbox: Inbox[Asked] = Inbox(self._wake, at_once)
        self._served.append((handler, inbox))
        seconds = self.settings.order_s
        self._thread.exchange.attach(f"serving {subject}", lambda c: serve_into(c, subject, inbox, at_once, seconds))

    def watch(self, bucket: str) -> Latest:
        """A bucket's keys and values, as they are."""
        latest = Latest(self._wake)
        self._thread.exchange.attach(f"watching {bucket}", lambda c: watch_into(c, bucket, latest))
        return latest

    def listen(self, subject: str, most: int) -> Inbox[bytes]:
        """What is told on a subject from now on; what does not fit is not heard."""
        inbox: Inbox[bytes] = Inbox(self._wake, most)

        async def hear(payload: bytes) -> bytes | None:
            inbox.put(payload)
            return None

        self._thread.exchange.attach(
            f"listening to {subject}", lambda c: c.serve(subject, hear, at_once=1, waiting=most)
        )
        return inbox

    def follow(self, stream: str, subject: str, most: int) -> Inbox[bytes | None]:
        """What is added to a stream from now on, without gaps over connections; None says that there may be a gap after
        all."""
        inbox: Inbox[bytes | None] = Inbox(self._wake, most)
        place: list[int] = []
        self._thread.exchange.attach(f"following {stream}", lambda c: follow_into(c, stream, subject, inbox, place))
        return inbox

    def follow_changes(self, place: list[int], most: int) -> Inbox[Following | Stored]:
        """The stream of changes after a place, which is kept there; without one, after what the tables made last have."""
        inbox: Inbox[Following | Stored] = Inbox(self._wake, most)
        self._thread.exchange.attach("following changes", lambda c: follow_changes_into(c, inbox, place))
        return inbox

    async def _answer_all(self, handler: Callable[[bytes], Awaitable[bytes | None]], inbox: Inbox[Asked]) -> None:
        async def answer(asked: Asked) -> None:
            """The supervisor of one answer."""
            try:
                asked.answer(await handler(asked.payload))
            except Exception:  # noqa: BLE001 - nobody else sees it
                self._log.exception("a request could not be answered")
                asked.answer(None)

        async with trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(answer, await inbox.get())

    # --- inside

    async def _await(self, operation: Callable[[Exchange], Awaitable[_T]]) -> _T:
        task = trio.lowlevel.current_task()
        token = trio.lowlevel.current_trio_token()
        waiting = True

        def wake(result: outcome.Outcome[_T]) -> None:
            if waiting:
                trio.lowlevel.reschedule(task, result)

        def done(value: Any, error: BaseException | None) -> None:
            result = outcome.Value(value) if error is None else outcome.Error(error)
            try:
                token.run_sync_soon(wake, result)
            except trio.RunFinishedError:
                return

        order = self._thread.begin(operation, done)

        def abort(_: object) -> trio.lowlevel.Abort:
            nonlocal waiting
            waiting = False
            order.cancel()
            return trio.lowlevel.Abort.SUCCEEDED

        try:
            result: _T = await trio.lowlevel.wait_task_rescheduled(abort)
            return result
        finally:
            waiting = False

    def _wake(self, what: Callable[[], None]) -> None:
        """From the helper thread: have something done in trio's, if it still runs."""
        token = self._token
        if token is not None:
            try:
                token.run_sync_soon(what)
            except trio.RunFinishedError:
                return

    def _on_end(self, failure: BaseException | None) -> None:
        self._failure = failure
        self._wake(self._ended.set)


class Inbox(Generic[_T]):
    """What the helper thread hands to trio, in order. Bounded: at its bound `put` refuses."""

    def __init__(self, wake: Callable[[Callable[[], None]], None], most: int) -> None:
        self._wake = wake
        self._most = most
        self._lock = threading.Lock()
        self._items: deque[_T] = deque()
        self._filled = trio.Event()

    def put(self, item: _T) -> bool:
        """In the helper thread; False when the queue is full."""
        with self._lock:
            if len(self._items) >= self._most:
                return False
            self._items.append(item)
        self._wake(self._set)
        return True

    async def get(self) -> _T:
        """In trio: the next item."""
        while True:
            with self._lock:
                if self._items:
                    return self._items.popleft()
                self._filled = trio.Event()
            await self._filled.wait()

    def _set(self) -> None:
        self._filled.set()


class Latest:
    """The keys of a bucket as they reach trio: of each key the latest value only, so that it is bounded by their
    number."""

    def __init__(self, wake: Callable[[Callable[[], None]], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._changed: dict[str, bytes | None] = {}
        self._all = False
        self._lost = False
        self._filled = trio.Event()

    def replace(self, values: Mapping[str, bytes]) -> None:
        """In the helper thread: these are all keys there are."""
        with self._lock:
            self._changed, self._all = dict(values), True
        self._wake(self._set)

    def update(self, key: str, value: bytes | None) -> None:
        """In the helper thread: a key has changed."""
        with self._lock:
            self._changed[key] = value
        self._wake(self._set)

    def lose(self) -> None:
        """In the helper thread: from now on nothing is known."""
        with self._lock:
            self._changed, self._all, self._lost = {}, False, True
        self._wake(self._set)

    async def get(self) -> Keys:
        """In trio: what has happened since the last time."""
        while True:
            with self._lock:
                if self._lost:
                    self._lost = False
                    return Keys("lost", {})
                if self._all or self._changed:
                    keys = Keys("all" if self._all else "some", self._changed)
                    self._changed, self._all = {}, False
                    return keys
                self._filled = trio.Event()
            await self._filled.wait()

    def _set(self) -> None:
        self._filled.set()


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of a bucket: `all` there are, `some` that changed, or `lost`: the exchange is, and nothing is known."""

    which: Literal["all", "some", "lost"]
    values: Mapping[str, bytes | None]

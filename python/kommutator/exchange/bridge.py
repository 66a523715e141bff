"""The one module through which trio awaits the exchange.

NATS's client is asyncio and lives in one helper thread. Here an operation on it is awaited with cancellation and a
deadline, and what comes from it is handed over in bounded queues that say what happens at their bound.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import outcome
import structlog
import trio

from kommutator.errors import ExchangeTimeout, ExchangeUnreachable
from kommutator.exchange.nats.client import Connection, Exchange
from kommutator.exchange.nats.thread import ExchangeThread
from kommutator.exchange.settings import ExchangeSettings

_T = TypeVar("_T")
_AT_ONCE = 512
_STOP_S = 3.0
_GRACE_S = 0.25
"""An operation has its own deadline in the helper thread; trio gives it up so much later."""


class Bridge:
    """The exchange, for trio. `name` is the router's."""

    def __init__(self, settings: ExchangeSettings, name: str) -> None:
        self.settings = settings
        self.name = name
        self._token: trio.lowlevel.TrioToken | None = None
        self._ended = trio.Event()
        self._failure: BaseException | None = None
        self._thread = ExchangeThread(settings, name, self._on_end)
        self._under_way = 0
        self._log = structlog.get_logger().bind(exchange=name)

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the exchange at this moment."""
        return self._thread.exchange.connected

    async def run(self) -> None:
        """Keep the exchange, until cancelled. What is to live on every connection is attached before."""
        self._token = trio.lowlevel.current_trio_token()
        self._thread.start()
        try:
            await self._ended.wait()
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

    def attach(self, name: str, work: Callable[[Connection], Awaitable[None]]) -> None:
        """Have `work` run in the helper thread on every connection. Before `run`."""
        self._thread.exchange.attach(name, work)

    def inbox(self, most: int) -> Inbox[Any]:
        """A queue out of the helper thread."""
        return Inbox(self._wake, most)

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

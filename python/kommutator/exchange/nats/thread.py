"""The helper thread of a router: an asyncio loop of its own in which the exchange lives."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.settings import ExchangeSettings

Operation = Callable[[Exchange], Awaitable[Any]]
Done = Callable[[Any, BaseException | None], None]
"""Called in the helper thread with what came out."""


class Order:
    """An operation under way; `cancel` may be called from any thread, at any time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False

    def began(self, task: asyncio.Task[None]) -> None:
        """In the helper thread."""
        self._task = task
        if self._cancelled:
            task.cancel()

    def cancel(self) -> None:
        """Give the operation up."""
        self._cancelled = True
        _tell(self._loop, lambda: self._task and self._task.cancel())


class ExchangeThread:
    """Runs an `Exchange` from `start` until `stop`. `on_end` is called in the thread, when it ends."""

    def __init__(
        self,
        settings: ExchangeSettings,
        name: str,
        on_end: Callable[[BaseException | None], None],
        find: Callable[[], ExchangeSettings | None] | None = None,
    ) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self.exchange = Exchange(settings, name, find)
        self._on_end = on_end
        self._thread = threading.Thread(target=self._run, name=f"exchange of {name}", daemon=True)
        self._stopping: asyncio.Event | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin."""
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    def stop(self, deadline_s: float) -> None:
        """End, and wait for the end. Blocks."""
        if self._loop is not None:
            _tell(self._loop, self._ask_to_stop)
            self._thread.join(deadline_s)

    def begin(self, operation: Operation, done: Done) -> Order:
        """Run an operation.

        `done` is called exactly once while the thread lives, unless the operation was cancelled.
        """
        loop = self._loop
        assert loop is not None
        order = Order(loop)

        def begin() -> None:
            task = loop.create_task(self._one(operation, done))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            order.began(task)

        if not _tell(loop, begin):
            done(None, RuntimeError("the exchange's thread has ended"))
        return order

    def _run(self) -> None:
        failure: BaseException | None = None
        try:
            with asyncio.Runner(loop_factory=self._the_loop) as runner:
                runner.run(self._main())
        except BaseException as error:  # noqa: BLE001 - whatever ends the thread is told to whom it serves
            failure = error
        self._on_end(failure)

    def _ask_to_stop(self) -> None:
        if self._stopping is not None:
            self._stopping.set()

    def _the_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None
        return self._loop

    async def _main(self) -> None:
        self._stopping = asyncio.Event()
        running = asyncio.create_task(self.exchange.run())
        stopping = asyncio.create_task(self._stopping.wait())
        ended, _ = await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (running, stopping, *self._tasks):
            task.cancel()
        await asyncio.gather(running, stopping, *self._tasks, return_exceptions=True)
        if running in ended:
            running.result()

    async def _one(self, operation: Operation, done: Done) -> None:
        """The supervisor of one operation."""
        try:
            result = await operation(self.exchange)
        except Exception as error:  # noqa: BLE001 - it is told to whom asked
            done(None, error)
        else:
            done(result, None)


def _tell(loop: asyncio.AbstractEventLoop, what: Callable[[], object]) -> bool:
    try:
        loop.call_soon_threadsafe(what)
    except RuntimeError:
        structlog.get_logger().debug("the exchange's thread has ended already")
        return False
    return True

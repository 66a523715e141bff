"""Makes calls when they are due, whatever has become of those before.

Latencies count from the moment at which a call was due: a server that stalls delays those who would have called meanwhile,
and a generator that waited for it would leave them out (coordinated omission, Gil Tene). How late the generator itself turned
to a call is kept beside, so that it is seen who is measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final, Protocol

import trio

from kommutator.load import outcome
from kommutator.load.arrivals import Call
from kommutator.load.reference import Reference
from kommutator.load.tally import Example, Tally
from kommutator.load.target import Ask, Target, Told
from kommutator.load.timer import Timer

_AT_ONCE: Final = 64
"""Calls begun before those that are answered have their turn."""
_SWEEP_S: Final = 0.05
_TIMEOUT: Final = Told(error="timeout")
_NO_ROOM: Final = Told(error="no room")

_now = time.perf_counter


class Clock(Protocol):
    """What a call is told of the time."""

    def at_ms(self, call: Call) -> int:
        """When the call comes, UTC."""
        ...


class Generator:
    """Makes the calls of a run, or one generator's share of them.

    So many may be `open` at once; a call that is due beyond them fails as `no room`.
    """

    def __init__(
        self,
        target: Target,
        tally: Tally,
        clock: Clock,
        *,
        run: str,
        deadline_s: float,
        most_open: int,
        reference: Reference | None,
        whole: bool = False,
    ) -> None:
        self._whole = whole
        self._target = target
        self._tally = tally
        self._clock = clock
        self._run = run
        self._deadline_s = deadline_s
        self._most_open = most_open
        self._reference = reference
        self._idle: list[_Maker] = []
        self._makers = 0
        self._open: dict[_Maker, float] = {}
        self._begin = 0.0
        self._all_done: trio.Event | None = None

    @property
    def open(self) -> int:
        """Calls that are asked and not answered."""
        return len(self._open)

    async def run(self, calls: Iterator[Call], begin: float) -> None:
        """Make the calls, whose moments count from `begin` of `time.perf_counter()`, and wait for their ends."""
        self._begin = begin
        timer = Timer()
        try:
            async with trio.open_nursery() as makers:
                makers.start_soon(self._keep_deadlines)
                await self._make(calls, timer, makers)
                if self._open:
                    self._all_done = trio.Event()
                    await self._all_done.wait()
                makers.cancel_scope.cancel()
        finally:
            timer.close()

    async def _make(self, calls: Iterator[Call], timer: Timer, makers: trio.Nursery) -> None:
        begin, until = self._begin, timer.until
        at_once = 0
        for call in calls:
            due = begin + call.due_s
            if due > _now() or at_once == _AT_ONCE:
                await until(due)
                at_once = 0
            at_once += 1
            self._begin_call(call, due, makers)

    def _begin_call(self, call: Call, due: float, makers: trio.Nursery) -> None:
        if self._idle:
            maker = self._idle.pop()
            self._open[maker] = due
            maker.take(call, due)
        elif self._makers < self._most_open:
            self._makers += 1
            maker = _Maker(self)
            self._open[maker] = due
            maker.call, maker.due = call, due
            makers.start_soon(maker.run)
        else:
            self._settle(call, due, _now(), _NO_ROOM)

    async def _keep_deadlines(self) -> None:
        """Give up the calls whose time is over. They stand in the order in which they were due."""
        while True:
            await trio.sleep(_SWEEP_S)
            overdue = _now() - self._deadline_s
            for maker, due in self._open.items():
                if due > overdue:
                    break
                maker.scope.cancel()

    async def ask(self, call: Call, due: float) -> None:
        """Make one call and count it."""
        began = _now()
        ask = Ask(call.number, f"{self._run}-{call.number}", call.did, call.caller, self._clock.at_ms(call))
        told = await self._target.ask(ask)
        self._settle(call, due, began, told, ask)

    def give_up(self, call: Call, due: float) -> None:
        """A call's time is over."""
        self._settle(call, due, due, _TIMEOUT)

    def done(self, maker: _Maker) -> None:
        """A maker's call is over."""
        del self._open[maker]
        if self._all_done is not None and not self._open:
            self._all_done.set()

    def rest(self, maker: _Maker) -> None:
        """A maker waits for its next call."""
        self._idle.append(maker)

    def leave(self, maker: _Maker) -> None:
        """A maker waits no more."""
        self._idle.remove(maker)

    def _settle(self, call: Call, due: float, began: float, told: Told, ask: Ask | None = None) -> None:
        tally, due_s = self._tally, due - self._begin
        if told.error is not None:
            tally.error(due_s, began - due, told.error)
            if tally.wants(told.error):
                self._show(call, told.error, told.detail)
            return
        first = told.first_at or _now()
        tally.answer(due_s, began - due, (told.sent_at or began) - due, first - due, told.steps_s)
        if self._whole:
            tally.outcome(due_s, told.outcome or outcome.of_events(told.actions, told.events))
        if ask is not None and self._reference is not None:
            wrong = self._target.compare(self._reference.expect(ask), told)
            if wrong is not None:
                tally.wrong(due_s)
                if tally.wants("wrong"):
                    self._show(call, "wrong", wrong)

    def _show(self, call: Call, kind: str, detail: str) -> None:
        at_ms = self._clock.at_ms(call)
        self._tally.show(Example(kind, call.number, call.did, call.caller, at_ms, detail))


class _Maker:
    """A task that makes one call after the other: a new one for each call would cost more than many a call."""

    __slots__ = ("_generator", "_task", "call", "due", "scope")

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._task: trio.lowlevel.Task | None = None
        self.call: Call | None = None
        self.due = 0.0
        self.scope = trio.CancelScope()

    def take(self, call: Call, due: float) -> None:
        """Make this call next. Only while the task rests."""
        self.call, self.due = call, due
        task, self._task = self._task, None
        assert task is not None
        trio.lowlevel.reschedule(task)

    async def run(self) -> None:
        """Make calls until cancelled."""
        generator = self._generator
        while True:
            with self.scope:
                while True:
                    if self.call is not None:
                        await generator.ask(self.call, self.due)
                        self.call = None
                        generator.done(self)
                    self._task = trio.lowlevel.current_task()
                    generator.rest(self)
                    await trio.lowlevel.wait_task_rescheduled(self._wake)
            # The deadline: of a call, unless it was answered in the same moment.
            self.scope = trio.CancelScope()
            if self.call is not None:
                generator.give_up(self.call, self.due)
                self.call = None
                generator.done(self)

    def _wake(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._generator.leave(self)
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED

"""Calls to clients: the employee's own phone rings first, then the client's, and then both talk."""

from __future__ import annotations

from collections.abc import Callable

import structlog
import trio

from kommutator.errors import EngineError, PbxCannot, PbxError
from kommutator.routing.doings import CALL_BACK, CalledBack
from kommutator.routing.ports import Clock, Engine, Journal, Pbx
from kommutator.routing.talks import Outcome

_AT_ONCE = 256


class CallBacks:
    """The calls back of a router. A call back goes on in the PBX when its router dies, once both talk."""

    def __init__(self, pbx: Pbx, engine: Engine, journal: Journal, clock: Clock, freed: Callable[[], None]) -> None:
        self._pbx = pbx
        self._engine = engine
        self._journal = journal
        self._clock = clock
        self._freed = freed
        self._left = [_CallBack.left(told) for told in journal.calls_back().values()]
        """By an earlier router."""
        self._going = {back.call_id: back for back in self._left}
        self._in, self._out = trio.open_memory_channel[_CallBack](_AT_ONCE)
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Make them until cancelled."""
        async with trio.open_nursery() as nursery:
            for left in self._left:
                nursery.start_soon(self._take_up, left)
            async for back in self._out:
                nursery.start_soon(self._make, back)

    async def make(self, order: str, employee: str, endpoint: str, number: str) -> Outcome:
        """Call a number back from an employee's phone; returns when that rings. Once it does, how it goes on is told
        by the journal."""
        call_id = f"{CALL_BACK}{order}"
        try:
            if not self._engine.reserve(employee, call_id, self._clock.now_ms()):
                return Outcome(False, "busy")
        except EngineError as error:
            return Outcome(False, error.code)
        back = _CallBack(call_id, employee, endpoint, number)
        try:
            self._in.send_nowait(back)
        except trio.WouldBlock:
            self._engine.release(employee, call_id)
            return Outcome(False, "too_many")
        try:
            await back.settled.wait()
        except trio.Cancelled:
            back.scope.cancel()
            raise
        return back.outcome

    async def hang_up(self, call_id: str, employee: str) -> Outcome:
        """End a call back, whether both talk or not."""
        back = self._going.get(call_id)
        if back is None:
            return Outcome(False, "unknown_call")
        if back.employee != employee:
            return Outcome(False, "not_yours")
        if not back.talking:
            back.scope.cancel()
            return Outcome(True)
        try:
            await self._pbx.hang_up_call_back(call_id)
        except PbxError as error:
            self._log.error("a call back could not be ended", call=call_id, code=error.code, reason=str(error))
            return Outcome(False, "not_supported" if isinstance(error, PbxCannot) else "failed")
        return Outcome(True)

    async def _take_up(self, back: _CallBack) -> None:
        """The supervisor of one that an earlier router began: it ends when both have hung up, or has ended with that router."""
        log, talked = self._log.bind(call=back.call_id), back.talked
        try:
            talked = await self._pbx.call_back_over(back.call_id) or talked
        except PbxError as error:
            log.error("how a call back goes on cannot be known", code=error.code, reason=str(error))
        except Exception:
            log.exception("a call back failed in our code")
        del self._going[back.call_id]
        self._tell(back, "over", None if talked else "failed")

    async def _make(self, back: _CallBack) -> None:
        """The supervisor of one."""
        log = self._log.bind(call=back.call_id)
        self._going[back.call_id] = back

        def tell(state: str) -> None:
            back.talking = back.talking or state == "talking"
            if state == "ringing":
                back.settle(Outcome(True))
            if state in ("ringing", "calling", "talking"):
                self._tell(back, state)

        reason: str | None = "failed"
        try:
            with back.scope:
                reason = await self._pbx.call_back(back.call_id, back.endpoint, back.number, tell)
        except PbxCannot as error:
            reason = "not_supported"
            log.warning("a call back was refused", reason=str(error))
        except PbxError as error:
            log.error("a call back failed", code=error.code, reason=str(error))
        except Exception:
            log.exception("a call back failed in our code")
        finally:
            del self._going[back.call_id]
            self._engine.release(back.employee, back.call_id)
            self._freed()
        if back.scope.cancelled_caught:
            reason = "cancelled"
        self._tell(back, "over", reason)
        back.settle(Outcome(False, (reason or "failed").removeprefix("employee_")))

    def _tell(self, back: _CallBack, state: str, reason: str | None = None) -> None:
        assert state in ("ringing", "calling", "talking", "over")
        now_ms = self._clock.now_ms()
        self._journal.did(CalledBack(back.call_id, now_ms, back.employee, back.number, state, reason))  # type: ignore[arg-type]


class _CallBack:
    def __init__(self, call_id: str, employee: str, endpoint: str, number: str) -> None:
        self.call_id = call_id
        self.employee = employee
        self.endpoint = endpoint
        self.number = number
        self.scope = trio.CancelScope()
        self.outcome = Outcome(False, "failed")
        self.settled = trio.Event()
        self.talking = False
        self.talked = False
        """As an earlier router told."""

    @classmethod
    def left(cls, told: CalledBack) -> _CallBack:
        """As it was told last."""
        back = cls(told.call, told.by, "", told.number)
        # If they do not talk, the PBX has ended it; it may be told of that later than it was so.
        back.talking, back.talked = True, told.state == "talking"
        return back

    def settle(self, outcome: Outcome) -> None:
        if not self.settled.is_set():
            self.outcome = outcome
            self.settled.set()

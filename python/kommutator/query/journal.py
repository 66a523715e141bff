"""The calls of routing queries in the router's journal: each begins, has its turns, and ends once.

A client may ask again what was answered already, may send a call's steps to several routers, and may never come back. So a
step of a call that this router has not seen takes the call over, an answer repeated after the end is not told again, and
a call without steps for too long is over: its caller has hung up, for all that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import structlog
import trio

from kommutator.errors import EngineError
from kommutator.routing.ports import Clock, Engine, Journal
from kommutator.routing.turn import End, Event, Turn

FORGET_S = 4 * 3600.0
"""As long as the engine's claim of a conversation."""
_LOOK_EVERY_S = 1.0
_MOST_OVER = 100_000
_HUNG_UP: Event = {"type": "caller_hung_up"}


class _Told(msgspec.Struct, frozen=True):
    """A turn as the codec tells it."""

    call: str
    did: str
    caller: str | None
    at: int
    event: dict[str, Any] | None
    turn: Turn


_decoder = msgspec.json.Decoder(_Told)


class QueryJournal:
    """Tells the journal of queries' calls. `engine` gives the engine, when there is one."""

    def __init__(
        self, journal: Journal, engine: Callable[[], Engine | None], clock: Clock, forget_s: float = FORGET_S
    ) -> None:
        self._journal = journal
        self._engine = engine
        self._clock = clock
        self._forget_ms = round(forget_s * 1000)
        now_ms = clock.now_ms()
        self._live: dict[str, tuple[int, Turn | None]] = {
            call_id: (now_ms, turn) for call_id, turn in journal.unfinished().items()
        }
        """When each call was last heard of, the oldest first, and its last turn."""
        self._over: dict[str, None] = {}
        """The calls that ended last: a repeated step of theirs is nothing new."""
        self._log = structlog.get_logger()

    @property
    def live(self) -> int:
        """How many calls go on."""
        return len(self._live)

    def states(self) -> Iterator[str]:
        """The states of the calls that go on."""
        return (turn.state for _, turn in self._live.values() if turn is not None)

    def take(self, lines: bytes) -> None:
        """Turns were decided; as `HttpService.take_journal` tells them."""
        for line in lines.splitlines():
            told = _decoder.decode(line)
            self.turned(told.call, told.did, told.caller, told.at, told.event, told.turn)

    def turned(self, call_id: str, did: str, caller: str | None, at_ms: int, event: Event | None, turn: Turn) -> None:
        """A turn was decided; `event` is None for an arrival."""
        if call_id in self._over:
            if event is None:
                self._log.warning("a call has the id of one that ended: it is in no ledger", call=call_id)
            return
        if self._live.pop(call_id, None) is None:
            self._journal.began(call_id, did, caller, at_ms)
        self._journal.turned(call_id, at_ms, event, turn)
        if isinstance(turn.action, End):
            self._end(call_id, at_ms, turn.action)
        else:
            self._live[call_id] = self._clock.now_ms(), turn

    async def run(self) -> None:
        """End the calls that nobody comes back for, until cancelled."""
        while True:
            await trio.sleep(_LOOK_EVERY_S)
            self.forget()

    def forget(self) -> None:
        """End the calls that have had no step for too long."""
        now_ms = self._clock.now_ms()
        late: list[str] = []
        for call_id, (heard_ms, _) in self._live.items():
            if now_ms - heard_ms < self._forget_ms:
                break
            late.append(call_id)
        for call_id in late:
            _, turn = self._live.pop(call_id)
            self._end(call_id, now_ms, self._last(call_id, turn, now_ms))

    def _last(self, call_id: str, turn: Turn | None, now_ms: int) -> End:
        engine = self._engine()
        if turn is None or engine is None:
            return End("failed", "ours")
        try:
            ended = Turn.of(engine.handle(turn.state, _HUNG_UP, now_ms))
        except EngineError as error:
            self._log.error("the engine cannot end a call", call=call_id, code=error.code, reason=str(error))
            return End("abandoned", "caller")
        self._journal.turned(call_id, now_ms, _HUNG_UP, ended)
        return ended.action if isinstance(ended.action, End) else End("abandoned", "caller")

    def _end(self, call_id: str, at_ms: int, action: End) -> None:
        self._journal.ended(call_id, at_ms, action.disposition, action.fault)
        self._over[call_id] = None
        if len(self._over) > _MOST_OVER:
            del self._over[next(iter(self._over))]

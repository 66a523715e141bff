"""The sender: takes what is due from the outbox, hands it to its channel, and writes down what became of it.

claimed ──too old──► failed
   │
handed over ──► Sent ─────► sent (then receipts)
                Later ────► due again after a pause, or failed when that would be too late
                Doubtful ─► the same, but at most `repeats_in_doubt` times where the channel would not recognise it
                Refused ──► failed
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from kommutator.errors import DatabaseUnreachable
from kommutator.notify.backoff import Backoff
from kommutator.notify.ports import (
    Channel,
    ChannelName,
    Doubtful,
    Later,
    Notice,
    Outbox,
    Outcome,
    Receipt,
    Refused,
    Sent,
)
from kommutator.routing.ports import Clock

_T = TypeVar("_T")
_LEAST_REST_S = 0.1
_TELLING_S = 10.0
"""How much longer than its attempt a claim is held, so that the outcome can be written."""


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """How notices are sent, the same for every channel."""

    concurrency: int = 8
    """Attempts at a time, of one channel."""
    poll_s: float = 5.0
    """The outbox is looked at so often, besides when it tells that something is new."""
    backoff: Backoff = field(default_factory=Backoff)
    give_up_s: float = 24 * 3600.0
    """A notice older than this is given up: news of a missed call is worth nothing the day after."""
    repeats_in_doubt: int = 1
    """How often a notice that may have left is repeated by a channel that would not recognise it. 0 is at most once; 1 loses none to a
    connection that breaks, and risks a double."""
    database_pause_s: float = 1.0
    """Between attempts to reach the database; doubles up to 16 times as much."""
    doubt_pause_s: float = 120.0
    """The least pause before a doubtful notice is repeated: the trouble should be over."""
    silence: Backoff = field(default_factory=lambda: Backoff(10.0, 300.0))
    """The pauses of a channel that does not answer. After each, one notice at a time tries whether it answers again, so that an outage
    makes few doubts."""


class Sender:
    """Sends until it is stopped or cancelled. Several senders may work on one outbox."""

    def __init__(
        self,
        outbox: Outbox,
        channels: Mapping[ChannelName, Channel],
        clock: Clock,
        settings: SenderSettings | None = None,
    ) -> None:
        self._lanes = {
            name: _Lane(name, channel, outbox, clock, settings or SenderSettings())
            for name, channel in channels.items()
        }

    async def run(self) -> None:
        """Send. Cancelled, it cancels its attempts, which become doubts; `stop` is kinder."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes.values():
                group.create_task(lane.run())

    def wake(self, channel: ChannelName | None = None) -> None:
        """Something is new in the outbox."""
        for name, lane in self._lanes.items():
            if channel in (None, name):
                lane.wake()

    def stop(self) -> None:
        """Claim nothing more; `run` returns when the attempts under way have ended, each within its deadline."""
        for lane in self._lanes.values():
            lane.stop()


class _Lane:
    """One channel's part of the sender."""

    def __init__(
        self, name: ChannelName, channel: Channel, outbox: Outbox, clock: Clock, settings: SenderSettings
    ) -> None:
        self._name = name
        self._channel = channel
        self._outbox = outbox
        self._clock = clock
        self._settings = settings
        self._awake = asyncio.Event()
        self._stopping = False
        self._running = 0
        self._unanswered = 0
        self._paused_until_ms = 0
        self._log = structlog.get_logger().bind(channel=name)

    def wake(self) -> None:
        self._awake.set()

    def stop(self) -> None:
        self._stopping = True
        self._awake.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            connection = group.create_task(self._channel.run(self._told))
            try:
                async with asyncio.TaskGroup() as attempts:
                    while not self._stopping:
                        self._awake.clear()
                        await self._rest(await self._surely(lambda: self._fill(attempts)))
            finally:
                connection.cancel()

    async def _fill(self, attempts: asyncio.TaskGroup) -> float:
        """Start what is due and has room; how long to rest unless woken, in seconds."""
        free = (1 if self._unanswered else self._settings.concurrency) - self._running
        now_ms = self._clock.now_ms()
        if free <= 0:
            return self._settings.poll_s
        if now_ms < self._paused_until_ms:
            return (self._paused_until_ms - now_ms) / 1000
        notices = await self._outbox.claim(self._name, free, now_ms)
        for notice in notices:
            self._running += 1
            attempts.create_task(self._attempt(notice))
        if len(notices) == free:
            return self._settings.poll_s
        due_ms = await self._outbox.next_due_ms(self._name)
        return self._settings.poll_s if due_ms is None else (due_ms - now_ms) / 1000

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(min(max(seconds, _LEAST_REST_S), self._settings.poll_s)):
                await self._awake.wait()
        except TimeoutError:
            pass

    async def _attempt(self, notice: Notice) -> None:
        log = self._log.bind(notice=notice.id, call=notice.call_id, recipient=notice.recipient, attempt=notice.attempt)
        try:
            if self._too_late(notice, self._clock.now_ms()):
                await self._surely(lambda: self._outbox.failed(notice, "too old to be of use", self._clock.now_ms()))
                log.error("a notice was given up", state="failed", reason="too old to be of use")
            elif self._too_doubtful(notice, notice.doubts):
                reason = "it may have been sent: nobody knows what became of the last attempt"
                await self._surely(lambda: self._outbox.failed(notice, reason, self._clock.now_ms()))
                log.error("a notice was given up", state="failed", reason=reason)
            else:
                await self._channel.turn()
                until_ms = self._clock.now_ms() + int((self._channel.attempt_s + _TELLING_S) * 1000)
                if await self._surely(lambda: self._outbox.hand_over(notice, until_ms)):
                    await self._write_down(notice, await self._deliver(notice, log), log)
                else:
                    log.info("another sender has this notice")
        finally:
            self._running -= 1
            self._awake.set()

    async def _deliver(self, notice: Notice, log: structlog.stdlib.BoundLogger) -> Outcome:
        async def accepted(part: int, provider_id: str | None) -> None:
            await self._surely(lambda: self._outbox.accepted(notice, part, provider_id, self._clock.now_ms()))

        try:
            async with asyncio.timeout(self._channel.attempt_s):
                return await self._channel.deliver(notice, accepted)
        except TimeoutError:
            return Doubtful(f"no answer in {self._channel.attempt_s:g} s")
        except Exception as error:
            log.exception("a channel failed by a defect of its own")
            return Doubtful(f"{type(error).__name__}: {error}")

    async def _write_down(self, notice: Notice, outcome: Outcome, log: structlog.stdlib.BoundLogger) -> None:
        now_ms = self._clock.now_ms()
        if not isinstance(outcome, Doubtful):
            self._unanswered = 0
        match outcome:
            case Sent():
                await self._surely(lambda: self._outbox.sent(notice, now_ms))
                log.info("a notice was sent", state="sent")
            case Refused(reason):
                await self._surely(lambda: self._outbox.failed(notice, reason, now_ms))
                log.error("a notice was given up", state="failed", reason=reason)
            case Later(reason, after_s, channel_s):
                if channel_s is not None:
                    self._pause(now_ms, channel_s)
                wish_s = after_s if channel_s is None else max(after_s or 0.0, channel_s)
                await self._put_off(notice, reason, wish_s, log, doubtful=False)
            case Doubtful(reason):
                if now_ms >= self._paused_until_ms:
                    self._unanswered += 1
                    self._pause(now_ms, self._settings.silence.pause_s(self._name, self._unanswered))
                pause_s = self._settings.backoff.pause_s(notice.id, notice.attempt)
                await self._put_off(notice, reason, max(pause_s, self._settings.doubt_pause_s), log, doubtful=True)

    async def _put_off(
        self, notice: Notice, reason: str, wish_s: float | None, log: structlog.stdlib.BoundLogger, *, doubtful: bool
    ) -> None:
        now_ms = self._clock.now_ms()
        pause_s = wish_s if wish_s is not None else self._settings.backoff.pause_s(notice.id, notice.attempt)
        at_ms = now_ms + int(pause_s * 1000)
        if self._too_late(notice, at_ms) or (doubtful and self._too_doubtful(notice, notice.doubts + 1)):
            await self._surely(lambda: self._outbox.failed(notice, reason, now_ms))
            log.error("a notice was given up", state="failed", reason=reason, doubtful=doubtful)
        else:
            await self._surely(lambda: self._outbox.again(notice, at_ms, reason, doubtful=doubtful))
            log.warning(
                "a notice could not be sent yet", reason=reason, again_in_s=round(pause_s, 1), doubtful=doubtful
            )

    def _pause(self, now_ms: int, seconds: float) -> None:
        self._paused_until_ms = max(self._paused_until_ms, now_ms + int(seconds * 1000))

    def _too_late(self, notice: Notice, at_ms: int) -> bool:
        return at_ms - notice.created_at_ms > self._settings.give_up_s * 1000

    def _too_doubtful(self, notice: Notice, doubts: int) -> bool:
        return not self._channel.recognises_repeats and doubts > self._settings.repeats_in_doubt

    async def _told(self, receipt: Receipt) -> None:
        now_ms = self._clock.now_ms()
        notice_id = await self._surely(lambda: self._outbox.receipt(self._name, receipt, now_ms))
        say = self._log.info if receipt.delivered else self._log.error
        state = "delivered" if receipt.delivered else "undelivered"
        say("a receipt came", notice=notice_id, provider_id=receipt.provider_id, state=state, reason=receipt.error)

    async def _surely(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Do idempotent work on the outbox, however long the database is away."""
        pause_s = self._settings.database_pause_s
        while True:
            try:
                return await work()
            except DatabaseUnreachable as error:
                self._log.warning("the outbox cannot be reached", reason=str(error), again_in_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, 16 * self._settings.database_pause_s)

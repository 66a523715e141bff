"""An outbox in memory that keeps the port's promises and says every change: tests wait for what happens, and never for time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from kommutator.errors import DatabaseUnreachable
from kommutator.notify.ports import Channel, ChannelName, Content, Notice, Receipt, Sms
from kommutator.notify.sender import Sender, SenderSettings

START_MS = 1_795_000_000_000
_LEASE_MS = 60_000


class FakeClock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.ms = START_MS

    def now_ms(self) -> int:
        return self.ms


@dataclass
class Row:
    """One notice and its state."""

    notice: Notice
    channel: ChannelName
    state: str = "waiting"
    due_ms: int = START_MS
    reason: str | None = None
    parts: dict[int, str | None] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)


class MemoryOutbox:
    """The outbox."""

    def __init__(self, clock: FakeClock) -> None:
        self.rows: dict[str, Row] = {}
        self.receipts: list[Receipt] = []
        self.away = 0
        """So many calls fail because the database is away."""
        self._clock = clock
        self._changed = asyncio.Event()

    def put(self, id: str, recipient: str, content: Content | str, channel: ChannelName = "sms") -> Row:
        """Enqueue."""
        content = Sms(content) if isinstance(content, str) else content
        row = Row(
            Notice(id, recipient, content, self._clock.ms, attempt=0, call_id="call-1"), channel, due_ms=self._clock.ms
        )
        self.rows[id] = row
        return row

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true of the rows; fails after 10 s."""
        async with asyncio.timeout(10):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    async def until_state(self, id: str, *states: str) -> Row:
        """Wait until a notice is in one of these states."""
        await self.until(lambda: self.rows[id].state in states)
        return self.rows[id]

    # --- the port

    async def claim(self, channel: ChannelName, limit: int, now_ms: int) -> Sequence[Notice]:
        self._reached()
        claimed: list[Notice] = []
        seen: set[str] = set()
        for row in self.rows.values():
            waits = row.state == "waiting" and row.channel == channel
            if waits and row.notice.recipient not in seen and row.due_ms <= now_ms and len(claimed) < limit:
                row.notice = replace(row.notice, attempt=row.notice.attempt + 1, parts=frozenset(row.parts))
                row.due_ms = now_ms + _LEASE_MS
                claimed.append(row.notice)
            if waits:
                seen.add(row.notice.recipient)
        return claimed

    async def next_due_ms(self, channel: ChannelName) -> int | None:
        self._reached()
        return min((row.due_ms for row in self.rows.values() if row.state == "waiting"), default=None)

    async def hand_over(self, notice: Notice, until_ms: int) -> bool:
        self._reached()
        row = self._claimed(notice)
        if row is None:
            return False
        row.notice = replace(row.notice, doubts=row.notice.doubts + 1)
        row.due_ms = until_ms
        self._note(row, "handed over")
        return True

    async def accepted(self, notice: Notice, part: int, provider_id: str | None, now_ms: int) -> None:
        self._reached()
        self.rows[notice.id].parts[part] = provider_id
        self._note(self.rows[notice.id], f"part {part}")

    async def sent(self, notice: Notice, now_ms: int) -> None:
        self._reached()
        if row := self._claimed(notice):
            row.state, row.reason = "sent", None
            self._note(row, "sent")

    async def again(self, notice: Notice, at_ms: int, reason: str, *, doubtful: bool) -> None:
        self._reached()
        if row := self._claimed(notice):
            if not doubtful:
                row.notice = replace(row.notice, doubts=row.notice.doubts - 1)
            row.due_ms, row.reason = at_ms, reason
            self._note(row, "doubtful" if doubtful else "later")

    async def failed(self, notice: Notice, reason: str, now_ms: int) -> None:
        self._reached()
        if row := self._claimed(notice):
            row.state, row.reason = "failed", reason
            self._note(row, "failed")

    async def receipt(self, channel: ChannelName, receipt: Receipt, now_ms: int) -> str | None:
        self._reached()
        self.receipts.append(receipt)
        self._changed.set()
        for row in self.rows.values():
            if receipt.provider_id in row.parts.values():
                return row.notice.id
        return None

    # --- inside

    def _reached(self) -> None:
        if self.away > 0:
            self.away -= 1
            raise DatabaseUnreachable("away, says the test")

    def _claimed(self, notice: Notice) -> Row | None:
        row = self.rows[notice.id]
        return row if row.state == "waiting" and row.notice.attempt == notice.attempt else None

    def _note(self, row: Row, what: str) -> None:
        row.history.append(what)
        self._changed.set()


@asynccontextmanager
async def sending(
    outbox: MemoryOutbox, clock: FakeClock, channel: Channel, name: ChannelName = "sms", **settings: object
) -> AsyncIterator[Sender]:
    """A sender at work, which looks at the outbox only when it is woken."""
    fast = {"poll_s": 3600.0, "database_pause_s": 0.001}
    sender = Sender(outbox, {name: channel}, clock, SenderSettings(**{**fast, **settings}))  # type: ignore[arg-type]
    task = asyncio.create_task(sender.run())
    try:
        yield sender
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            raise error

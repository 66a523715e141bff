"""The sender's own rules, with a channel that answers as it is told."""

from __future__ import annotations

import asyncio

import pytest

from kommutator.notify.backoff import Backoff
from kommutator.notify.ports import Accepted, Doubtful, Later, Letter, Notice, Outcome, Refused, Sent, Told
from tests.notify.memory import FakeClock, MemoryOutbox, sending

pytestmark = pytest.mark.anyio
TO = "+79161230001"


class Channel:
    """A channel that answers with the outcomes given, the last of them for ever."""

    attempt_s = 20.0

    def __init__(self, *outcomes: Outcome | Exception, recognises_repeats: bool = False) -> None:
        self._outcomes = list(outcomes)
        self.recognises_repeats = recognises_repeats
        self.taken: list[Notice] = []
        self.at_once = 0
        self.most_at_once = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def run(self, told: Told) -> None:
        pass

    async def turn(self) -> None:
        pass

    async def deliver(self, notice: Notice, accepted: Accepted) -> Outcome:
        self.taken.append(notice)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.gate.wait()
        self.at_once -= 1
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


async def test_pauses_grow_by_the_clock_and_end_with_the_notices_use(outbox: MemoryOutbox, clock: FakeClock) -> None:
    row = outbox.put("c1.2", TO, "text")
    channel, backoff = Channel(Later("busy")), Backoff(first_s=5, longest_s=900)
    async with sending(outbox, clock, channel, backoff=backoff, give_up_s=3600.0) as sender:
        pauses = []
        while row.state == "waiting":
            count = len(row.history)
            await outbox.until(lambda: len(row.history) >= count + 2)  # noqa: B023
            if row.state == "waiting":
                pauses.append((row.due_ms - clock.ms) / 1000)
                clock.ms = row.due_ms - 1
                sender.wake()
                clock.ms += 1
            sender.wake()
    assert pauses == [pytest.approx(backoff.pause_s("c1.2", n), abs=0.001) for n in range(1, len(pauses) + 1)]
    assert (row.state, row.reason) == ("failed", "busy")
    assert sum(pauses) <= 3600 < sum(pauses) + 900
    assert len(channel.taken) == len(pauses) + 1


async def test_notices_of_one_recipient_keep_their_order(outbox: MemoryOutbox, clock: FakeClock) -> None:
    outbox.put("c1.1", TO, "first")
    outbox.put("c1.2", TO, "second")
    outbox.put("c2.1", "+79161230002", "another's")
    channel = Channel(Later("busy"), Sent())
    async with sending(outbox, clock, channel) as sender:
        await outbox.until_state("c2.1", "sent")
        assert [notice.id for notice in channel.taken] == ["c1.1", "c2.1"], "the second waits for the first"
        clock.ms = outbox.rows["c1.1"].due_ms
        sender.wake()
        await outbox.until_state("c1.2", "sent")
    assert [notice.id for notice in channel.taken] == ["c1.1", "c2.1", "c1.1", "c1.2"]


async def test_attempts_at_a_time_are_bounded(outbox: MemoryOutbox, clock: FakeClock) -> None:
    for n in range(20):
        outbox.put(f"c{n}", f"+7916123{n:04}", "text")
    channel = Channel(Sent())
    channel.gate.clear()
    async with sending(outbox, clock, channel, concurrency=3):
        await outbox.until(lambda: channel.at_once == 3)
        channel.gate.set()
        await outbox.until(lambda: all(row.state == "sent" for row in outbox.rows.values()))
    assert channel.most_at_once == 3


async def test_a_notice_too_old_is_not_sent(outbox: MemoryOutbox, clock: FakeClock) -> None:
    row = outbox.put("c1.2", TO, "text")
    clock.ms += 24 * 3600 * 1000 + 1
    channel = Channel(Sent())
    async with sending(outbox, clock, channel):
        await outbox.until_state("c1.2", "failed")
    assert channel.taken == []
    assert row.reason == "too old to be of use"


async def test_what_is_refused_is_given_up_at_once(outbox: MemoryOutbox, clock: FakeClock) -> None:
    row = outbox.put("c1.2", TO, "text")
    async with sending(outbox, clock, Channel(Refused("no such number"))):
        await outbox.until_state("c1.2", "failed")
    assert (row.reason, row.history) == ("no such number", ["handed over", "failed"])


async def test_a_sender_that_died_in_the_middle_leaves_a_doubt(outbox: MemoryOutbox, clock: FakeClock) -> None:
    row = outbox.put("c1.2", TO, "text")
    channel = Channel(Sent())
    channel.gate.clear()
    async with sending(outbox, clock, channel):
        await outbox.until(lambda: channel.at_once == 1)
    assert row.history == ["handed over"], "cancelled, nobody knows what became of it"
    channel.gate.set()
    async with sending(outbox, clock, channel) as sender:
        sender.wake()
        clock.ms = row.due_ms
        sender.wake()
        await outbox.until_state("c1.2", "sent")
    assert [notice.doubts for notice in channel.taken] == [0, 1]


@pytest.mark.parametrize(("repeats", "handed_over"), [(0, 1), (1, 2), (3, 4)])
async def test_doubts_are_bounded_where_a_double_would_not_be_known(
    outbox: MemoryOutbox, clock: FakeClock, repeats: int, handed_over: int
) -> None:
    row = outbox.put("c1.2", TO, "text")
    async with sending(outbox, clock, Channel(Doubtful("lost")), repeats_in_doubt=repeats) as sender:
        for _ in range(handed_over - 1):
            count = len(row.history)
            await outbox.until(lambda: len(row.history) == count + 2)  # noqa: B023
            clock.ms = row.due_ms + 400_000
            sender.wake()
        await outbox.until_state("c1.2", "failed")
    assert row.history.count("handed over") == handed_over


async def test_doubts_do_not_count_where_a_double_is_known(outbox: MemoryOutbox, clock: FakeClock) -> None:
    row = outbox.put("c1.2", TO, Letter("text"), "email")
    channel = Channel(*[Doubtful("lost")] * 5, Sent(), recognises_repeats=True)
    async with sending(outbox, clock, channel, "email") as sender:
        for _ in range(5):
            count = len(row.history)
            await outbox.until(lambda: len(row.history) >= count + 2)  # noqa: B023
            clock.ms = row.due_ms + 400_000
            sender.wake()
        await outbox.until_state("c1.2", "sent")
    assert row.history.count("handed over") == 6


async def test_a_silent_channel_is_tried_by_one_notice_at_a_time(outbox: MemoryOutbox, clock: FakeClock) -> None:
    for n in range(12):
        outbox.put(f"c{n}", f"+7916123{n:04}", "text")
    channel = Channel(*[Doubtful("lost")] * 4, Sent())
    async with sending(outbox, clock, channel, concurrency=3) as sender:
        await outbox.until(lambda: sum("doubtful" in row.history for row in outbox.rows.values()) == 3)
        assert len(channel.taken) == 3
        clock.ms += 10_000
        sender.wake()
        await outbox.until(lambda: sum("doubtful" in row.history for row in outbox.rows.values()) == 4)
        assert len(channel.taken) == 4, "one tried"
        clock.ms += 600_000
        sender.wake()
        await outbox.until(lambda: all(row.state == "sent" for row in outbox.rows.values()))
    assert len(channel.taken) == 12 + 4


async def test_a_defect_of_a_channel_stops_nothing(outbox: MemoryOutbox, clock: FakeClock) -> None:
    bad = outbox.put("c1.1", TO, "text")
    good = outbox.put("c2.1", "+79161230002", "text")
    async with sending(outbox, clock, Channel(RuntimeError("a defect"), Sent())):
        await outbox.until_state("c2.1", "sent")
        await outbox.until(lambda: "doubtful" in bad.history)
    assert bad.reason == "RuntimeError: a defect"
    assert good.state == "sent"


async def test_the_database_may_be_away_at_any_moment(outbox: MemoryOutbox, clock: FakeClock) -> None:
    row = outbox.put("c1.2", TO, "text")
    channel = Channel(Sent())
    channel.gate.clear()
    outbox.away = 3
    async with sending(outbox, clock, channel):
        await outbox.until(lambda: channel.at_once == 1)
        outbox.away = 3
        channel.gate.set()
        await outbox.until_state("c1.2", "sent")
    assert row.history == ["handed over", "sent"]
    assert len(channel.taken) == 1


async def test_stopping_lets_attempts_end(outbox: MemoryOutbox, clock: FakeClock) -> None:
    outbox.put("c1.1", TO, "first")
    outbox.put("c1.2", TO, "second")
    channel = Channel(Sent())
    channel.gate.clear()
    async with sending(outbox, clock, channel) as sender:
        await outbox.until(lambda: channel.at_once == 1)
        sender.stop()
        channel.gate.set()
        await outbox.until_state("c1.1", "sent")
    assert len(channel.taken) == 1

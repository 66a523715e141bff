"""The outbox: once by identity, in order for each recipient, again until sent or given up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from kommutator.crm import outbox
from kommutator.crm.outbox import Claim, OutboxSettings
from kommutator.crm.pool import Database

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 18, 9, tzinfo=UTC)
SETTINGS = OutboxSettings(lease_s=60, first_pause_s=5, longest_pause_s=20, attempts=4)


async def put(db: Database, *notices: tuple[str, str]) -> None:
    async with db.transaction() as tx:
        for id, recipient in notices:
            await outbox.enqueue(tx, id, "sms", recipient, {"text": id}, NOW, call_id="c1")


async def take(db: Database, now: datetime = NOW, limit: int = 20) -> list[Claim]:
    async with db.transaction() as tx:
        return await outbox.claim(tx, "sms", "me", SETTINGS, now, limit)


async def finish(db: Database, claim: Claim, *provider_ids: str) -> bool:
    async with db.transaction() as tx:
        return await outbox.sent(tx, claim, NOW, provider_ids)


async def test_an_identity_is_queued_once(db: Database) -> None:
    await put(db, ("a", "+1"), ("a", "+1"))
    async with db.transaction() as tx:
        assert not await outbox.enqueue(tx, "a", "sms", "+2", {}, NOW)
        assert [notice.id for notice in await outbox.of_call(tx, "c1")] == ["a"]


async def test_each_recipient_has_one_notice_on_its_way_and_in_order(db: Database) -> None:
    await put(db, ("a1", "+1"), ("a2", "+1"), ("b1", "+2"), ("a3", "+1"))
    first = await take(db)
    assert [claim.id for claim in first] == ["a1", "b1"]
    assert await take(db) == []
    assert await finish(db, first[0])
    assert [claim.id for claim in await take(db)] == ["a2"]


async def test_many_senders_share_the_queue_and_none_takes_what_another_has(db: Database) -> None:
    await put(db, *((f"n{n}", f"+{n % 40}") for n in range(120)))
    taken: list[str] = []

    async def sender() -> None:
        while batch := await take(db, limit=7):
            for claim in batch:
                taken.append(claim.id)
                await finish(db, claim)

    # A round may find only recipients whose notice another sender has: the queue is empty when nobody finds anything.
    for _ in range(20):
        await asyncio.gather(*(sender() for _ in range(4)))
        if len(taken) >= 120:
            break
    assert sorted(taken) == sorted(f"n{n}" for n in range(120))
    for recipient in range(40):
        mine = [int(id[1:]) for id in taken if int(id[1:]) % 40 == recipient]
        assert mine == sorted(mine)


async def test_a_failure_is_tried_again_later_and_later_and_given_up(db: Database) -> None:
    await put(db, ("a", "+1"), ("b", "+1"))
    now, pauses = NOW, []
    for attempt in range(1, 5):
        (claim,) = await take(db, now)
        assert (claim.id, claim.attempt) == ("a", attempt)
        async with db.transaction() as tx:
            state = await outbox.failed(tx, claim, "no route", SETTINGS, now)
            notice = await outbox.get(tx, "a")
        assert (state, notice.last_error) == ("failed" if attempt == 4 else "waiting", "no route")
        pauses.append((notice.next_at - now).total_seconds())
        if attempt < 4:
            assert await take(db, notice.next_at - timedelta(milliseconds=1)) == []  # and `b` waits behind it
            now = notice.next_at
    assert pauses == [5, 10, 20, 20]
    assert [claim.id for claim in await take(db, now)] == ["b"]
    async with db.transaction() as tx:
        assert (await outbox.again(tx, "a", now)).state == "waiting"
        assert await outbox.counts(tx) == {"sms/waiting": 2}


async def test_a_final_failure_is_not_tried_again(db: Database) -> None:
    await put(db, ("a", "+1"))
    (claim,) = await take(db)
    async with db.transaction() as tx:
        assert await outbox.failed(tx, claim, "no such number", SETTINGS, NOW, final=True) == "failed"
    assert await take(db, NOW + timedelta(days=9)) == []


async def test_a_sender_that_died_loses_its_claim_and_cannot_finish_it_later(db: Database) -> None:
    await put(db, ("a", "+1"))
    (lost,) = await take(db)
    assert await take(db, NOW + timedelta(seconds=59)) == []
    (again,) = await take(db, NOW + timedelta(seconds=60))
    assert again.attempt == 2
    assert not await finish(db, lost)
    async with db.transaction() as tx:
        assert await outbox.failed(tx, lost, "late", SETTINGS, NOW) is None
    assert await finish(db, again)


async def test_a_notice_is_delivered_when_all_its_parts_are(db: Database) -> None:
    await put(db, ("a", "+1"), ("b", "+2"))
    one, two = await take(db)
    assert await finish(db, one, "p1", "p2")
    async with db.transaction() as tx:
        assert await outbox.receipt(tx, "sms", "p1", True, NOW) == "a"
        assert (await outbox.get(tx, "a")).state == "sent"
        assert await outbox.receipt(tx, "sms", "p2", True, NOW) == "a"
        assert (await outbox.get(tx, "a")).state == "delivered"
        assert await outbox.receipt(tx, "sms", "p9", False, NOW, "rejected") is None
    assert await finish(db, two, "p9")
    async with db.transaction() as tx:
        undelivered = await outbox.get(tx, "b")
        assert (undelivered.state, undelivered.last_error) == ("undelivered", "rejected")


async def test_the_next_time_due_is_known(db: Database) -> None:
    async with db.transaction() as tx:
        assert await outbox.next_due(tx, "sms") is None
    await put(db, ("a", "+1"))
    await take(db)
    async with db.transaction() as tx:
        assert await outbox.next_due(tx, "sms") == NOW + timedelta(seconds=60)
        assert await outbox.next_due(tx, "email") is None

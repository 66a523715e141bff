"""The sender on the real outbox, in a real PostgreSQL, with the effects that calls leave behind."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kommutator.crm import effects, outbox, recordings
from kommutator.crm.effects import Effects
from kommutator.crm.outbox import Notice
from kommutator.crm.pool import Database
from kommutator.notices import CrmOutbox, RecordingFolder
from kommutator.notify.email_file import FileEmail, FileEmailSettings
from kommutator.notify.letters import Letterhead
from kommutator.notify.ports import Channel, Doubtful, Later, Outcome, Receipt, Refused, Sent
from kommutator.notify.sender import Sender, SenderSettings
from kommutator.notify.sms_file import FileSms
from tests.crm.conftest import anyio_backend, db, dsn, server, server_folder  # noqa: F401 - fixtures
from tests.notify.memory import START_MS, FakeClock
from tests.notify.test_email import recording

pytestmark = pytest.mark.anyio
NOW = datetime.fromtimestamp(START_MS / 1000, UTC)


class Told(FileSms):
    """A channel that says what it is told to say, with two parts each."""

    recognises_repeats = False

    def __init__(self, folder: Path, *outcomes: Outcome) -> None:
        super().__init__(folder)
        self.outcomes = list(outcomes)
        self.taken: list[tuple[str, int, int, frozenset[int]]] = []

    async def deliver(self, notice: Any, accepted: Any) -> Outcome:
        self.taken.append((notice.id, notice.attempt, notice.doubts, notice.parts))
        outcome = self.outcomes.pop(0) if self.outcomes else Sent()
        await accepted(1, f"{notice.id}-1")
        if isinstance(outcome, Sent):
            await accepted(2, f"{notice.id}-2")
        return outcome


async def put(db: Database, *left: dict[str, Any]) -> None:  # noqa: F811
    async with db.transaction() as tx:
        await tx.run(
            "insert into calls (company_id, call_id, did, caller, began_at) values ($1, 'c1', '+74951112233', '+79161230099', $2)",
            NOW,
        )
        await effects.write(tx, [Effects("c1", NOW, left)])


async def states(db: Database) -> dict[str, Notice]:  # noqa: F811
    async with db.transaction() as tx:
        return {notice.id: notice for notice in await outbox.of_call(tx, "c1")}


async def send(db: Database, clock: FakeClock, channel: Channel, until: dict[str, str], name: Any = "sms") -> None:  # noqa: F811
    """Send until notices are in these states."""
    sender = Sender(CrmOutbox(db, "test"), {name: channel}, clock, SenderSettings(poll_s=0.02))
    work = asyncio.create_task(sender.run())
    async with asyncio.timeout(10):
        while {id: notice.state for id, notice in (await states(db)).items() if id in until} != until:
            await asyncio.sleep(0.02)
    sender.stop()
    await work


def sms(id: str, to: str = "+79161230001") -> dict[str, Any]:
    return {"type": "sms", "id": id, "to": to, "template": "missed", "text": f"текст {id}"}


async def test_effects_leave_in_order_and_once(db: Database, clock: FakeClock, tmp_path: Path) -> None:  # noqa: F811
    await put(db, sms("c1.1"), sms("c1.2"), sms("c1.3", "+79161230002"))
    channel = Told(tmp_path)
    await send(db, clock, channel, dict.fromkeys(("c1.1", "c1.2", "c1.3"), "sent"))
    ids = [id for id, *_ in channel.taken]
    assert sorted(ids) == ["c1.1", "c1.2", "c1.3"]
    assert ids.index("c1.1") < ids.index("c1.2")
    async with db.transaction() as tx:
        await effects.write(tx, [Effects("c1", NOW, (sms("c1.1"),))])
    await send(db, clock, channel, {"c1.1": "sent"})
    assert len(channel.taken) == 3


async def test_doubts_parts_and_pauses_are_kept(db: Database, clock: FakeClock, tmp_path: Path) -> None:  # noqa: F811
    await put(db, sms("c1.1"))
    channel = Told(tmp_path, Later("busy"), Doubtful("lost"))
    for attempts in (1, 2):
        sender = Sender(CrmOutbox(db, "test"), {"sms": channel}, clock, SenderSettings(poll_s=0.02))
        work = asyncio.create_task(sender.run())
        async with asyncio.timeout(10):
            while (await states(db))["c1.1"].last_error != ("busy", "lost")[attempts - 1]:
                await asyncio.sleep(0.02)
        sender.stop()
        await work
        row = (await states(db))["c1.1"]
        assert row.next_at > datetime.fromtimestamp(clock.ms / 1000, UTC)
        clock.ms = int(row.next_at.timestamp() * 1000) + 1
    await send(db, clock, channel, {"c1.1": "sent"})
    assert channel.taken == [
        ("c1.1", 1, 0, frozenset()),
        ("c1.1", 2, 0, frozenset({1})),
        ("c1.1", 3, 1, frozenset({1})),
    ]


async def test_receipts_sum_up_whenever_they_come(db: Database, clock: FakeClock, tmp_path: Path) -> None:  # noqa: F811
    await put(db, sms("c1.1"), sms("c1.2", "+79161230002"))
    port = CrmOutbox(db, "test")
    assert await port.receipt("sms", Receipt("c1.1-1", True), clock.ms) is None, "before the part is known"
    await send(db, clock, Told(tmp_path), {"c1.1": "sent", "c1.2": "sent"})
    assert await port.receipt("sms", Receipt("c1.1-2", True), clock.ms) == "c1.1"
    assert await port.receipt("sms", Receipt("c1.2-2", False, "EXPIRED"), clock.ms) == "c1.2"
    now = await states(db)
    assert now["c1.1"].state == "delivered"
    assert (now["c1.2"].state, now["c1.2"].last_error) == ("undelivered", "EXPIRED")


async def test_two_senders_share_the_work(db: Database, clock: FakeClock, tmp_path: Path) -> None:  # noqa: F811
    await put(db, *(sms(f"c1.{n}", f"+7916123{n % 7:04}") for n in range(40)))
    one, two = Told(tmp_path), Told(tmp_path)
    everything = {f"c1.{n}": "sent" for n in range(40)}
    await asyncio.gather(send(db, clock, one, everything), send(db, clock, two, everything))
    taken = [id for id, *_ in one.taken + two.taken]
    assert len(taken) == len(set(taken)) == 40


async def test_a_notice_given_up_may_be_sent_again_by_hand(db: Database, clock: FakeClock, tmp_path: Path) -> None:  # noqa: F811
    await put(db, sms("c1.1"))
    channel = Told(tmp_path, Refused("no such number"))
    await send(db, clock, channel, {"c1.1": "failed"})
    assert (await states(db))["c1.1"].last_error == "no such number"
    async with db.transaction() as tx:
        await outbox.again(tx, "c1.1", NOW)
    await send(db, clock, channel, {"c1.1": "sent"})
    assert channel.taken[1] == ("c1.1", 1, 0, frozenset()), "as new"


async def test_news_that_is_too_old_is_given_up(db: Database, clock: FakeClock, tmp_path: Path) -> None:  # noqa: F811
    await put(db, sms("c1.1"))
    clock.ms += 25 * 3600 * 1000
    channel = Told(tmp_path)
    await send(db, clock, channel, {"c1.1": "failed"})
    assert channel.taken == []


@pytest.mark.parametrize("first", ["the sound", "the ledger"])
async def test_voicemail_becomes_a_letter_with_sound_at_the_first_attempt(
    db: Database,  # noqa: F811
    clock: FakeClock,
    tmp_path: Path,
    first: str,
) -> None:
    (tmp_path / "kt-c1-4.wav").write_bytes(recording(1))
    effect = {
        "type": "voicemail",
        "id": "c1.4",
        "recording": "kt-c1-4",
        "seconds": 1.0,
        "email": ["office@example.test"],
    }

    async def arrives() -> None:
        async with db.transaction() as tx:
            await recordings.stored(tx, "kt-c1-4", "kt-c1-4.wav", 16_044, "audio/wav", NOW)

    async def told() -> None:
        await put(db, effect)

    steps = [arrives, told]
    for step in steps if first == "the sound" else reversed(steps):
        async with db.transaction() as tx:
            assert await outbox.claim(tx, "email", "another", outbox.OutboxSettings(), NOW) == []
        await step()
    head = Letterhead("calls@romashka.test", "Ромашка", "Europe/Moscow")
    channel = FileEmail(FileEmailSettings(tmp_path / "mail"), lambda: head, RecordingFolder(tmp_path))
    await send(db, clock, channel, {"c1.4:1": "sent"}, "email")
    assert (await states(db))["c1.4:1"].attempts == 1
    (letter,) = (tmp_path / "mail").iterdir()
    assert b"audio/wav" in letter.read_bytes()
    assert b"+79161230099" in letter.read_bytes()

"""SMS through a real SMSC in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from kommutator.notify.sms_smpp import IncomingSms, SmppSettings, SmppSms
from tests.notify.memory import FakeClock, MemoryOutbox, sending

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]


class SmscProcess:
    """The process, which tests kill, hold and start again on the same port."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.log: list[dict[str, Any]] = []
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.notify.smsc_process", str(self.port)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT}"},
        )
        assert self._line()["event"] == "up"

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, and wait for it."""
        assert self._process is not None
        self._process.send_signal(how)
        if how != signal.SIGSTOP:
            self._process.wait(10)
            assert self._process.stdout is not None
            self._process.stdout.close()

    async def next(self, event: str) -> dict[str, Any]:
        """The next thing of this kind that it does."""
        while True:
            async with asyncio.timeout(20):
                said = await asyncio.to_thread(self._line)
            self.log.append(said)
            if said["event"] == event:
                return said

    def _line(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said


@pytest.fixture
def smsc() -> Iterator[SmscProcess]:
    process = SmscProcess()
    process.start()
    yield process
    process.end()


def settings(smsc: SmscProcess, **changes: Any) -> SmppSettings:
    usual = {"sender": "Romashka", "per_second": 1000.0, "reconnect_s": (0.05, 0.2), "answer_s": 10.0}
    return SmppSettings("127.0.0.1", "kt", SecretStr("secret"), port=smsc.port, **{**usual, **changes})


async def test_a_short_text_is_submitted_and_its_receipt_comes(
    smsc: SmscProcess, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    row = outbox.put("c1.2", "+79161230001", "Missed call from +79161230099 at 12:00.")
    async with sending(outbox, clock, SmppSms(settings(smsc))):
        said = await smsc.next("submit")
        await outbox.until(lambda: bool(outbox.receipts))
        await outbox.until_state("c1.2", "sent")
    assert bytes.fromhex(said["message"]) == b"Missed call from +79161230099 at 12:00."
    assert (said["to"], said["to_type"], said["sender"]) == ("79161230001", [1, 1], ["Romashka", 5, 0])
    assert (said["coding"], said["esm_class"], said["receipt"]) == (0, 0, 1)
    assert row.history == ["handed over", "part 1", "sent"]
    assert [(receipt.provider_id, receipt.delivered) for receipt in outbox.receipts] == [(row.parts[1], True)]


@pytest.mark.parametrize(("text", "coding"), [("Пропущен звонок от +79161230099. " * 5, 8), ("Missed call. " * 20, 0)])
@pytest.mark.parametrize("parts", ["udh", "sar"])
async def test_a_long_text_goes_in_parts_that_the_telephone_joins(
    smsc: SmscProcess, outbox: MemoryOutbox, clock: FakeClock, text: str, coding: int, parts: str
) -> None:
    row = outbox.put("c1.2", "+79161230001", text)
    async with sending(outbox, clock, SmppSms(settings(smsc, parts=parts))):
        await outbox.until_state("c1.2", "sent")
        said = [await smsc.next("submit") for _ in row.parts]
    assert len(said) == (3 if coding == 8 else 2)
    numbers, references, bodies = [], set(), []
    for each in said:
        message = bytes.fromhex(each["message"])
        assert each["coding"] == coding
        if parts == "udh":
            assert each["esm_class"] == 0x40
            assert message[:3] == b"\x06\x08\x04"
            assert message[5] == len(said)
            references.add(message[3:5])
            numbers.append(message[6])
            bodies.append(message[7:])
        else:
            assert each["esm_class"] == 0
            assert each["parameters"]["0x020e"] == f"{len(said):02x}"
            references.add(bytes.fromhex(each["parameters"]["0x020c"]))
            numbers.append(int(each["parameters"]["0x020f"], 16))
            bodies.append(message)
    assert numbers == list(range(1, len(said) + 1))
    assert len(references) == 1
    assert b"".join(bodies).decode("utf-16-be" if coding == 8 else "ascii") == text
    assert len(set(row.parts.values())) == len(said), "every part is known by an id of its own"


async def test_a_throttled_channel_rests_and_loses_nothing(
    smsc: SmscProcess, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    outbox.put("c1.2", "+79161230058", "first")
    async with sending(outbox, clock, SmppSms(settings(smsc, throttle_s=7.0))) as sender:
        await outbox.until(lambda: "later" in outbox.rows["c1.2"].history)
        row = outbox.rows["c1.2"]
        assert row.due_ms == clock.ms + 7000
        assert row.reason is not None and "RTHROTTLED" in row.reason
        assert row.notice.doubts == 0
        other = outbox.put("c1.3", "+79161230001", "second")
        sender.wake()
        clock.ms += 6999
        sender.wake()
        await asyncio.sleep(0)
        assert other.history == [], "the whole channel rests"
        clock.ms += 1
        sender.wake()
        await outbox.until_state("c1.2", "sent")
        await outbox.until_state("c1.3", "sent")


async def test_a_throttled_long_text_goes_on_where_it_stopped(
    smsc: SmscProcess, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    row = outbox.put("c1.2", "+79161230002", "ы" * 150)
    async with sending(outbox, clock, SmppSms(settings(smsc))) as sender:
        await outbox.until(lambda: "later" in row.history)
        clock.ms += 60_000
        sender.wake()
        await outbox.until_state("c1.2", "sent")
        numbers = [bytes.fromhex((await smsc.next("submit"))["message"])[6] for _ in range(4)]
    assert numbers == [1, 2, 2, 3], "the second was refused, the first not repeated"


async def test_an_unknown_number_is_given_up_at_once(smsc: SmscProcess, outbox: MemoryOutbox, clock: FakeClock) -> None:
    row = outbox.put("c1.2", "+79161230011", "text")
    async with sending(outbox, clock, SmppSms(settings(smsc))):
        await outbox.until_state("c1.2", "failed")
    assert row.reason is not None and "RINVDSTADR" in row.reason


async def test_a_receipt_tells_that_the_telephone_was_not_reached(
    smsc: SmscProcess, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    row = outbox.put("c1.2", "+79161230005", "text")
    async with sending(outbox, clock, SmppSms(settings(smsc))):
        await outbox.until(lambda: bool(outbox.receipts))
        await outbox.until_state("c1.2", "sent")
    (receipt,) = outbox.receipts
    assert (receipt.provider_id, receipt.delivered, receipt.error) == (row.parts[1], False, "UNDELIV 034")


async def test_receipts_in_decimal_are_matched(smsc: SmscProcess, outbox: MemoryOutbox, clock: FakeClock) -> None:
    row = outbox.put("c1.2", "+79161230001", "text")
    async with sending(outbox, clock, SmppSms(settings(smsc, receipt_ids="decimal"))):
        await outbox.until_state("c1.2", "sent")
    assert row.parts == {1: str(0xA1)}


async def test_a_receipt_may_come_before_the_answer(smsc: SmscProcess, outbox: MemoryOutbox, clock: FakeClock) -> None:
    row = outbox.put("c1.2", "+79161230007", "text")
    async with sending(outbox, clock, SmppSms(settings(smsc))):
        await outbox.until_state("c1.2", "sent")
        await outbox.until(lambda: bool(outbox.receipts))
    assert outbox.receipts[0].provider_id == row.parts[1]


async def test_a_long_reply_is_joined(smsc: SmscProcess, outbox: MemoryOutbox, clock: FakeClock) -> None:
    replies: asyncio.Queue[IncomingSms] = asyncio.Queue()
    outbox.put("c1.2", "+79161230099", "text")
    async with sending(outbox, clock, SmppSms(settings(smsc), replies.put)), asyncio.timeout(20):
        reply = await replies.get()
    assert reply == IncomingSms("79161230099", "Romashka", "Перезвоните мне, пожалуйста. " * 6)


async def test_an_smsc_that_is_away_costs_no_notice_and_is_found_again(
    smsc: SmscProcess, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    outbox.put("c1.1", "+79161230001", "before")
    channel = SmppSms(settings(smsc))
    async with sending(outbox, clock, channel) as sender:
        await outbox.until_state("c1.1", "sent")
        smsc.end()
        async with asyncio.timeout(10):
            while channel.bound:
                await asyncio.sleep(0.01)
        row = outbox.put("c1.2", "+79161230001", "after")
        sender.wake()
        smsc.start()
        await outbox.until_state("c1.2", "sent")
        assert row.history == ["handed over", "part 1", "sent"], "it waited for the session"


async def test_a_notice_waits_while_there_is_no_session(outbox: MemoryOutbox, clock: FakeClock) -> None:
    nobody = SmscProcess()  # never started
    row = outbox.put("c1.2", "+79161230001", "text")
    async with sending(outbox, clock, SmppSms(settings(nobody, bind_wait_s=0.2))):
        await outbox.until(lambda: "later" in row.history)
    assert row.reason == "there is no session with the SMSC"
    assert row.notice.doubts == 0


async def test_a_silent_smsc_makes_a_doubt_and_one_repetition(
    smsc: SmscProcess, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    row = outbox.put("c1.2", "+79161230000", "text")
    async with sending(outbox, clock, SmppSms(settings(smsc, answer_s=0.2))) as sender:
        await outbox.until(lambda: "doubtful" in row.history)
        assert row.notice.doubts == 1
        clock.ms += 600_000
        sender.wake()
        await outbox.until_state("c1.2", "failed")
    assert row.history == ["handed over", "doubtful", "handed over", "failed"]
    assert row.reason is not None and "did not answer" in row.reason


async def test_at_most_once_when_so_set(smsc: SmscProcess, outbox: MemoryOutbox, clock: FakeClock) -> None:
    row = outbox.put("c1.2", "+79161230000", "text")
    async with sending(outbox, clock, SmppSms(settings(smsc, answer_s=0.2)), repeats_in_doubt=0):
        await outbox.until_state("c1.2", "failed")
    assert row.history == ["handed over", "failed"]


async def test_a_session_that_breaks_before_the_answer_leaves_a_doubt(
    smsc: SmscProcess, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    row = outbox.put("c1.2", "+79161230000", "text")
    async with sending(outbox, clock, SmppSms(settings(smsc))):
        await smsc.next("submit")
        smsc.end()
        await outbox.until(lambda: "doubtful" in row.history)
        smsc.start()
    assert row.reason is not None and "session ended" in row.reason

"""SMS into a folder, for the demonstration."""

from pathlib import Path

import pytest

from kommutator.notify.sms_file import FileSms
from tests.notify.memory import FakeClock, MemoryOutbox, sending

pytestmark = pytest.mark.anyio


async def test_each_message_is_a_file_and_a_repetition_the_same_one(
    tmp_path: Path, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    folder = tmp_path / "sms"
    first = outbox.put("c1.2", "+79161230001", "Пропущен звонок.")
    outbox.put("c2.2", "+79161230002", "Другой.")
    async with sending(outbox, clock, FileSms(folder)) as work:
        await outbox.until_state("c1.2", "sent")
        await outbox.until_state("c2.2", "sent")
        first.state, first.due_ms = "waiting", clock.ms
        work.wake()
        await outbox.until_state("c1.2", "sent")
    files = sorted(folder.iterdir())
    assert [file.read_text() for file in files] == ["Пропущен звонок.\n", "Другой.\n"]
    assert [" +79161230001 " in file.name for file in files] == [True, False]


async def test_a_folder_that_cannot_be_written_is_tried_again(
    tmp_path: Path, outbox: MemoryOutbox, clock: FakeClock
) -> None:
    (tmp_path / "sms").write_text("a file in its place")
    row = outbox.put("c1.2", "+79161230001", "text")
    async with sending(outbox, clock, FileSms(tmp_path / "sms")):
        await outbox.until(lambda: "later" in row.history)
    assert row.notice.doubts == 0

"""The outgoing spool: numbers without gaps, files that go, bounds that say so, a disk that fails and recovers."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from kommutator.exchange.outgoing import OutgoingSpool
from kommutator.exchange.settings import SpoolSettings

SMALL = SpoolSettings(segment_bytes=300, batch_entries=7, batch_bytes=200)


def entries(first: int, count: int) -> list[bytes]:
    return [b'{"entry": %d}' % number for number in range(first, first + count)]


def append(spool: OutgoingSpool, some: Sequence[bytes]) -> None:
    for entry in some:
        spool.append(entry)
    spool.flush()


def drain(spool: OutgoingSpool) -> list[tuple[int, bytes]]:
    """All there is, acknowledged batch by batch."""
    found: list[tuple[int, bytes]] = []
    while (batch := spool.batch()) is not None:
        found.extend(enumerate(batch.entries, batch.first))
        spool.acknowledge(batch.last)
    return found


def test_entries_come_out_in_order_and_their_files_go(tmp_path: Path) -> None:
    spool = OutgoingSpool(tmp_path, SMALL)
    append(spool, entries(1, 100))
    assert len(list(tmp_path.glob("*.jsonl"))) > 3
    assert drain(spool) == list(enumerate(entries(1, 100), 1))
    assert spool.waiting_entries == 0
    assert len(list(tmp_path.glob("*.jsonl"))) == 1
    spool.close()


@given(
    st.lists(st.tuples(st.sampled_from(["append", "batch", "acknowledge", "crash"]), st.integers(0, 20)), max_size=40)
)
@settings(max_examples=60, deadline=None)
def test_whatever_happens_every_entry_comes_out_under_its_number(steps: list[tuple[str, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        spool, told, last = OutgoingSpool(Path(folder), SMALL), 0, 0
        seen: dict[int, bytes] = {}
        for step, count in steps:
            if step == "append":
                append(spool, entries(told + 1, count))
                told += count
            elif step == "crash":  # what was flushed stays; what is acknowledged may be forgotten
                name = spool.spool
                spool = OutgoingSpool(Path(folder), SMALL)
                assert not told or spool.spool == name
            elif (batch := spool.batch()) is not None:
                for number, entry in enumerate(batch.entries, batch.first):
                    assert seen.setdefault(number, entry) == entry
                if step == "acknowledge":
                    last = max(last, min(batch.last, batch.first + count))
                    spool.acknowledge(last)
        seen.update(drain(spool))
        assert seen == dict(enumerate(entries(1, told), 1))
        spool.close()


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    spool = OutgoingSpool(tmp_path)
    append(spool, entries(1, 3))
    spool.close()
    (file,) = tmp_path.glob("*.jsonl")
    with file.open("ab") as torn:
        torn.write(b'4 {"ent')
    spool = OutgoingSpool(tmp_path)
    append(spool, entries(4, 1))
    assert drain(spool) == list(enumerate(entries(1, 4), 1))
    spool.close()


def test_numbers_go_on_after_all_was_acknowledged_and_the_files_have_gone(tmp_path: Path) -> None:
    spool = OutgoingSpool(tmp_path)
    append(spool, entries(1, 5))
    drain(spool)
    spool.close()
    for file in tmp_path.glob("*.jsonl"):
        file.unlink()
    spool = OutgoingSpool(tmp_path)
    assert spool.append(b"next") == 6
    spool.close()


def test_what_the_disk_does_not_keep_yet_is_not_sent(tmp_path: Path) -> None:
    spool = OutgoingSpool(tmp_path)
    spool.append(b"entry")
    assert spool.batch() is None
    spool.flush()
    assert spool.batch() is not None
    spool.close()


@pytest.mark.trio
async def test_at_its_bound_the_spool_drops_the_oldest_file_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = OutgoingSpool(tmp_path, SpoolSettings(segment_bytes=300, alarm_bytes=500, most_bytes=1000))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.run)
        for number in range(1, 201):
            spool.append(b'{"entry": %d}' % number)
            if number % 20 == 0:
                await trio.sleep(0.02)
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert spool.lost > 0
    assert spool.waiting_bytes <= 1000 + 300 + 20 * 25
    kept = drain(spool)
    assert [number for number, _ in kept] == list(range(kept[0][0], 201))
    assert kept[0][0] == spool.lost + 1
    said = capsys.readouterr().out
    assert "the outgoing spool grows" in said
    assert "the outgoing spool is full" in said
    spool.close()


@pytest.mark.trio
async def test_a_disk_that_takes_nothing_holds_nobody_up_and_loses_nothing_when_it_recovers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "spool"
    folder.write_text("a file is where the folder should be")
    spool = OutgoingSpool(folder)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(spool.run)
        for entry in entries(1, 10):
            spool.append(entry)
        assert spool.troubled
        assert spool.batch() is None
        folder.unlink()
        with trio.fail_after(10):
            while spool.troubled:
                await trio.sleep(0.05)
            await spool.more()
        nursery.cancel_scope.cancel()
    assert drain(spool) == list(enumerate(entries(1, 10), 1))
    said = capsys.readouterr().out
    assert "cannot be written; calls go on" in said
    assert "can be written again" in said
    spool.close()

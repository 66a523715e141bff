"""The spool and the ledger: exactly one line a call, over kills, torn lines and full disks."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
import trio

from kommutator.routing.ledger import FileJournal
from kommutator.routing.spool import LineFile
from kommutator.routing.turn import End, Endpoint, Play, Ring, Talk, Turn

PLAY = Turn("s0", 0, Play("greeting"))
RING = Turn(
    "s1", 1, Ring((Endpoint("PJSIP/101", "anna"), Endpoint("PJSIP/102", "boris")), 25),
    trace=({"scheme": "main", "node": "hello", "exit": "done", "why": {"code": "played"}},),
)  # fmt: skip
TALK = Turn("s2", 2, Talk("PJSIP/102"))
END = Turn("s3", 3, End("answered", "none"), effects=({"type": "tag", "id": "c1/3/0", "set": {}},))


def ledger(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]


def begin(journal: FileJournal, call: str = "c1", turns: int = 4) -> None:
    journal.began(call, "+74951112233", "89161230099", 1000)
    events: list[dict[str, Any] | None] = [
        None, {"type": "played"},
        {"type": "answered", "endpoint": "PJSIP/102", "ended": [{"endpoint": "PJSIP/101", "cause": "busy"}]},
        {"type": "conversation_ended"},
    ]  # fmt: skip
    for event, turn in list(zip(events, (PLAY, RING, TALK, END), strict=True))[:turns]:
        journal.turned(call, 2000, event, turn)


def test_a_call_has_one_line_with_everything(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    begin(journal)
    journal.ended("c1", 61_000, "answered", "none")
    journal.ended("c1", 62_000, "answered", "none")
    journal.close()
    (line,) = ledger(tmp_path)
    assert line == {
        "call_id": "c1", "did": "+74951112233", "caller": "89161230099",
        "began": "1970-01-01T00:00:01.000Z", "ended": "1970-01-01T00:01:01.000Z",
        "disposition": "answered", "fault": "none", "scheme": "main",
        "trace": list(RING.trace), "rounds": [], "effects": list(END.effects),
        "legs": [
            {"endpoint": "PJSIP/101", "employee": "anna", "round": 1, "outcome": "busy"},
            {"endpoint": "PJSIP/102", "employee": "boris", "round": 1, "outcome": "answered"},
        ],
    }  # fmt: skip


@pytest.mark.parametrize("turns", range(5))
def test_a_killed_router_knows_its_calls_again(tmp_path: Path, turns: int) -> None:
    begin(FileJournal(tmp_path), turns=turns)  # never closed
    again = FileJournal(tmp_path)
    assert again.unfinished() == {"c1": (None, PLAY, RING, TALK, END)[turns]}
    begin(again)  # the whole call once more: what is known already is not added twice
    again.ended("c1", 3000, "answered", "none")
    again.close()
    (line,) = ledger(tmp_path)
    assert (line["trace"], line["effects"]) == (list(RING.trace), list(END.effects))
    assert FileJournal(tmp_path).unfinished() == {}


def test_a_line_missing_in_the_ledger_is_written_at_the_start(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    begin(journal)
    journal.ended("c1", 3000, "answered", "none")
    whole = (tmp_path / "ledger.jsonl").read_bytes()
    for kept in range(len(whole)):
        spool = (tmp_path / "spool.jsonl").read_bytes()
        (tmp_path / "ledger.jsonl").write_bytes(whole[:kept])
        FileJournal(tmp_path).close()
        assert (tmp_path / "ledger.jsonl").read_bytes() == whole
        (tmp_path / "spool.jsonl").write_bytes(spool)
    FileJournal(tmp_path).close()
    assert (tmp_path / "ledger.jsonl").read_bytes() == whole


def test_a_line_in_the_ledger_wins_over_a_spool_that_lost_the_end(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path)
    begin(journal)
    before = (tmp_path / "spool.jsonl").read_bytes()
    journal.ended("c1", 3000, "answered", "none")
    (tmp_path / "spool.jsonl").write_bytes(before)
    again = FileJournal(tmp_path)
    assert again.unfinished() == {}
    again.ended("c1", 4000, "abandoned", "caller")
    assert len(ledger(tmp_path)) == 1


def test_a_torn_spool_is_cut_wherever_it_tore(tmp_path: Path) -> None:
    begin(FileJournal(tmp_path), turns=2)
    whole = (tmp_path / "spool.jsonl").read_bytes()
    last_line = whole.rstrip(b"\n").rfind(b"\n") + 1
    for kept in range(last_line, len(whole)):
        (tmp_path / "spool.jsonl").write_bytes(whole[:kept])
        assert FileJournal(tmp_path).unfinished() == {"c1": PLAY}


def test_the_spool_stays_small(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path, compact_at=20_000)
    journal.began("long", "+7495", None, 0)
    journal.turned("long", 0, None, PLAY)
    for number in range(500):
        begin(journal, f"c{number}")
        journal.ended(f"c{number}", 3000, "answered", "none")
        assert (tmp_path / "spool.jsonl").stat().st_size < 25_000
    journal.close()
    assert len({line["call_id"] for line in ledger(tmp_path)}) == len(ledger(tmp_path)) == 500
    assert FileJournal(tmp_path).unfinished() == {"long": PLAY}


def test_a_full_disk_holds_nobody_up_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = True
    write = os.write

    def failing(fd: int, data: bytes) -> int:
        if not full:
            return write(fd, data)
        if len(data) > 10:
            return write(fd, data[:7])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", failing)
    journal = FileJournal(tmp_path)
    begin(journal)
    journal.ended("c1", 3000, "answered", "none")
    full = False
    begin(journal, "c2")
    journal.ended("c2", 3000, "answered", "none")
    journal.close()
    assert [line["call_id"] for line in ledger(tmp_path)] == ["c1", "c2"]
    assert all(json.loads(line) for line in (tmp_path / "spool.jsonl").read_text().splitlines())


def test_what_waits_for_a_full_disk_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("kommutator.routing.spool._LONGEST_WAITING", 1000)
    file = LineFile(tmp_path / "lines")
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        for number in range(1000):
            file.append(b"%04d" % number)
    file.close()
    assert (tmp_path / "lines").read_bytes().split()[-1] == b"0999"
    assert len((tmp_path / "lines").read_bytes()) == 1000


def test_a_line_of_which_the_disk_has_a_part_is_written_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr("kommutator.routing.spool._LONGEST_WAITING", 1000)
    file = LineFile(tmp_path / "lines")

    def fills_up(fd: int, data: bytes) -> int:
        if len(data) == 5:
            return write(fd, data[:2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", fills_up)
        for number in range(1000):
            file.append(b"%04d" % number)
    file.close()
    lines = (tmp_path / "lines").read_bytes().split()
    assert lines[0] == b"0000"
    assert all(len(line) == 4 for line in lines)
    assert lines[-1] == b"0999"
    assert file.lost == 1000 - len(lines)


def test_a_journal_whose_folder_cannot_be_used_holds_nobody_up_and_writes_later(tmp_path: Path) -> None:
    for name in ("spool.jsonl", "ledger.jsonl"):
        (tmp_path / name).mkdir()
    journal = FileJournal(tmp_path)
    assert journal.troubled
    begin(journal)
    journal.ended("c1", 3000, "answered", "none")
    begin(journal, "c2")
    assert journal.waiting_bytes > 0
    for name in ("spool.jsonl", "ledger.jsonl"):
        (tmp_path / name).rmdir()
    journal.close()
    assert not journal.troubled
    assert [line["call_id"] for line in ledger(tmp_path)] == ["c1"]
    assert set(FileJournal(tmp_path).unfinished()) == {"c2"}


def test_the_disk_is_told_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[float] = []
    fsync = os.fsync

    def noted(fd: int) -> None:
        fsync(fd)
        synced.append(trio.current_time() if trio.lowlevel.in_trio_run() else 0)

    async def main() -> None:
        file = LineFile(tmp_path / "lines")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(file.run)
            monkeypatch.setattr(os, "fsync", noted)
            for _ in range(50):
                file.append(b"line")
            with trio.fail_after(2):
                while not synced:
                    await trio.sleep(0.001)
            assert len(synced) == 1
            nursery.cancel_scope.cancel()
        file.close()

    trio.run(main)

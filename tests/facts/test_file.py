"""Files of owners and callers: what was written is read, and what is damaged anywhere is refused."""

from __future__ import annotations

import random
import zlib
from pathlib import Path

import pytest

from kommutator._engine import CallerTable, OwnerTable
from kommutator.errors import ExchangeMessageBad, TablesBad
from kommutator.exchange.messages import Called, FactsChanged, TablesMade, decode, encode
from kommutator.exchange.tables_file import Counts, Header, TablesFile, TablesWriter
from kommutator.exchange.tables_shelf import CALLS, FACTS, Bounds, Pending, TablesShelf, line, own

HEADER = Header("e", 7, 70, 1_795_000_000_000, 1_795_000_000_000)


def write(path: Path, owners: int = 3, callers: int = 2, header: Header = HEADER) -> Path:
    path.parent.mkdir(exist_ok=True)
    with TablesWriter(path, header) as writer:
        for number in range(owners):
            writer.lines("owners", b"+7916%07d\tanna\n" % number)
        writer.lines("callers", b"".join(b"+7916%07d\t1795000000000\n" % number for number in range(callers)))
        assert writer.end(Counts(owners, callers)) == path.stat().st_size
    return path


def load(shelf: TablesShelf) -> tuple[int, int, int]:
    """The sequence, and how many owners and callers."""
    built = shelf.load(Bounds(10**6, 10**6), lambda: True)
    assert built is not None
    return built.sequence, len(built.tables["owners"]), len(built.tables["callers"])


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = TablesFile(write(tmp_path / "a.tables", 100_000, 60_000))
    assert (file.header, file.counts) == (HEADER, Counts(100_000, 60_000))
    owners, callers = OwnerTable(), CallerTable()
    assert file.read({"owners": owners, "callers": callers}, lambda: True) == 0
    assert (len(owners), len(callers)) == (100_000, 60_000)
    assert file.bytes < 7 * 160_000, "numbers in their order are small"
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_cut_off_or_damaged_anywhere_it_is_refused(tmp_path: Path) -> None:
    whole = write(tmp_path / "a.tables").read_bytes()
    broken = tmp_path / "b.tables"

    def read(content: bytes) -> None:
        broken.write_bytes(content)
        file = TablesFile(broken)
        file.verify()
        file.read({"owners": OwnerTable(), "callers": CallerTable()}, lambda: True)

    read(whole)
    for length in range(len(whole)):
        with pytest.raises(TablesBad):
            read(whole[:length])
    for at in range(len(whole)):
        flipped = bytearray(whole)
        flipped[at] ^= 0x55
        with pytest.raises(TablesBad):
            read(bytes(flipped))


def test_a_page_that_is_not_as_long_as_it_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tables"
    for said in (1, 13, 15, 2**20):
        with TablesWriter(path, HEADER) as writer:
            writer._page(b"o", zlib.compress(b"+79161230001\tan"[:14]), said)
            writer.end(Counts(1, 0))
        with pytest.raises(TablesBad):
            TablesFile(path).read({"owners": OwnerTable()}, lambda: True)


def test_no_name_leads_out_of_the_folder() -> None:
    for name in ("../../etc/x", "a/b", "", "."):
        with pytest.raises(ExchangeMessageBad):
            decode(encode(TablesMade(name, "e", 7, 70, 0, 0, 0, 0, 0)), TablesMade)


def test_a_line_that_is_no_number_is_left_out_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.tables"
    with TablesWriter(path, HEADER) as writer:
        writer.lines("owners", b"+79161230001\tanna\n+7907439\tanna\n+79161230002\tboris\n")
        writer.end(Counts(3, 0))
    owners = OwnerTable()
    assert TablesFile(path).read({"owners": owners}, lambda: True) == 1
    assert len(owners) == 2


def test_the_shelf_keeps_what_changed_and_goes_on_from_it(tmp_path: Path) -> None:
    shelf = TablesShelf(tmp_path / "shelf")
    assert shelf.open() is None
    shelf.put(write(shelf.new("a")))
    facts = [FactsChanged("e", 8 + at, 0, ((f"+7916999000{at}", "boris"),)) for at in range(3)]
    shelf.append(line(71 + at, FACTS, encode(each)) for at, each in enumerate(facts))
    shelf.append([line(80, CALLS, encode(Called((("+79160000009", 5),)))), own("+79160000008", 6)])
    shelf.close()
    assert (tmp_path / "shelf").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "shelf").iterdir()} == {0o600}

    again = TablesShelf(tmp_path / "shelf")
    assert (again.open(), again.name) == (80, "a")
    assert load(again) == (10, 6, 4)
    again.put(write(again.new("b"), 5, 5, Header("e", 9, 72, HEADER.made + 1)))  # has the first two already
    assert load(again) == (10, 6, 7)
    again.put(write(again.new("c"), 5, 5, Header("e", 10, 80, HEADER.made + 2, HEADER.made + 2)))
    assert load(again) == (10, 5, 5)
    assert sorted(path.name for path in (tmp_path / "shelf").glob("*.tables")) == ["b.tables", "c.tables"]
    again.close()

    damaged = bytearray((tmp_path / "shelf" / "c.tables").read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    (tmp_path / "shelf" / "c.tables").write_bytes(damaged)
    once_more = TablesShelf(tmp_path / "shelf")
    once_more.open()
    assert load(once_more) == (10, 6, 7), "those before"
    once_more.close()


def test_new_tables_of_a_desk_whose_clock_was_set_back_stay(tmp_path: Path) -> None:
    shelf = TablesShelf(tmp_path)
    for made, name in enumerate(("a", "b")):
        shelf.put(write(shelf.new(name), header=Header("e", 7 + made, 70, HEADER.made + made)))
    shelf.put(write(shelf.new("c"), header=Header("e", 9, 90, HEADER.made - 1)))
    assert shelf.build("c", Bounds(10**6, 10**6), lambda: True).sequence == 9
    assert {path.name for path in tmp_path.iterdir()} == {"b.tables", "b.changes", "c.tables", "c.changes"}
    shelf.close()


def test_what_a_crash_cut_off_and_what_comes_after_a_gap_is_not_taken(tmp_path: Path) -> None:
    shelf = TablesShelf(tmp_path)
    shelf.put(write(shelf.new("a")))
    for sequence in (8, 10):
        shelf.append([line(72 + sequence, FACTS, encode(FactsChanged("e", sequence, 0, (("+79169990000", "boris"),))))])
    shelf.append([b'90\tf\t{"epoch":'])
    shelf.close()
    again = TablesShelf(tmp_path)
    assert again.open() == 82
    assert load(again) == (8, 4, 2)
    again.close()


def test_changes_that_wait_have_no_gaps_and_a_bound() -> None:
    chance = random.Random(1)
    pending = Pending(100)
    for _ in range(500):
        begin = chance.randrange(50)
        for sequence in range(begin, begin + chance.randrange(20)):
            pending.add(
                FactsChanged("e", sequence, 0, tuple((f"+7916{n:07}", None) for n in range(chance.randrange(30))))
            )
        waiting = [each.sequence for each in pending.messages]
        assert waiting == list(range(waiting[0], waiting[0] + len(waiting))) if waiting else True
        assert sum(len(each.owners) for each in pending.messages) <= 100

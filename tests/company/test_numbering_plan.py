"""The regulator's numbering plan."""

from __future__ import annotations

import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kommutator.company.numbering_plan import Imported, Plan, Range, import_files
from kommutator.errors import NumberingPlanInvalid

from .conftest import Write

HEADER = "АВС/ DEF;От;До;Емкость;Оператор;Регион;ИНН\n"
GEOGRAPHIC = HEADER + (
    '343;2000000;2499999;500000;"ПАО ""Ростелеком""";г. Екатеринбург|Свердловская область;7707049388\n'
    '343;2500000;2999999;500000;ООО "Ромашка";г. Екатеринбург|Свердловская область;1\n'
    "495;0;9999999;10000000;МГТС;г. Москва;1\n"
)
MOBILE = "916;1230000;1239999;10000;МТС;Москва и Московская область\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
def test_several_files_become_one_plan(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "ABC.csv").write_bytes(GEOGRAPHIC.encode(encoding))
    (tmp_path / "DEF.csv").write_bytes(MOBILE.encode(encoding))
    output = tmp_path / "numbering-plan.csv.gz"
    assert import_files([tmp_path / "ABC.csv", tmp_path / "DEF.csv"], output) == Imported(rows=4, ranges=3, regions=3)
    first = output.read_bytes()
    assert Plan.read(output).ranges == [
        Range(73432000000, 73432999999, "г. Екатеринбург|Свердловская область"),
        Range(74950000000, 74959999999, "г. Москва"),
        Range(79161230000, 79161239999, "Москва и Московская область"),
    ]
    import_files([tmp_path / "DEF.csv", tmp_path / "ABC.csv"], output)
    assert output.read_bytes() == first


def test_the_columns_follow_the_header(write: Write, tmp_path: Path) -> None:
    plan = write("plan.csv", "АВС/DEF;Регион;От;До\n343;Урал;2000000;2000001\n")
    import_files([plan], tmp_path / "out.gz")
    assert Plan.read(tmp_path / "out.gz").ranges == [Range(73432000000, 73432000001, "Урал")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("343;2000000", "2 columns"),
        ("34a;2000000;2000001;2;О;Р", "`34a` is no area code"),
        ("343;20000000;20000001;2;О;Р", "no subscriber numbers of 7 digits"),
        ("343;2000001;2000000;2;О;Р", "ends before it begins"),
        ("343;2000000;2000001;2;О; ", "no region"),
        ('343;2000000;2000001;2;"О;Р\n343;2000002;2000003;2;О";Р', "closed only in line 4"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_stored(write: Write, tmp_path: Path, row: str, reason: str) -> None:
    plan = write("plan.csv", f"{HEADER}495;0000000;0000001;2;О;Москва\n{row}\n")
    output = tmp_path / "out.gz"
    output.write_bytes(b"before")
    with pytest.raises(NumberingPlanInvalid, match=reason) as caught:
        import_files([plan], output)
    assert f"{plan}:3: " in str(caught.value)
    assert output.read_bytes() == b"before"


def test_a_file_without_rows_is_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(NumberingPlanInvalid, match="no rows"):
        import_files([write("plan.csv", HEADER)], tmp_path / "out.gz")


@pytest.mark.parametrize("damage", [b"", b"x", b"\x1f\x8b"])
def test_a_damaged_plan_is_refused(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "plan.gz").write_bytes(damage)
    with pytest.raises(NumberingPlanInvalid):
        Plan.read(tmp_path / "plan.gz")


def test_a_name_claims_whole_fields_before_their_parts() -> None:
    plan = Plan(
        [
            Range(10, 19, "г. Химки|Московская область"),
            Range(20, 29, "Московская область"),
            Range(30, 39, "г. Москва|Московская область"),
            Range(50, 59, "Свердловская обл."),
        ]
    )
    claims = {"Московская обл.": "oblast", "г. Москва": "city", "Свердловская область": "urals"}
    assert plan.assign(claims) == {"oblast": [(10, 29)], "city": [(30, 39)], "urals": [(50, 59)]}


ROWS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12), st.sampled_from("АБВ")), min_size=1, max_size=12)


@given(ROWS)
@settings(max_examples=300, deadline=None)
def test_every_number_belongs_to_the_narrowest_range_over_it(rows: list[tuple[int, int, str]]) -> None:
    ranges = [Range(first, first + width, region) for first, width, region in rows]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan.csv"
        file.write_text("".join(f"300;{item.first};{item.last};0;О;{item.region}\n" for item in ranges), "utf-8")
        import_files([file], Path(folder) / "out.gz")
        flat = Plan.read(Path(folder) / "out.gz").ranges
    assert all(left.last < right.first for left, right in pairwise(flat))
    for number in range(80):
        over = [item for item in ranges if item.first <= number <= item.last]
        narrowest = min((item.last - item.first for item in over), default=None)
        wanted = {item.region for item in over if item.last - item.first == narrowest}
        found = {item.region for item in flat if item.first <= 73000000000 + number <= item.last}
        assert len(found) <= 1
        assert found <= wanted and bool(found) == bool(wanted)

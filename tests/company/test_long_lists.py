"""Long list files: read by the engine, carried packed, shared by versions."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kommutator._engine import normalize, outline, read_list
from kommutator.company import load
from kommutator.company.list_file import MAX_ROWS_BYTES, NONE_PACKED, BadListFile, read_packed, read_rows
from kommutator.company.report import check
from kommutator.engine import Engine

from .conftest import CARD, Write

COMPANY = f"""{CARD}
employees:
  anna: {{endpoint: PJSIP/101}}
  boris: {{endpoint: PJSIP/102}}
lists:
  vip:
    numbers: ["101"]
    file: vip.csv
numbers:
  default: {{scheme: main}}
schemes:
  main:
    start: known
    responsible: anna
    nodes:
      known: {{kind: list, list: [vip], exits: {{match: anna, else: boris}}}}
      anna: {{kind: ring, ring: [{{employee: anna}}], seconds: 20, exits: {{no_answer: bye, busy: bye, unavailable: bye}}}}
      boris: {{kind: ring, ring: [{{employee: boris}}], seconds: 20, exits: {{no_answer: bye, busy: bye, unavailable: bye}}}}
      bye: {{kind: hangup, allow_lost: nobody is lost in a test}}
"""
ROWS = 20_000


def unpacked(text: str) -> list[str]:
    """Packed numbers, as the engine's documentation says they are written."""
    values, value, shift = [], 0, 0
    for byte in base64.b64decode(text, validate=True):
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append(value)
            value = shift = 0
    count, *distances = values
    assert count == len(distances)
    numbers, before = [], 0
    for distance in distances:
        before += distance
        digits = before >> 56 & 127
        numbers.append(f"{before & (1 << 56) - 1:0{digits}}" if before >> 63 else f"+{before}")
    return numbers


@pytest.fixture
def company(write: Write, tmp_path: Path) -> Callable[..., Path]:
    def made(*rows: str) -> Path:
        numbers = [f"8916{nth:07}" for nth in range(ROWS)]
        (tmp_path / "vip.csv").write_text("\n".join(["phone", *numbers, *rows]) + "\n", encoding="utf-8")
        return write("company.yaml", COMPANY)

    return made


def ringing(engine: Engine, caller: str) -> str | None:
    endpoints = engine.arrive("call", "+74951112233", caller, 0).action.endpoints
    assert endpoints is not None
    return endpoints[0]["employee"]


def errors(file: Path) -> list[dict[str, Any]]:
    return [finding for finding in check(file, 0).findings if finding["severity"] == "error"]


class TestLongFiles:
    def test_its_numbers_are_on_the_list(self, company: Callable[..., Path]) -> None:
        engine = Engine.load(company("+7 (495) 123-45-67"))
        assert [ringing(engine, caller) for caller in ("+79160000000", "89160019999", "+74951234567", "101")] == [
            "anna"
        ] * 4
        assert [ringing(engine, caller) for caller in ("+79160020000", "102", "+79150000000")] == ["boris"] * 3

    def test_a_document_carries_them_as_one_text(self, company: Callable[..., Path]) -> None:
        vip = load(company()).document["lists"]["vip"]
        assert "rows" not in vip
        assert len(unpacked(vip["packed"])) == ROWS
        assert len(vip["packed"]) < ROWS * 2

    def test_each_bad_row_is_a_finding_on_its_line(self, company: Callable[..., Path], tmp_path: Path) -> None:
        findings = errors(company("none", "", "1", "102"))
        found = [(finding["code"], finding["file"], finding["line"], finding["message"]) for finding in findings]
        file = str(tmp_path / "vip.csv")
        assert found == [
            ("bad_number", file, ROWS + 2, "`none` is not a telephone number"),
            ("bad_number", file, ROWS + 4, "`1` is not a telephone number"),
        ]

    def test_of_many_bad_rows_the_first_are_named_and_the_rest_is_counted(self, company: Callable[..., Path]) -> None:
        findings = load(company(*["none"] * 1_200)).findings
        assert len(findings) == 101
        assert sum("1,100 more rows hold no telephone number" in finding["message"] for finding in findings) == 1

    def test_a_cell_that_is_too_long_is_no_number(self, company: Callable[..., Path]) -> None:
        [finding] = load(company("1" * 1_001)).findings
        assert (finding["code"], finding["message"]) == (
            "bad_list_file",
            f"vip.csv: line {ROWS + 2}: a cell longer than 1000 characters",
        )

    def test_an_unknown_country_is_the_engines_finding(self, company: Callable[..., Path]) -> None:
        file = company()
        file.write_text(file.read_text(encoding="utf-8").replace("country: RU", "country: XX"), encoding="utf-8")
        assert [finding["code"] for finding in errors(file)] == ["unknown_country"]
        assert unpacked(NONE_PACKED) == []

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
    def test_any_encoding(self, tmp_path: Path, encoding: str) -> None:
        file = tmp_path / "list.csv"
        file.write_bytes("Клиент;Телефон\nООО «Ромашка»;89161230011\n".encode(encoding))
        assert unpacked(read_packed(file, "RU").text) == ["+79161230011"]

    def test_binary_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "list.csv").write_bytes(b"\xff\x98\x00" * MAX_ROWS_BYTES)
        with pytest.raises(BadListFile):
            read_packed(tmp_path / "list.csv", "RU")


class TestVersions:
    def test_a_version_beside_another_decides_alike(self, company: Callable[..., Path]) -> None:
        one = Engine.load(company())
        other = Engine(load(company("103")).engine_json, one.list_files)
        same = Engine(load(company()).engine_json, one.list_files)
        assert [ringing(engine, "103") for engine in (one, other, same)] == ["boris", "anna", "boris"]
        assert one.version == same.version != other.version

    def test_what_a_dropped_version_held_is_let_go_and_the_next_is_not_disturbed(
        self, company: Callable[..., Path]
    ) -> None:
        engine = Engine.load(company())
        for nth in range(4):
            before = engine.version
            engine.activate(engine.hold(load(company(f"+7495000000{nth}")).engine_json))
            assert engine.drop_version(before) is True
            assert engine.drop_version(before) is False
            assert ringing(engine, f"+7495000000{nth}") == "anna"
            assert ringing(engine, f"+7495000000{nth + 1}") == "boris"

    def test_an_outline_has_everything_but_numbers(self, company: Callable[..., Path]) -> None:
        document = load(company()).engine_json
        short = outline(document)
        assert len(short) < 5_000 < len(document)
        whole, cut = orjson.loads(document), orjson.loads(short)
        assert cut["lists"].keys() == whole["lists"].keys()
        assert cut["employees"]["anna"]["endpoint"] == "PJSIP/101"
        assert cut["schemes"].keys() == whole["schemes"].keys()


CELLS = st.text(alphabet='0123456789+ x"яф', max_size=12)
TEXTS = st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=8).flatmap(
    lambda rows: st.tuples(st.sampled_from(";,\t"), st.sampled_from(["\n", "\r\n", "\r"])).map(
        lambda marks: marks[1].join(marks[0].join(row) for row in rows)
    )
)


@settings(max_examples=200, deadline=None)
@given(text=TEXTS | st.text(alphabet='01;,\t"\r\n phone', max_size=60))
def test_both_readers_read_the_same(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "both.csv"
    file.write_bytes(text.encode())
    rows = read_rows(file)
    numbers = [(line, cell, normalize(cell, "RU")) for line, cell in rows]
    packed, bad, count = read_list(text.encode(), "RU")
    assert set(unpacked(packed)) == {number for _, _, number in numbers if number is not None}
    assert bad == [(line, cell) for line, cell, number in numbers if number is None]
    assert count == len(bad)

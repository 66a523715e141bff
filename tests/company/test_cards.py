"""Changes of cards, as the document's files then read."""

from __future__ import annotations

from pathlib import Path

import pytest

from kommutator.company.cards import Changes, with_changes
from kommutator.company.reader import load
from kommutator.errors import CompanyUnreadable

DOCUMENT = """\
# Наша компания
company: {name: Ромашка, timezone: Europe/Moscow}

employees:
  anna:  {name: Анна Смирнова, department: sales, rank: 1, mobile: "+79161230001"}  # главная
  boris: {name: Борис Орлов, department: sales}
departments:
  sales: {name: Отдел продаж, service_types: [equipment]}
"""
SERVICES = """\
service_types:
  equipment: {name: Поставка оборудования}   # тёплое
"""
FILES = {"company.yaml": DOCUMENT.encode(), "services.yaml": SERVICES.encode(), "lists/vip.csv": b"+79160000000\n"}


def test_only_the_changed_card_is_written_anew() -> None:
    changed = with_changes(FILES, Changes({"employees": {"anna": {"name": "Анна Соколова", "mobile": "+79161230002"}}}))
    before, after = (text.decode().splitlines() for text in (FILES["company.yaml"], changed["company.yaml"]))
    assert [line for line in before if line not in after] == [line for line in before if "Смирнова" in line]
    (line,) = (line for line in after if line not in before)
    assert (
        line.split("#")[0].strip() == 'anna: {name: Анна Соколова, department: sales, rank: 1, mobile: "+79161230002"}'
    )
    assert line.endswith("# главная")
    assert {path: changed[path] for path in ("services.yaml", "lists/vip.csv")} == {
        path: FILES[path] for path in ("services.yaml", "lists/vip.csv")
    }


def test_a_new_card_goes_where_its_section_is(tmp_path: Path) -> None:
    changes = Changes(
        {
            "service_types": {"repair": {"name": "Ремонт"}},
            "employees": {"vera": {"name": "Вера", "department": "sales", "mobile": "+79161230003", "email": None}},
            "departments": {"sales": {"service_types": ["equipment", "repair"]}},
        }
    )
    for path, content in with_changes(FILES, changes).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    assert "Ремонт" in (tmp_path / "services.yaml").read_text()
    loaded = load(tmp_path).document
    assert loaded["employees"]["vera"]["mobile"] == "+79161230003"
    assert loaded["departments"]["sales"]["service_types"] == ["equipment", "repair"]


def test_a_removed_card_is_gone_and_an_empty_field_is_not_written() -> None:
    changes = Changes({"employees": {"anna": {"rank": None}}}, {"employees": frozenset({"boris", "nobody"})})
    text = with_changes(FILES, changes)["company.yaml"].decode()
    assert "boris" not in text
    assert "rank" not in text


def test_without_changes_nothing_is_touched() -> None:
    assert with_changes(FILES, Changes()) == FILES


def test_what_is_no_yaml_is_named() -> None:
    with pytest.raises(CompanyUnreadable) as caught:
        with_changes({"company.yaml": b"- a\n"}, Changes({"employees": {"anna": {"name": "А"}}}))
    assert caught.value.file == "company.yaml"

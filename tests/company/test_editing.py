"""Cards changed in YAML: what was to change has changed, and every other byte is as it was written."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from kommutator.company.editing import Changes, edited
from kommutator.errors import Refused

DOCUMENTS = sorted(
    [
        *(Path(__file__).parents[1] / "scenarios").glob("*/company.yaml"),
        Path(__file__).parent / "romashka" / "company.yaml",
    ]
)

TEXT = """\
# The company
company: {name: Ромашка}   # of flowers
employees:
  # the boss
  anna:  {name: Анна,  rank: 1, mobile: "+79161230001"}   # since 2001
  boris:
    name: Борис      # a block
    department: sales
    # and his rank
    rank: 2

  # nobody after him
departments: {sales: {name: Продажи, service_types: [a, b]}}
service_types:
  a: {name: А}
  b:
schemes: {}
"""


def changed(changes: Changes, text: str = TEXT) -> list[str]:
    """The lines that are different."""
    out = edited({"company.yaml": text.encode(), "prompts/x.wav": b"x"}, changes)
    assert out.pop("prompts/x.wav") == b"x"
    lines = difflib.ndiff(text.splitlines(), out["company.yaml"].decode().splitlines())
    return [line for line in lines if line[0] in "+-"]


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        (
            {"employees": {"anna": {"name": "Анна: Орлова", "rank": 7, "mobile": None, "email": "a@x.test"}}},
            [
                '-   anna:  {name: Анна,  rank: 1, mobile: "+79161230001"}   # since 2001',
                '+   anna:  {name: "Анна: Орлова",  rank: 7, email: a@x.test}   # since 2001',
            ],
        ),
        ({"employees": {"boris": {"rank": 3}}}, ["-     rank: 2", "+     rank: 3"]),
        ({"employees": {"boris": {"softphone": True}}}, ["+     softphone: true"]),
        ({"employees": {"boris": {"rank": None}}}, ["-     rank: 2"]),
        ({"employees": {"boris": {"email": "b@x.test"}}}, ["+     email: b@x.test"]),
        (
            {"employees": {"vera": {"name": "Вера", "mobile": "+79161230002", "rank": None}}},
            ['+   vera: {name: Вера, mobile: "+79161230002"}'],
        ),
        ({"employees": {"007": {"name": "no"}}}, ['+   "007": {name: "no"}']),
        (
            {"employees": {"anna": None}},
            ['-   anna:  {name: Анна,  rank: 1, mobile: "+79161230001"}   # since 2001'],
        ),
        (
            {"departments": {"sales": {"service_types": ["b", "c d"]}, "board": {"name": "Совет"}}},
            [
                "- departments: {sales: {name: Продажи, service_types: [a, b]}}",
                "+ departments: {sales: {name: Продажи, service_types: [b, c d]}, board: {name: Совет}}",
            ],
        ),
        (
            {"departments": {"sales": None}},
            ["- departments: {sales: {name: Продажи, service_types: [a, b]}}", "+ departments: {}"],
        ),
        ({"service_types": {"c": {"name": "В"}}}, ["+   c: {name: В}"]),
    ],
)  # fmt: skip
def test_a_card_changes_and_nothing_else(changes: Changes, lines: list[str]) -> None:
    assert changed(changes) == lines


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.parent.name)
def test_in_every_document_of_ours_one_card_is_one_line(path: Path) -> None:
    text = path.read_text()
    lines = changed({"employees": {"novice": {"name": "Новый", "rank": 1}}}, text)
    assert lines == ["+   novice: {name: Новый, rank: 1}"]


@pytest.mark.parametrize("text", ["schemes: {}\n", "schemes: {}", "employees:\nschemes: {}\n", "employees: {}\n"])
def test_a_section_that_is_not_there_yet_is_made(text: str) -> None:
    assert any("vera" in line and "Вера" in line for line in changed({"employees": {"vera": {"name": "Вера"}}}, text))


def test_a_card_is_found_in_whatever_file_has_it() -> None:
    files = {"a.yaml": b"employees:\n  anna: {name: A}\n", "b.yml": b"employees:\n  boris: {name: B}\n"}
    out = edited(files, {"employees": {"boris": {"name": "C"}}})
    assert out == {"a.yaml": files["a.yaml"], "b.yml": b"employees:\n  boris: {name: C}\n"}


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        (TEXT, {"employees": {"nobody": None}}),
        ("employees: {anna: &card {name: A}, boris: *card}\n", {"employees": {"anna": {"name": "B"}}}),
        ("employees:\n  anna: {name: A}\n  anna: {name: B}\n", {"employees": {"anna": {"name": "C"}}}),
        ("employees:\n  anna: [a]\n", {"employees": {"anna": {"name": "C"}}}),
        ("- a list\n", {"employees": {"anna": {"name": "C"}}}),
        ("employees: {anna\n", {"employees": {"anna": {"name": "C"}}}),
    ],
)
def test_what_cannot_be_changed_alone_is_refused(text: str, changes: Changes) -> None:
    with pytest.raises(Refused):
        changed(changes, text)

"""From YAML to the engine document."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from kommutator.company import load, locate_all
from kommutator.company.findings import READER_CODES
from kommutator.company.models import KINDS
from kommutator.company.numbering_plan import import_files
from kommutator.errors import CompanyUnreadable

from .conftest import CARD, Write


def codes(path: Path) -> list[tuple[str, int]]:
    return [(finding["code"], finding["line"]) for finding in load(path).findings]


def node(write: Write, text: str) -> dict[str, Any]:
    """The engine's form of one node, which must have no finding."""
    company = load(write("company.yaml", CARD + f"schemes: {{m: {{start: n, responsible: a, nodes: {{n: {text}}}}}}}"))
    assert company.findings == []
    read: dict[str, Any] = company.document["schemes"]["m"]["nodes"]["n"]
    return read


class TestDocument:
    def test_the_example_of_the_language_is_read_whole(self, romashka: Path) -> None:
        company = load(romashka / "company.yaml")

        assert company.findings == []
        document = company.document
        assert orjson.loads(company.engine_json) == orjson.loads(orjson.dumps(document))
        assert list(document) == [
            *("company", "employees", "departments", "service_types", "groups", "schedules", "lists", "regions"),
            *("prompts", "templates", "numbers", "schemes"),
        ]
        assert document["employees"]["boris"] == {
            "name": "Борис Орлов",
            "department": "sales",
            "rank": 2,
            "endpoint": "PJSIP/102",
        }
        assert document["lists"]["vip"]["rows"] == [(2, "89161230011")]
        assert document["regions"]["urals"]["ranges"] == [(73432000000, 73432999999), (73512000000, 73512999999)]
        assert document["prompts"] == {
            "greeting": {"seconds": 2.5},
            "closed": {"seconds": 4.0},
            "leave-message": {"seconds": 3.0},
        }
        office = document["schedules"]["office"]
        assert list(office["weekly"]) == ["mon-thu", "fri", "sat"]
        assert office["exceptions"] == {"2026-12-31": ["09:00-13:00"], "2027-01-09": []}
        assert office["holidays"]["closed"]["2026-01-09"] == "Выходной (перенесено с 03.01.2026)"
        assert "2025-11-01" in office["holidays"]["workdays"]
        assert document["schemes"]["main"]["nodes"]["team"] == {
            "kind": "ring",
            "exits": {"no_answer": "mailbox"},
            "ring": [{"group": "managers"}],
            "strategy": "all",
            "seconds": 25.0,
        }
        assert company.prompts["closed"].say == "Мы работаем с девяти до шести."
        assert company.prompts["greeting"].file == romashka / "prompts/greeting.wav"

    def test_equal_documents_give_equal_bytes(self, write: Write) -> None:
        text = CARD + "schedules: {o: {holidays: RU, weekly: {mon: [09:00-18:00]}}}\n"
        first = load(write("a/company.yaml", text)).engine_json
        assert load(write("b/company.yaml", text)).engine_json == first

    def test_numbers_without_quotes_keep_their_text(self, write: Write) -> None:
        company = load(
            write(
                "company.yaml",
                CARD
                + """\
numbers: {+74951112233: {scheme: m}, 0074951112233: {scheme: m}}
employees: {7: {mobile: +79161230001, endpoint: 0101}}
lists: {vip: {numbers: [+79161230099, 8 (495) 123-45-67, 007], prefixes: +7812}}
schedules: {o: {weekly: {mon: 09:00-18:00}, exceptions: {2026-12-31: 09:00-13:00}}}
""",
            )
        )
        assert company.findings == []
        assert list(company.document["numbers"]) == ["+74951112233", "0074951112233"]
        assert company.document["employees"]["7"] == {"name": "7", "mobile": "+79161230001", "endpoint": "0101"}
        assert company.document["lists"]["vip"] == {
            "numbers": ["+79161230099", "8 (495) 123-45-67", "007"],
            "prefixes": ["+7812"],
        }
        assert company.document["schedules"]["o"] == {
            "weekly": {"mon": ["09:00-18:00"]},
            "exceptions": {"2026-12-31": ["09:00-13:00"]},
        }

    def test_words_that_other_yaml_takes_for_true_and_false_are_words(self, write: Write) -> None:
        company = load(write("company.yaml", CARD + "departments: {no: {name: on}, off: {name: yes}}"))
        assert company.document["departments"] == {
            "no": {"name": "on", "service_types": []},
            "off": {"name": "yes", "service_types": []},
        }

    def test_a_folder_is_merged_by_its_sections(self, write: Write, tmp_path: Path) -> None:
        write("10-company.yaml", CARD)
        write("20-people.yml", "employees:\n  anna: {endpoint: PJSIP/101}\nlists:\n")
        write("30-more.yaml", "employees:\n  boris: {endpoint: PJSIP/102}\nlists: {vip: {numbers: []}}\n")
        write("notes.txt", "no: yaml: here")
        company = load(tmp_path)
        assert company.findings == []
        assert list(company.document["employees"]) == ["anna", "boris"]
        assert list(company.document["lists"]) == ["vip"]
        assert company.locate(["employees", "boris", "endpoint"]) == (str(tmp_path / "30-more.yaml"), 2)

    def test_a_key_in_two_files_names_both_places(self, write: Write, tmp_path: Path) -> None:
        write("a.yaml", CARD + "employees:\n  anna: {name: Анна}\n")
        write("b.yaml", "employees:\n  boris: {}\n  anna: {name: Другая}\n")
        company = load(tmp_path)
        (finding,) = company.findings
        assert finding["code"] == "duplicate_key"
        assert f"{tmp_path}/a.yaml:3" in finding["message"]
        assert f"{tmp_path}/b.yaml:3" in finding["message"]
        assert (finding["file"], finding["line"]) == (str(tmp_path / "b.yaml"), 3)
        assert company.document["employees"]["anna"]["name"] == "Анна"


class TestPlaces:
    def test_what_is_missing_is_blamed_on_its_parents_line(self, write: Write) -> None:
        file = write(
            "company.yaml",
            CARD
            + """\
schemes:
  main:
    start: hello
    responsible: sales
    nodes:
      hello:
        kind: schedule
        schedule: office
        exits:
          open: team
      bye: {kind: hangup}
""",
        )
        company = load(file)
        nodes = ["schemes", "main", "nodes"]
        assert company.locate([*nodes, "hello", "exits", "open"]) == (str(file), 11)
        assert company.locate([*nodes, "hello", "exits", "closed"]) == (str(file), 10)
        assert company.locate([*nodes, "bye", "exits", "done"]) == (str(file), 12)
        assert company.locate(["schemes", "other"]) == (str(file), 2)
        assert company.locate(["employees"]) == (str(file), 1)
        assert company.locate([]) == (str(file), 1)

    def test_a_row_of_a_list_file_is_in_that_file(self, write: Write, tmp_path: Path) -> None:
        write("vip.csv", "name;phone\nA;89161230011\n\nB;nonsense\n")
        file = write("company.yaml", CARD + "lists:\n  vip:\n    file: vip.csv\n    numbers: ['1', '2']\n")
        company = load(file)
        assert company.locate(["lists", "vip", "rows", 1]) == (str(tmp_path / "vip.csv"), 4)
        assert company.locate(["lists", "vip", "rows", "9"]) == (str(file), 4)
        assert company.locate(["lists", "vip", "numbers", 1]) == (str(file), 5)


class TestNodes:
    def test_every_kind_of_the_engine_is_known(self) -> None:
        rust = (Path(__file__).parents[2] / "rust/engine/src/company/document.rs").read_text(encoding="utf-8")
        body = rust[rust.index("pub enum Kind {") : rust.index("fn lookup_ms")]
        variants = re.findall(r"^    ([A-Z][a-z]+) \{", body, re.MULTILINE)
        assert sorted(KINDS) == sorted(name.lower() for name in variants if name != "Broken")

    @pytest.mark.parametrize(
        ("written", "read"),
        [
            ("{kind: list, list: vip}", {"list": ["vip"]}),
            ("{kind: list, list: [vip, black]}", {"list": ["vip", "black"]}),
            ("{kind: history}", {"timeout_ms": 800}),
            ("{kind: owner, timeout_ms: 500}", {"timeout_ms": 500}),
            (
                "{kind: menu, prompt: p, options: {1: sales, '2': info}}",
                {"prompt": "p", "options": {"1": "sales", "2": "info"}, "seconds": 5.0, "attempts": 3},
            ),
            ("{kind: sms, to: caller, template: t}", {"to": "caller", "template": "t"}),
            ("{kind: sms, to: {employee: anna}, template: t}", {"to": {"employee": "anna"}, "template": "t"}),
            ("{kind: sms, to: {phone: +79161230001}, template: t}", {"to": {"phone": "+79161230001"}, "template": "t"}),
            ("{kind: email, to: a@example.test, template: t}", {"to": {"address": "a@example.test"}, "template": "t"}),
            ("{kind: voicemail, prompt: p, email: a@b.test}", {"prompt": "p", "seconds": 120.0, "email": ["a@b.test"]}),
            ("{kind: tag, set: {vip: true, n: 1, w: no}}", {"set": {"vip": "true", "n": "1", "w": "no"}}),
            ("{kind: split, weights: {a: 1, b: 0}}", {"weights": {"a": 1, "b": 0}}),
            ("{kind: hangup}", {"cause": "normal"}),
            (
                "{kind: queue, ring: [], seconds: 20, max_wait: 60, max_length: 9, pause: 1, announce: [next, hold]}",
                {
                    "ring": [],
                    "strategy": "all",
                    "seconds": 20.0,
                    "max_wait": 60.0,
                    "max_length": 9,
                    "pause": 1.0,
                    "announce": ["next", "hold"],
                    "announce_every": 30.0,
                },
            ),
            ("{kind: transfer, to: 101}", {"to": "101", "seconds": 30.0}),
            ("{kind: webhook, url: 'http://x', choices: [a]}", {}),
            (
                "{kind: queue, ring: [{group: g}], seconds: 20}",
                {
                    "ring": [{"group": "g"}],
                    "strategy": "all",
                    "seconds": 20.0,
                    "max_wait": 600.0,
                    "max_length": 1000,
                    "pause": 10.0,
                    "announce_every": 30.0,
                },
            ),
        ],
    )
    def test_parameters(self, write: Write, written: str, read: dict[str, Any]) -> None:
        got = node(write, written)
        kind = got.pop("kind")
        assert f"kind: {kind}" in written
        assert got.pop("exits") == {}
        assert got == read

    def test_a_step_without_seconds_lasts_the_nodes(self, write: Write) -> None:
        steps = "[{ring: [{employee: a}]}, {ring: [{mobile: a}, {owner: true}], seconds: 7}]"
        got = node(write, f"{{kind: ring, strategy: expanding, seconds: 15, steps: {steps}}}")
        assert got["steps"] == [
            {"ring": [{"employee": "a"}], "seconds": 15.0},
            {"ring": [{"mobile": "a"}, {"owner": True}], "seconds": 7.0},
        ]


WRONG = {
    "duplicate_key": ("employees:\n  anna: {}\n  anna: {}\n", 4),
    "unknown_key": ("employees:\n  anna:\n    nmae: Анна\n", 4),
    "missing_key": ("groups:\n  managers: {}\n", 3),
    "wrong_type": ("employees:\n  anna:\n    name: [Анна]\n", 4),
    "wrong_value": ("prompts:\n  p: {say: x, language: Russian}\n", 3),
    "out_of_range": ("prompts:\n  p:\n    say: x\n    seconds: -1\n", 5),
    "unexpected_key": ("prompts:\n  p: {say: x, file: p.wav}\n", 3),
    "missing_file": ("prompts:\n  p: {file: p.wav}\n", 3),
    "outside_folder": ("lists:\n  l: {file: ../l.csv}\n", 3),
    "bad_prompt": ("prompts:\n  p: {file: company.yaml}\n", 3),
    "bad_list_file": ("lists:\n  l: {file: binary.csv}\n", 3),
    "unknown_calendar": ("schedules:\n  o: {holidays: XX}\n", 3),
    "missing_numbering_plan": ("regions:\n  r: {plan: [Урал]}\n", 3),
    "unknown_kind": ("schemes:\n  m: {start: a, responsible: b, nodes: {a: {kind: paly}}}\n", 3),
}


class TestFindings:
    @pytest.mark.parametrize("code", WRONG)
    def test_each_code_at_its_line(self, write: Write, tmp_path: Path, code: str) -> None:
        (tmp_path / "binary.csv").write_bytes(b"\x98\xff\x98")
        text, line = WRONG[code]
        assert codes(write("company.yaml", CARD + text)) == [(code, line)]

    def test_the_codes_of_the_numbering_plan(self, write: Write, tmp_path: Path) -> None:
        plan = write("plan.csv", "343;2000000;2999999;1000000;А;Свердловская область\n")
        import_files([plan], tmp_path / "numbering-plan.csv.gz")
        file = write(
            "company.yaml",
            CARD
            + """\
regions:
  a: {plan: [Свердловская обл.]}
  b: {plan: [свердловская  область]}
  c: {plan: [Свердловск]}
""",
        )
        company = load(file)
        assert [(finding["code"], finding["line"]) for finding in company.findings] == [
            ("plan_region_twice", 4),
            ("unknown_plan_region", 5),
        ]
        assert "Свердловская область" in company.findings[1]["message"]
        assert company.document["regions"]["c"] == {"broken": True}
        (tmp_path / "numbering-plan.csv.gz").write_bytes(b"nonsense")
        assert ("bad_numbering_plan", 3) in codes(file)

    def test_every_code_is_shown_by_a_test(self) -> None:
        elsewhere = {"unreadable", "bad_number", "plan_region_twice", "unknown_plan_region", "bad_numbering_plan"}
        assert set(WRONG) | elsewhere == set(READER_CODES)

    def test_a_finding_names_scheme_and_node(self, write: Write) -> None:
        company = load(
            write(
                "company.yaml",
                CARD + "schemes: {m: {start: a, responsible: b, nodes: {a: {kind: ring, ring: [anna], seconds: 5}}}}",
            )
        )
        (finding,) = company.findings
        assert (finding["code"], finding["scheme"], finding["node"]) == ("wrong_type", "m", "a")
        assert finding["path"] == []
        assert "{employee: id}" in finding["message"]

    def test_one_wrong_item_is_a_hole_and_the_rest_is_read(self, write: Write) -> None:
        company = load(
            write(
                "company.yaml",
                CARD
                + """\
employees: {anna: {rank: high}, boris: {rank: 2}}
numbers: {"1": {scheme: m, extra: 1}, "2": 5}
schemes:
  m:
    start: a
    nodes:
      a: {kind: play, prmpt: x, exits: {done: b}}
      b: {kind: hangup}
""",
            )
        )
        assert {finding["code"] for finding in company.findings} == {"wrong_type", "unknown_key", "missing_key"}
        assert company.document["employees"] == {"anna": {"broken": True}, "boris": {"name": "boris", "rank": 2}}
        assert company.document["numbers"] == {"1": {"scheme": "m"}}
        assert company.document["schemes"]["m"] == {
            "start": "a",
            "broken": True,
            "nodes": {
                "a": {"kind": "broken", "exits": {"done": "b"}},
                "b": {"kind": "hangup", "exits": {}, "cause": "normal"},
            },
        }

    def test_the_engine_is_silent_where_the_reader_spoke(self, write: Write) -> None:
        company = load(write("company.yaml", CARD + "schemes:\n  m: {start: a, nodes: {}}\n"))
        at = ["schemes", "m", "responsible"]
        found = {"code": "unknown_reference", "severity": "error", "message": "there is no employee or department"}
        assert locate_all(company, [found | {"at": at}]) == []
        (kept,) = locate_all(company, [found | {"at": ["schemes", "m", "start"], "scheme": "m", "steps": []}])
        assert kept == found | {
            "scheme": "m",
            "node": None,
            "file": company.locate(at)[0],
            "line": 3,
            "path": [],
        }


class TestUnreadable:
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("company: {name: x\n", 2),
            ("a: 1\n\tb: 2\n", 2),
            ("- a\n", 1),
            ('a: "\\ud800"\n', 1),
            ("a: 1\n---\nb: 2\n", 2),
        ],
    )
    def test_with_its_line(self, write: Write, text: str, line: int) -> None:
        with pytest.raises(CompanyUnreadable) as caught:
            load(write("company.yaml", text))
        assert caught.value.line == line

    @pytest.mark.parametrize("text", ["", "# nothing\n", "~\n"])
    def test_empty(self, write: Write, text: str) -> None:
        with pytest.raises(CompanyUnreadable, match="empty"):
            load(write("company.yaml", text))

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(CompanyUnreadable, match="No such file"):
            load(tmp_path / "company.yaml")

    def test_a_folder_without_yaml(self, tmp_path: Path) -> None:
        with pytest.raises(CompanyUnreadable, match=r"no \*\.yaml"):
            load(tmp_path)

    def test_not_utf_8(self, tmp_path: Path) -> None:
        (tmp_path / "company.yaml").write_bytes("a: 1\nb: Привет\n".encode("cp1251"))
        with pytest.raises(CompanyUnreadable, match="UTF-8") as caught:
            load(tmp_path / "company.yaml")
        assert caught.value.line == 2

    def test_aliases_that_multiply(self, write: Write) -> None:
        lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
        with pytest.raises(CompanyUnreadable, match="aliases expanded"):
            load(write("company.yaml", "\n".join(lines)))

    def test_long_texts_that_multiply(self, write: Write) -> None:
        aliases = ", ".join(["*a"] * 1000)
        with pytest.raises(CompanyUnreadable, match="aliases expanded"):
            load(write("company.yaml", f"a: &a {'x' * 100_000}\nb: [{aliases}]\n"))

    @pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: " + "[" * 100_000, "a: &a {b: *a}\n"])
    def test_without_bottom(self, write: Write, text: str) -> None:
        with pytest.raises(CompanyUnreadable, match="deep"):
            load(write("company.yaml", text))

"""Walks: a ledger's calls happen again in the version that they were routed by, and otherwise in another."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import orjson
import pytest
from click.testing import CliRunner, Result

from kommutator import Engine
from kommutator.cli import main
from kommutator.cli.happened import Call, outcomes
from kommutator.company import load
from kommutator.routing.ledger import MemoryJournal
from kommutator.routing.turn import Turn

SCENARIOS: Final = Path(__file__).parents[1] / "scenarios"
OFFICE: Final = SCENARIOS / "1-office-hours/company.yaml"
LISTS: Final = SCENARIOS / "2-list-and-menu/company.yaml"
NOON_MS: Final = round(datetime.fromisoformat("2026-11-18T12:00:00+03:00").timestamp() * 1000)
DID: Final = "+74951112233"
SCHEMES: Final = sorted(path.name for path in SCENARIOS.iterdir() if path.name[0] in "12345678")
CALLERS: Final = ["89161230099", "8 916 123-00-50", "84951230000", "83432012345", "8 812 333-44-55", None]


class People:
    """Who calls, and who is called: each does the same whenever he is asked."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._fates: dict[str, str] = {}

    def event(self, action: Mapping[str, Any]) -> dict[str, Any]:
        """What answers an action."""
        dice = self._dice
        match action["type"]:
            case "play":
                return {"type": "played"}
            case "menu":
                return {"type": "digits", "digits": dice.choice([*action["digits"], "77"])}
            case "ring":
                return self._rung([str(rung["endpoint"]) for rung in action["endpoints"]])
            case "wait":
                return {"type": "waited"}
            case "record":
                return {"type": "recorded", "seconds": dice.choice([0.0, 0.5, 12.0])}
            case "find_owner":
                return dice.choice([{"type": "owner", "employee": "anna"}, {"type": "no_owner"}, {"type": "failed"}])
            case "find_history":
                return {"type": dice.choice(["called_before", "never_called", "failed"])}
            case "transfer":
                return {"type": dice.choice(["transferred", "failed"])}
            case "talk":
                return {"type": "conversation_ended"}
            case _:
                return {"type": "hung_up"}

    def _rung(self, phones: list[str]) -> dict[str, Any]:
        fates = ["answered", "busy", "declined", "no_answer", "no_answer"]
        for phone in phones:
            self._fates.setdefault(phone, self._dice.choice(fates))
        if answered := [phone for phone in phones if self._fates[phone] == "answered"]:
            return {"type": "answered", "endpoint": answered[0]}
        return {
            "type": "no_answer",
            "ended": [{"endpoint": phone, "cause": self._fates[phone]} for phone in phones],
        }


def happen(
    engine: Engine, journal: MemoryJournal, call: str, did: str, caller: str | None, at_ms: int, dice: Random
) -> None:
    """A call as a router would have it."""
    people, event = People(dice), None
    journal.began(call, did, caller, at_ms)
    turn = engine.arrive(call, did, caller, at_ms)
    while True:
        journal.turned(call, at_ms, event, Turn.of(turn))
        action = turn.to_dict()["action"]
        if action["type"] == "end":
            return journal.ended(call, at_ms, action["disposition"], action["fault"])
        event = people.event(action)
        turn = engine.handle(turn.state, event, at_ms)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_ledgers_calls_happen_again_as_they_were(scheme: str) -> None:
    # One router has the calls; the other has had all before, when the next is walked through there.
    company, dice, endings = load(SCENARIOS / scheme / "company.yaml"), Random(5), Counter[str]()
    router, other, dids = (
        Engine.of(company),
        Engine.of(company),
        [did for did in company.document["numbers"] if did[0] == "+"],
    )
    for nth in range(150):
        did, caller, at_ms, seed = (
            dice.choice(dids),
            dice.choice(CALLERS),
            NOON_MS + dice.randrange(700) * 3_600_000,
            dice.random(),
        )
        journal = MemoryJournal()
        happen(router, journal, f"call-{nth}", did, caller, at_ms, Random(seed))
        (line,) = journal.lines
        call = msgspec.convert(line, Call)
        walk = other.walk(did, caller, at_ms, outcomes(call), call.call_id)
        assert walk.path == [(step["scheme"], step["node"], step["exit"]) for step in line["trace"]], line
        assert walk.actions[-1] == {"type": "end", "disposition": line["disposition"], "fault": line["fault"]}, line
        happen(other, MemoryJournal(), f"call-{nth}", did, caller, at_ms, Random(seed))
        endings[line["disposition"]] += 1
    assert len(endings) >= 2, endings


def line(**what: Any) -> dict[str, Any]:
    """A ledger's line of a call at noon that nobody answers."""
    at = "2026-11-18T12:00:00+03:00"
    call = {"call_id": "call", "did": DID, "caller": "89161230099", "began": at, "ended": at}
    return call | {"disposition": "no_answer", "trace": [], "effects": [], "legs": []} | what


def what_if(tmp_path: Path, lines: list[dict[str, Any]], *arguments: str) -> Result:
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_bytes(b"\n".join(orjson.dumps(each) for each in lines) + b"\n")
    return CliRunner().invoke(main, ["what-if", str(OFFICE), "--ledger", str(ledger), *arguments])


CALLS: Final = [
    line(call_id="answered", legs=[{"endpoint": "PJSIP/102", "outcome": "answered"}]),
    line(call_id="message", effects=[{"type": "voicemail", "seconds": 12.0}], disposition="voicemail"),
    line(call_id="left", ended="2026-11-18T12:00:14+03:00", disposition="abandoned"),
]


def test_it_tells_what_the_callers_of_a_ledger_would_meet(tmp_path: Path) -> None:
    result = what_if(tmp_path, CALLS, "--to-the-end", "--json")
    assert result.exit_code == 0, result.output
    rows = {row["example"]: row["goes"] for row in map(orjson.loads, result.stdout.splitlines())}
    ringing = "play greeting → ring PJSIP/101 PJSIP/102"
    assert rows == {
        "answered": f"{ringing} → talk PJSIP/102 → end answered",
        "message": f"{ringing} → record leave-message → end voicemail",
        "left": f"{ringing} → end abandoned",
    }


def test_it_tells_whose_call_would_end_otherwise(tmp_path: Path) -> None:
    other = shutil.copytree(OFFICE.parent, tmp_path / "other") / "company.yaml"
    other.write_text(OFFICE.read_text().replace("members: [anna, boris]", "members: [anna]"))
    result = what_if(tmp_path, CALLS[:1], "--to-the-end", "--against", str(other), "--json")
    assert result.exit_code == 0, result.output
    (row,) = map(orjson.loads, result.stdout.splitlines())
    assert row["goes"].endswith("talk PJSIP/102 → end answered")
    assert row["would_go"] == "play greeting → ring PJSIP/101 → record leave-message → end no_answer"


def test_a_ledger_that_does_not_say_what_happened_is_not_followed_to_the_end(tmp_path: Path) -> None:
    bare = {key: CALLS[0][key] for key in ("call_id", "did", "caller", "began")}
    assert what_if(tmp_path, [bare]).exit_code == 0
    refused = what_if(tmp_path, [bare], "--to-the-end")
    assert refused.exit_code == 2
    assert "ledger.jsonl:1: " in refused.stderr


def test_a_walk_changes_nothing_and_is_equal_to_one_that_does_the_same() -> None:
    engine = Engine.load(LISTS)
    known = {"digits": ["2"], "phones": {"PJSIP/103": "answered"}}
    walks = {engine.walk(DID, caller, NOON_MS, known) for caller in ("89161230099", "84951230000", None)}
    (walk,) = walks
    assert [action["type"] for action in walk.actions] == ["play", "menu", "ring", "talk", "end"]
    assert walk.path == [
        ("main", "known", "else"),
        ("main", "hello", "done"),
        ("main", "hours", "open"),
        ("main", "menu", "service"),
    ]
    assert engine.walk(DID, "8 916 123-00-50", NOON_MS, known) not in walks
    assert engine.claims(NOON_MS) == []


@pytest.mark.parametrize("unfit", [{"pressed": []}, {"phones": {"PJSIP/101": "asleep"}}, {"patience_ms": -1}, "none"])
def test_what_are_no_outcomes_is_refused(unfit: Any) -> None:
    with pytest.raises(ValueError, match="no outcomes"):
        Engine.load(OFFICE).walk(DID, None, NOON_MS, unfit)

"""`kommutator what-if`, and decisions by columns, on the example companies."""

from __future__ import annotations

import itertools
import shutil
import threading
from array import array
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import orjson
import pytest
from click.testing import CliRunner, Result

from kommutator import Engine
from kommutator.cli import main

SCENARIOS: Final = Path(__file__).parents[1] / "scenarios"
LISTS: Final = SCENARIOS / "2-list-and-menu/company.yaml"
NOON: Final = datetime.fromisoformat("2026-11-18T12:00:00+03:00")
NOON_MS: Final = round(NOON.timestamp() * 1000)
DID: Final = "+74951112233"


def ledger(folder: Path) -> Path:
    """Three calls at noon, of which one is on the list, and one at night."""
    callers = [("89161230099", 0), ("8 916 123-00-50", 0), (None, 0), ("89161230099", 12)]
    lines = [
        orjson.dumps(
            {
                "call_id": f"call-{place}",
                "did": DID,
                "caller": caller,
                "began": NOON + timedelta(hours=hours),
                "trace": [],
            }
        )
        for place, (caller, hours) in enumerate(callers)
    ]
    path = folder / "ledger.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def what_if(company: Path, calls: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["what-if", str(company), "--ledger", str(calls), *arguments])


def test_it_tells_where_the_calls_of_a_ledger_go(tmp_path: Path) -> None:
    result = what_if(LISTS, ledger(tmp_path), "--json")
    assert result.exit_code == 0, result.output
    rows = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert [(row["calls"], row["goes"].split(" ")[0], row["example"]) for row in rows] == [
        (2, "main/menu:", "call-2"),
        (1, "main/delivery:", "call-1"),
        (1, "main/mailbox:", "call-3"),
    ]
    readable = what_if(LISTS, ledger(tmp_path))
    assert "main/menu: menu menu" in readable.stdout


def test_it_tells_which_calls_another_version_sends_elsewhere(tmp_path: Path) -> None:
    other = shutil.copytree(LISTS.parent, tmp_path / "other") / "company.yaml"
    other.write_text(LISTS.read_text().replace("+79161230050", "+79990000000"))
    result = what_if(LISTS, ledger(tmp_path), "--against", str(other), "--json")
    assert result.exit_code == 0, result.output
    (row,) = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert (row["calls"], row["example"]) == (1, "call-1")
    assert (row["goes"].split(":")[0], row["would_go"]) == ("main/delivery", "main/menu: menu menu")
    assert "1 of 4 calls would go otherwise" in what_if(LISTS, ledger(tmp_path), "--against", str(other)).stdout


@pytest.mark.parametrize(
    "line", ["{}", "no json", '{"call_id": "1", "did": "1", "caller": null, "began": "2026-11-18T12:00"}']
)
def test_a_ledger_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(line + "\n")
    result = what_if(LISTS, path)
    assert result.exit_code == 2
    assert f"{path}:1: " in result.stderr


def test_columns_and_single_decisions_say_the_same_and_change_nothing() -> None:
    engine = Engine.load(LISTS)
    callers = ["89161230099", "8 916 123-00-50", None, "anonymous", "8 812 333-44-55"] * 500
    moments = [NOON_MS + 3_600_000 * place for place in range(len(callers))]
    dids = [DID] * len(callers)
    decisions, places = engine.decide_many(dids, callers, moments)
    assert len(places) == len(callers)
    assert sorted(set(places)) == list(range(len(decisions)))
    for place, caller, moment in zip(places, callers, moments, strict=True):
        one, row = engine.decide(DID, caller, moment), decisions[place]
        assert (one.path, one.scheme, one.node, one.owner, one.action) == (
            row.path,
            row.scheme,
            row.node,
            row.owner,
            row.action,
        )
    assert engine.claims(NOON_MS) == []
    assert decisions[places[1]].path == [("main", "known", "match")]
    assert decisions[places[1]].action["type"] == "ring"


def test_columns_of_different_lengths_and_kinds_are_refused() -> None:
    engine = Engine.load(LISTS)
    with pytest.raises(ValueError, match="different lengths"):
        engine.decide_many([DID], [], [NOON_MS])
    with pytest.raises(TypeError):
        engine.decide_many([None], [None], [NOON_MS])  # type: ignore[arg-type, list-item]
    with pytest.raises(TypeError):
        engine.decide_many([DID], [None], ["noon"])  # type: ignore[arg-type, list-item]
    assert engine.decide_many([], [], [])[0] == []


def test_a_column_may_be_a_buffer() -> None:
    engine = Engine.load(LISTS)
    callers = ["+79161230099", "+79161230050", None, "+78123334455", "+14155552671"] * 300
    moments = [NOON_MS + 3_600_000 * place for place in range(len(callers))]
    decisions, places = engine.decide_many([DID] * len(callers), callers, moments)
    texts = "".join(caller or "" for caller in callers).encode()
    ends = list(itertools.accumulate((len(caller or "") for caller in callers), initial=0))
    moments_ms = array("q", moments)
    digits = array("q", (int((caller or "0").removeprefix("+")) for caller in callers))
    forms: list[array[int] | tuple[bytes | bytearray, array[int]] | list[str | None]] = [
        callers,
        digits,
        (texts, array("i", ends)),
        (bytearray(texts), array("q", ends)),
    ]
    for form in forms:
        also, also_places = engine.decide_many(DID, form, moments_ms)
        assert [decision.path for decision in also] == [decision.path for decision in decisions]
        assert also_places == places
    assert (places.format, places.itemsize, len(decisions)) == ("I", 4, 3)
    for nothing in (array("q"), (b"", array("i")), (b"", array("i", [0]))):
        assert engine.decide_many(DID, nothing, array("q"))[0] == []
    assert len(engine.decide_many(DID, (b"", array("i", [0, 0])), moments_ms[:1])[1]) == 1


def test_calls_of_several_numbers_are_decided_in_their_places() -> None:
    engine = Engine.load(LISTS)
    dids = [DID, "+74990000000", "8 495 111-22-33", "anonymous"] * 400
    callers: list[str | None] = ["89161230050", "89161230099", None] * 533 + ["84951234567"]
    decisions, places = engine.decide_many(dids, callers, array("q", [NOON_MS] * len(dids)))
    told = {(did, caller): engine.decide(did, caller, NOON_MS) for did in set(dids) for caller in set(callers)}
    for did, caller, place in zip(dids, callers, places, strict=True):
        one, row = told[did, caller], decisions[place]
        assert (one.path, one.scheme, one.action) == (row.path, row.scheme, row.action)


def test_buffers_that_are_no_columns_are_refused() -> None:
    engine = Engine.load(LISTS)
    moments = array("q", [NOON_MS] * 2)
    texts = b"8916123009989161230050"
    assert len(engine.decide_many(DID, (texts, array("i", [0, 11, 22])), moments)[1]) == 2
    for offsets in ([0, 11, 23], [11, 0, 22], [0, -1, 22], [0, 1 << 40, 22]):
        with pytest.raises(ValueError, match="offsets"):
            engine.decide_many(DID, (texts, array("q", offsets)), moments)
    with pytest.raises(ValueError, match="UTF-8"):
        engine.decide_many(DID, (b"\xff" + texts[1:], array("i", [0, 11, 22])), moments)
    with pytest.raises(ValueError, match="different lengths"):
        engine.decide_many(DID, (texts, array("i", [])), moments)
    for callers in (array("d", [0.0, 0.0]), memoryview(array("q", [0] * 4))[::2]):
        with pytest.raises(BufferError):
            engine.decide_many(DID, callers, moments)
    for callers in ("89161230099", 7, (texts,)):  # type: ignore[assignment]
        with pytest.raises((TypeError, ValueError)):
            engine.decide_many(DID, callers, moments)


def test_live_calls_go_on_while_a_column_is_decided() -> None:
    engine = Engine.load(LISTS)
    calls = 300_000
    asked = threading.Event()

    def ask() -> None:
        asked.set()
        decisions, places = engine.decide_many([DID] * calls, ["89161230099"] * calls, [NOON_MS] * calls)
        assert (len(decisions), len(places)) == (1, calls)

    thread = threading.Thread(target=ask)
    thread.start()
    assert asked.wait(30)
    for call in range(100):
        assert engine.arrive(f"call-{call}", DID, "8 916 123-00-50", NOON_MS).action.type in ("ring", "wait", "play")
    thread.join(60)
    assert not thread.is_alive()

"""When calls come, by whom and to which number: settled by the seed, however many generators make them."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from kommutator.load.arrivals import Call, Callers, Replay, Steady, calls, expected, moments

CALLERS = Callers(("+74951112201", "+74951112202"), ("+79", "+4930", "withheld"))


@pytest.mark.parametrize("arrivals", [Steady(200, 200, 5), Steady(0, 400, 5), Steady(400, 0, 5, even=True)])
@pytest.mark.parametrize("generators", [1, 3])
def test_generators_share_what_one_would_make(arrivals: Steady, generators: int) -> None:
    alone = list(calls(arrivals, CALLERS, 7))
    shared = [call for place in range(generators) for call in calls(arrivals, CALLERS, 7, place, generators)]
    assert sorted(shared, key=lambda call: call.number) == alone
    assert [call.due_s for call in alone] == sorted(call.due_s for call in alone)
    assert list(calls(arrivals, CALLERS, 8)) != alone


def test_even_calls_come_as_their_rate_says() -> None:
    assert list(moments(Steady(4, 4, 1, even=True), 1)) == [0, 0.25, 0.5, 0.75]
    # 0 to 8 a second in 2 s: after t seconds 2·t² calls are expected
    assert list(moments(Steady(0, 8, 2, even=True), 1)) == pytest.approx([(n / 2) ** 0.5 for n in range(8)])
    falling = list(moments(Steady(8, 0, 2, even=True), 1))
    assert falling == pytest.approx([2 - ((8 - n) / 2) ** 0.5 for n in range(8)])


def test_calls_by_chance_are_poisson() -> None:
    drawn = list(moments(Steady(1000, 1000, 20), 3))
    distances = [after - before for before, after in pairwise(drawn)]
    mean = sum(distances) / len(distances)
    spread = sum((each - mean) ** 2 for each in distances) / len(distances)
    assert mean == pytest.approx(0.001, rel=0.03)
    assert spread == pytest.approx(mean**2, rel=0.06), "of an exponential distribution the deviation is the mean"
    ramp = Steady(500, 1500, 20)
    first = sum(each < 10 for each in moments(ramp, 3))
    assert first == pytest.approx(7500, abs=350)
    assert expected(ramp) == (20_000, 20)


def test_numbers_are_drawn_evenly_and_to_their_length() -> None:
    made = list(calls(Steady(3000, 3000, 2), CALLERS, 1))
    begins = Counter("withheld" if each.caller is None else each.caller[:3] for each in made)
    assert begins.keys() == {"withheld", "+79", "+49"}
    assert min(begins.values()) > 0.3 * len(made)
    assert {len(each.caller) for each in made if each.caller} == {12}
    assert min(Counter(each.did for each in made).values()) > 0.45 * len(made)
    assert len({each.caller for each in made if each.caller and each.caller.startswith("+79")}) > 0.3 * len(made)


def test_a_ledger_is_replayed_in_the_order_in_which_calls_began(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    lines = [
        {"did": "2", "caller": None, "began": "2026-11-18T09:00:10.500Z", "legs": []},
        {"did": "1", "caller": "+79161230099", "began": "2026-11-18T12:00:00+03:00", "legs": []},
    ]
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    begun_ms = 1_794_992_400_000
    assert list(calls(Replay(str(ledger), 2.0), CALLERS, 1)) == [
        Call(0, 0.0, "1", "+79161230099", begun_ms),
        Call(1, 5.25, "2", None, begun_ms + 10_500),
    ]
    assert expected(Replay(str(ledger), 2.0)) == (2, 5.25)
    assert [call.did for call in calls(Replay(str(ledger), 2.0, for_s=5), CALLERS, 1)] == ["1"]

"""Figures of a run: of the distribution that was recorded, whoever counted it and in how many parts."""

from __future__ import annotations

import math
from random import Random

import pytest

from kommutator.load.outcome import of_events
from kommutator.load.page import page
from kommutator.load.report import distributions, figures, warning
from kommutator.load.result import Report, Result, to_json
from kommutator.load.tally import EXAMPLES, Example, Tally


def test_percentiles_are_those_of_all_values_to_three_digits() -> None:
    chance = Random(5)
    latencies = [chance.lognormvariate(-6, 1.5) for _ in range(40_000)]
    result = Result(0.5, 2, checked=True)
    tallies = [Tally(0.5), Tally(0.5)]
    for number, each in enumerate(latencies):
        tallies[number % 2].answer(number / 4000, 0.0001, 0.0001, each + 0.0001, ())
        if number % 7919 == 0:
            for place, tally in enumerate(tallies):
                result.add(place, tally.take(0, 1.0))
    for place, tally in enumerate(tallies):
        result.add(place, tally.take(0, 1.5))
    report = result.report(None)
    assert (report.calls, report.answered, report.generator_s, report.seconds) == (40_000, 40_000, 3.0, 10.0)
    assert report.latency is not None
    ordered = sorted(each + 0.0001 for each in latencies)
    for name, value in report.latency.percentiles.items():
        exact = ordered[math.ceil(float(name) / 100 * 40_000) - 1] * 1000
        assert value == pytest.approx(exact, rel=0.01, abs=0.002), name
    assert report.latency.most == pytest.approx(ordered[-1] * 1000, rel=0.002)
    assert [each.due for each in report.moments if each.due] == [2000] * 20
    for moment, first in zip(report.moments, range(0, 40_000, 2000), strict=False):
        exact = sorted(each + 0.0001 for each in latencies[first : first + 2000])[1000] * 1000
        assert moment.p50_ms == pytest.approx(exact, rel=0.05)


def report_of(*, wrong: int = 0, errors: int = 0, late_s: float = 0.0, sent_s: float = 0.0) -> Report:
    tally = Tally(0.5)
    for number in range(100):
        due_s = number / 50
        tally.answer(due_s, late_s, late_s + sent_s, late_s + sent_s + 0.001, ())
        if number < wrong:
            tally.wrong(due_s)
            if tally.wants("wrong"):
                tally.show(Example("wrong", number, "1", None, 0, "said <b>this</b>"))
        if number < errors:
            tally.error(due_s, 0.0, "http 503")
    result = Result(0.5, 1, checked=True)
    result.add(0, tally.take(0, 0.1))
    return result.report(None)


def test_what_became_of_calls_is_told_the_most_frequent_first() -> None:
    tallies = [Tally(0.5), Tally(0.5)]
    result = Result(0.5, 2, checked=False)
    for number, name in enumerate(["answered", "refused: busy", "answered", "voicemail", "answered"]):
        tally = tallies[number % 2]
        tally.answer(number, 0.0, 0.0, 0.001, ())
        tally.outcome(number, name)
        result.add(number % 2, tally.take(0, 0.1))
    report = result.report(None)
    assert list(report.outcomes.items()) == [("answered", 3), ("refused: busy", 1), ("voicemail", 1)]
    assert to_json(report)["outcomes"]["answered"] == 3
    assert ("outcome: answered", "3: 60%") in figures(report)
    assert "outcome: refused: busy" in page("t", "about", report)


@pytest.mark.parametrize(
    ("actions", "events", "outcome"),
    [
        ([{"type": "ring"}, {"type": "talk"}, {"type": "end"}], ["answered", "conversation_ended"], "answered"),
        ([{"type": "transfer"}, {"type": "end"}], ["transferred"], "given away"),
        ([{"type": "record"}, {"type": "hang_up", "cause": "normal"}], ["recorded"], "voicemail"),
        ([{"type": "ring"}, {"type": "end"}], ["caller_hung_up"], "abandoned"),
        ([{"type": "ring"}, {"type": "hang_up", "cause": "busy"}], ["busy", "hung_up"], "refused: busy"),
        ([{"type": "play"}, {"type": "hang_up", "cause": "normal"}], ["played", "hung_up"], "hung up by us"),
        ([{"type": "hang_up", "cause": "busy", "prompt": "sorry"}], ["hung_up"], "hung up by us"),
    ],
)
def test_an_outcome_is_what_the_caller_has_come_to(
    actions: list[dict[str, str]], events: list[str], outcome: str
) -> None:
    assert of_events(actions, [{"type": each, "seconds": 2.0} for each in events]) == outcome


def test_failed_calls_are_a_share_of_those_that_ended() -> None:
    report = report_of(wrong=10, errors=25)
    assert (report.answered, report.errors, report.wrong, report.calls) == (100, {"http 503": 25}, 10, 125)
    assert report.share_failed == pytest.approx(35 / 125)
    assert len(report.examples) == EXAMPLES
    assert ("error: http 503", "25") in figures(report)
    told = page("t", "about", report)
    assert "said &lt;b&gt;this&lt;/b&gt;" in told
    assert told.count("<svg") == 4


def test_what_a_waiting_client_would_see_is_told_where_it_differs() -> None:
    assert [name for name, _ in distributions(report_of())] == [
        "latency, from when a call was due",
        "the generator turned to it late by",
    ]
    waited = report_of(sent_s=0.5)
    assert [name for name, _ in distributions(waited)][1] == "from when it was asked"
    assert warning(waited) is None


def test_a_late_generator_is_said() -> None:
    assert "the generator itself was late" in (warning(report_of(late_s=0.05)) or "")


def test_a_run_without_an_answer_has_a_report() -> None:
    tally = Tally(0.5)
    tally.error(0.1, 0.0, "refused")
    result = Result(0.5, 1, checked=False)
    result.add(0, tally.take(0, 0.1))
    report = result.report(None)
    assert (report.latency, report.share_failed) == (None, 1.0)
    assert "<svg" in page("t", "about", report)
    nothing = Result(0.5, 1, checked=False).report(None)
    assert (nothing.calls, nothing.share_failed) == (0, 0.0)
    assert "<svg" not in page("t", "about", nothing)

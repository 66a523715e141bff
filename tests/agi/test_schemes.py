"""The schemes as real calls by FastAGI: their scenarios come to the same as by ARI, but that phones ring anew each round."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.scenario_files import Scenario
from tests.telephony.placed import Placed, place
from tests.telephony.test_schemes import (
    PLACED,
    _length_s,
    check_effects,
    check_message,
    check_phones,
    check_ringing_ends_with_the_caller,
)

from .house import AgiAsterisk

pytestmark = pytest.mark.telephony

_CHOSEN = (
    "open/wait/answered",
    "open/wait/abandoned",
    "closed/message",
    "unallocated",
    "menu/invalid-then-right",
    "repeat/extension/answered",
    "north-west/unavailable",
    "branch/transferred",
    "branch/failed",
    "steps/2/answered",
    "line/wait/answered",
)
"""Branches that between them have every action, and every end of a ring."""
_SCENARIOS = [next(scenario for scenario in PLACED if scenario.data["branch"] == branch) for branch in _CHOSEN]
_AT_ONCE = 4


@pytest.fixture(scope="module")
def placed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[Placed]]]:
    """The calls, all begun, by the scenarios' ids."""
    idle: queue.SimpleQueue[AgiAsterisk] = queue.SimpleQueue()
    tmp_path_factory.getbasetemp()  # it is made at the first asking, which must not be by two threads at once

    def placed_somewhere(scenario: Scenario) -> Placed:
        asterisk = idle.get()
        try:
            return place(scenario, asterisk, tmp_path_factory.mktemp("call"))
        finally:
            idle.put(asterisk)

    with ExitStack() as stack:
        for _ in range(_AT_ONCE):
            asterisk = AgiAsterisk()
            stack.callback(_end, asterisk, request)
            asterisk.start()
            idle.put(asterisk)
        pool = stack.enter_context(ThreadPoolExecutor(_AT_ONCE))
        stack.callback(pool.shutdown, cancel_futures=True)
        ordered = sorted(_SCENARIOS, key=_length_s, reverse=True)
        yield {scenario.id: pool.submit(placed_somewhere, scenario) for scenario in ordered}


def _end(asterisk: AgiAsterisk, request: pytest.FixtureRequest) -> None:
    asterisk.close(keep=request.session.testsfailed > 0)


@pytest.mark.parametrize("scenario", _SCENARIOS, ids=lambda scenario: scenario.id)
def test_call_goes_as_the_scenario_says(scenario: Scenario, placed: dict[str, Future[Placed]]) -> None:
    call = placed[scenario.id].result()
    assert len(call.lines) == 1, "a call has exactly one line in the ledger"
    end = scenario.steps[-1]["expect"]
    told = f"{call.ledger}\n{call.proof().summary()}"
    assert [[step["node"], step["exit"]] for step in call.ledger["trace"]] == scenario.expected_trace(), told
    assert (call.ledger["disposition"], call.ledger["fault"]) == (end["disposition"], end["fault"]), told
    assert call.proof().disagreement() is None, told
    check_effects(call)
    if len(call.ledger["rounds"]) <= 1:
        check_phones(call)
    check_ringing_ends_with_the_caller(call)
    check_message(call)
    assert call.left == [], "a channel is left in Asterisk"

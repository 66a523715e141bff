"""Batches of the engine, and an engine that several threads share."""

import threading
from pathlib import Path
from typing import Final

import pytest

from kommutator import Engine
from kommutator._engine import Event, Turn
from kommutator.errors import BadCallId, BadEvent, BadState, UnexpectedEvent

SCHEME: Final = Path(__file__).parent / "scenarios/2-list-and-menu/company.json"
NOON_MS: Final = 1_795_078_800_000
PLAYED: Final = Event({"type": "played"})


def engine() -> Engine:
    return Engine(SCHEME.read_bytes())


def arrivals(count: int, name: str = "call") -> list[tuple[str, str, str | None, int]]:
    return [(f"{name}-{number}", "+74951112233", "89161230099", NOON_MS) for number in range(count)]


def test_a_batch_answers_as_single_steps_do() -> None:
    batch, single = engine(), engine()
    greetings = batch.arrive_many(arrivals(3))
    alone = [single.arrive(*arrival) for arrival in arrivals(3)]
    assert [turn.to_dict() for turn in greetings] == [turn.to_dict() for turn in alone]

    menus = batch.handle_many([(turn.state, PLAYED, NOON_MS) for turn in greetings])
    expected = [single.handle(turn.state, {"type": "played"}, NOON_MS) for turn in alone]
    assert [turn.to_dict() for turn in menus if isinstance(turn, Turn)] == [turn.to_dict() for turn in expected]


def test_a_refused_step_stands_in_its_place_and_hinders_no_other() -> None:
    shared = engine()
    one, two = shared.arrive_many(arrivals(2))
    answers = shared.handle_many(
        [
            (one.state, {"type": "hung_up"}, NOON_MS),
            (b"not a state", PLAYED, NOON_MS),
            ("*", PLAYED, NOON_MS),
            (one.state, {"type": "no such event"}, NOON_MS),
            (two.state_text, {"type": "played"}, NOON_MS),
        ]
    )
    assert [type(answer) for answer in answers] == [UnexpectedEvent, BadState, BadState, BadEvent, Turn]
    assert isinstance(answers[4], Turn)
    assert answers[4].action.type == "menu"


def test_a_batch_with_a_bad_call_id_changes_nothing() -> None:
    shared = engine()
    shared.owner_is("89161230099", "anna")
    with pytest.raises(BadCallId):
        shared.arrive_many([*arrivals(2), ("", "+74951112233", None, NOON_MS)])
    with pytest.raises(BadCallId):
        shared.arrive_many([("x" * 65, "+74951112233", None, NOON_MS)])
    assert shared.claims(NOON_MS) == []


def test_threads_share_an_engine() -> None:
    """Each thread's calls go their way whatever the others do at the moment."""
    shared = engine()
    finished: list[str] = []

    def work(name: str) -> None:
        for _ in range(20):
            turns = shared.handle_many(
                [(turn.state, PLAYED, NOON_MS) for turn in shared.arrive_many(arrivals(50, name))]
            )
            assert [turn.action.type for turn in turns if isinstance(turn, Turn)] == ["menu"] * 50
            assert shared.arrive(f"{name}-alone", "+74951112233", None, NOON_MS).action.type == "play"
        finished.append(name)

    threads = [threading.Thread(target=work, args=(f"thread-{number}",), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sorted(finished) == [f"thread-{number}" for number in range(4)]

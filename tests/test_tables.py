"""Tables of owners and callers, made aside and swapped into an engine that goes on."""

import pytest

from kommutator import Engine
from kommutator._engine import CallerTable, OwnerTable
from kommutator.company import load
from kommutator.errors import BadNumber
from tests.scenario_files import folders

NOW_MS = 1_795_165_200_000
"""A Wednesday noon in Moscow."""
CALLER, STRANGER = "+79161230099", "+79161230098"


def engine_of(scenario: str) -> tuple[Engine, str]:
    """The engine of a scenario, and a number of ours that its calls come to."""
    company = load(next(folder for folder in folders() if folder.name.startswith(scenario)) / "company.yaml")
    return Engine.of(company), next(iter(company.document["numbers"]))


def history(engine: Engine, did: str, caller: str) -> str:
    """What a call does after the greeting: `menu` for who has called, `ring` for who has not, `find_history` to ask."""
    turn = engine.arrive(f"call of {caller}", did, caller, NOW_MS)
    answer = engine.handle(turn.state, {"type": "played"}, NOW_MS)
    engine.handle(answer.state, {"type": "caller_hung_up"}, NOW_MS)
    return answer.action.type


def test_a_complete_table_of_callers_answers_without_asking_and_a_gap_makes_it_ask() -> None:
    engine, did = engine_of("3-")
    assert history(engine, did, CALLER) == "find_history"
    table = CallerTable(room=2)
    assert table.read(f"{CALLER}\t{NOW_MS - 1000}\n+74951234567\t5\n".encode()) == 2
    table.complete()
    assert table.is_complete and len(table) == 2 and table.size > 0
    engine.swap_callers(table)
    assert (len(table), table.is_complete) == (0, False), "the table of before, which knew nobody"
    assert history(engine, did, CALLER) == "menu"
    assert history(engine, did, STRANGER) == "ring"
    engine.missed_calls(NOW_MS)
    assert history(engine, did, CALLER) == "menu"
    assert history(engine, did, STRANGER) == "find_history"


def test_a_table_of_owners_is_what_was_told_until_something_else_is() -> None:
    engine, did = engine_of("7-")

    def asked(caller: str) -> bool:
        return engine.arrive(f"call of {caller}", did, caller, NOW_MS).action.type == "find_owner"

    assert asked(CALLER)
    table = OwnerTable()
    assert table.read(f"{CALLER}\tnobody-we-have\n".encode()) == 1
    assert table.complete() and table.is_complete
    engine.swap_owners(table)
    assert not asked(CALLER) and not asked(STRANGER)
    engine.forget_owner(STRANGER)
    assert asked(STRANGER) and not asked(CALLER)
    engine.owner_is(STRANGER, None)
    assert not asked(STRANGER)
    engine.swap_owners(table)
    assert len(table) == 1 and asked(CALLER)
    table.clear()
    assert len(table) == 0


@pytest.mark.parametrize("page", [b"+7916\t1\nanna", b"+79161230099", b"+79161230099\tyesterday", b"\xff\t1"])
def test_a_line_that_is_none_is_refused(page: bytes) -> None:
    with pytest.raises(BadNumber, match="line 1 of the page"):
        CallerTable().read(page)

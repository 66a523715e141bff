"""Many calls at once on the simulated PBX: each ends once, nobody is rung for two, nobody stays claimed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kommutator import Engine
from kommutator.pbx.simulated.adapter import SimulatedLookups
from kommutator.pbx.simulated.behaviour import CallerAct, CallerScript, PhoneAct, PhoneScript
from kommutator.pbx.simulated.world import World
from kommutator.routing.ledger import FileJournal, MemoryJournal
from kommutator.routing.turn import Event
from kommutator.simulation import Arrival, Simulation, simulate
from tests.routing.played import company, ledger
from tests.scenario_files import folders, moment_ms

NOON_MS = moment_ms("2026-11-18T12:00:00+03:00")
FOLDERS = {folder.name: folder for folder in folders()}
DISPOSITIONS = {
    "answered", "transferred", "voicemail", "informed", "abandoned", "no_answer", "busy", "unavailable", "failed"
}  # fmt: skip


# --- whatever people do

STAGES = ["play", "menu", "ring", "ring", "wait", "record", "talk", "transfer", "hang_up"]
SECONDS = st.one_of(st.sampled_from([0.0, 1.0, 15.0, 25.0]), st.integers(0, 40_000).map(lambda ms: ms / 1000))
CALLER_ACTS = st.lists(
    st.builds(
        CallerAct,
        during=st.sampled_from(STAGES),
        press=st.text("0123456789*#", max_size=3),
        hang_up_after=st.none() | SECONDS,
        speak=SECONDS,
        end=st.sampled_from(["hash", "silence", "hang_up"]),
    ),
    max_size=6,
)
PHONE_ACTS = st.lists(
    st.builds(
        PhoneAct,
        does=st.sampled_from(["answer", "answer", "busy", "decline", "silent", "unreachable"]),
        after=SECONDS,
        talks=SECONDS,
    ),
    min_size=1,
    max_size=3,
)
CALLERS = ["89161230099", "+79161230077", "+79161230050", "+73432012345", "+493012345678", "101", None]


@st.composite
def situations(draw: st.DrawFn) -> dict[str, Any]:
    folder = FOLDERS[draw(st.sampled_from(sorted(FOLDERS)))]
    document = company(folder).document
    dids = [*document["numbers"], "+74957654320"]
    callers = st.tuples(st.sampled_from(dids), st.sampled_from(CALLERS), CALLER_ACTS, SECONDS)
    return {
        "folder": folder,
        "calls": draw(st.lists(callers, min_size=1, max_size=8)),
        "phones": draw(st.dictionaries(st.sampled_from(endpoints_of(document)), PHONE_ACTS)),
        "presence": draw(
            st.dictionaries(st.sampled_from(sorted(document["employees"])), st.sampled_from(["away", "offline"]))
        ),
        "owner": draw(st.sampled_from([None, "fails", *document["employees"]])),
        "history": draw(st.sampled_from(["called_before", "never_called", "fails"])),
        "hour": draw(st.integers(0, 23)),
    }


@given(situations())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
def test_whatever_people_do_each_call_ends_once_and_nobody_is_rung_twice(situation: dict[str, Any]) -> None:
    loaded = company(situation["folder"])
    engine, journal = Engine.of(loaded), MemoryJournal()
    phones = {endpoint: PhoneScript(acts) for endpoint, acts in situation["phones"].items()}
    simulation = Simulation(loaded.document, NOON_MS + 3_600_000 * situation["hour"], phones)
    arrivals = [
        Arrival(f"call-{place}", did, caller, CallerScript(acts), after_s)
        for place, (did, caller, acts, after_s) in enumerate(situation["calls"])
    ]
    lookups = SimulatedLookups({"owner": situation["owner"], "history": situation["history"]})
    simulate(simulation, engine, journal, arrivals, lookups, situation["presence"])
    assert_all_well(simulation, engine, journal.lines, loaded.document, [arrival.call_id for arrival in arrivals])
    for line in journal.lines:
        assert line["disposition"] != "failed" or line["fault"] == "caller", line


# --- a rush


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_two_hundred_calls_at_once(name: str, tmp_path: Path) -> None:
    loaded = company(FOLDERS[name])
    engine, journal = Engine.of(loaded), FileJournal(tmp_path)
    chance = random.Random(name)
    phones = {endpoint: PhoneScript(_phone_acts(chance)) for endpoint in endpoints_of(loaded.document)}
    dids = list(loaded.document["numbers"])
    arrivals = [
        Arrival(
            f"call-{place}",
            chance.choice(dids),
            chance.choice(CALLERS),
            CallerScript(_caller_acts(chance)),
            chance.uniform(0, 20),
        )
        for place in range(200)
    ]
    simulation = Simulation(loaded.document, NOON_MS, phones)
    simulate(simulation, engine, journal, arrivals, SimulatedLookups({"owner": None, "history": "called_before"}))
    journal.close()
    lines = ledger(tmp_path)
    assert_all_well(simulation, engine, lines, loaded.document, [arrival.call_id for arrival in arrivals])
    assert len({line["disposition"] for line in lines}) >= 3, "the calls were not mixed"


def _caller_acts(chance: random.Random) -> list[CallerAct]:
    acts = [CallerAct("play"), CallerAct("menu", press=chance.choice("12379"))]
    if chance.random() < 0.3:
        acts.append(CallerAct(chance.choice(["ring", "wait", "play"]), hang_up_after=chance.uniform(0, 20)))
    acts.append(CallerAct("record", speak=chance.uniform(0, 30), end=chance.choice(["hash", "silence", "hang_up"])))
    return acts[chance.randrange(len(acts)) :]


def _phone_acts(chance: random.Random) -> list[PhoneAct]:
    return [
        PhoneAct(
            chance.choice(["answer", "answer", "busy", "decline", "silent"]),
            chance.uniform(0, 12),
            chance.uniform(1, 60),
        )
        for _ in range(50)
    ]


# --- who waits

LONE_PHONE = """
company: {name: Один телефон, timezone: Europe/Moscow, country: RU, language: ru}
employees:
  anna: {name: Анна Смирнова, department: sales, rank: 1, endpoint: PJSIP/101}
departments: {sales: {name: Отдел продаж}}
prompts: {leave-message: {say: "Оставьте сообщение.", seconds: 3}}
numbers: {"+74951112233": {scheme: main}}
schemes:
  main:
    start: team
    responsible: sales
    nodes:
      team:    {kind: ring, ring: [{department: sales}], seconds: 120, exits: {no_answer: mailbox}}
      mailbox: {kind: voicemail, prompt: leave-message, seconds: 30, exits: {done: bye}}
      bye:     {kind: hangup}
"""


def test_whoever_waits_longest_is_rung_first(tmp_path: Path) -> None:
    (tmp_path / "company.yaml").write_text(LONE_PHONE, encoding="utf-8")
    loaded = company(tmp_path)
    engine, journal = Engine.of(loaded), MemoryJournal()
    impatient = [CallerAct("ring", hang_up_after=10)]
    arrivals = [
        Arrival(name, "+74951112233", "89161230099", CallerScript(impatient), after_s)
        for name, after_s in (("third", 3.0), ("first", 0.0), ("fourth", 4.0), ("second", 1.5))
    ]
    simulation = Simulation(loaded.document, NOON_MS)
    simulate(simulation, engine, journal, arrivals)
    rung = [(leg.call_id, (leg.began_ms - NOON_MS) / 1000) for leg in simulation.world.legs]
    assert rung == [("first", 0), ("second", 10), ("third", 20), ("fourth", 30)]
    assert {line["disposition"] for line in journal.lines} == {"abandoned"}
    assert_all_well(simulation, engine, journal.lines, loaded.document, ["first", "second", "third", "fourth"])


# --- a failure of ours


class FailingFor:
    """Lookups with a defect that shows for one caller."""

    def __init__(self, caller: str) -> None:
        self._caller = caller

    async def owner(self, caller: str) -> Event:
        await trio.lowlevel.checkpoint()
        if caller == self._caller:
            raise RuntimeError("a defect")
        return {"type": "owner", "employee": "anna"}

    async def history(self, caller: str, days: int | None) -> Event:
        await trio.lowlevel.checkpoint()
        return {"type": "never_called"}


def test_a_call_that_fails_in_our_code_fails_alone_and_leaves_its_effects() -> None:
    loaded = company(FOLDERS["7-owner-first"])
    engine, journal = Engine.of(loaded), MemoryJournal()
    phones = {"PJSIP/101": PhoneScript([PhoneAct("answer", 2, 5)])}
    simulation = Simulation(loaded.document, NOON_MS, phones)
    arrivals = [
        Arrival("good-1", "+74951112233", "89161230001"),
        Arrival("bad", "+74951112233", "89161230099", after_s=1),
        Arrival("good-2", "+74951112233", "89161230002", after_s=20),
    ]
    simulate(simulation, engine, journal, arrivals, FailingFor("+79161230099"))
    ended = {line["call_id"]: (line["disposition"], line["fault"]) for line in journal.lines}
    assert ended == {"good-1": ("answered", "none"), "bad": ("failed", "ours"), "good-2": ("answered", "none")}
    (bad,) = [line for line in journal.lines if line["call_id"] == "bad"]
    assert [effect["type"] for effect in bad["effects"]] == ["task", "missed_call"]
    assert_all_well(simulation, engine, journal.lines, loaded.document, ["good-1", "bad", "good-2"])


# --- what must hold


def assert_all_well(
    simulation: Simulation,
    engine: Engine,
    lines: Sequence[dict[str, Any]],
    document: dict[str, Any],
    call_ids: Sequence[str],
) -> None:
    world = simulation.world
    assert Counter(line["call_id"] for line in lines) == Counter(call_ids)
    assert {line["disposition"] for line in lines} <= DISPOSITIONS
    assert engine.claims(simulation.agenda.now_ms()) == []
    assert world.quiet
    assert_nobody_is_rung_twice(world, document)
    assert_nobody_is_rung_after_the_caller_has_gone(world)
    assert_the_first_to_answer_silences_the_others(world)
    assert_the_ledger_agrees_with_the_phones(world, lines)


def assert_nobody_is_rung_twice(world: World, document: dict[str, Any]) -> None:
    for employee, card in document["employees"].items():
        phones = {card.get("endpoint"), card.get("mobile")} - {None}
        legs = [leg for leg in world.legs if leg.endpoint in phones and leg.rang]
        for before, after in combinations(legs, 2):
            assert before.ended_ms is not None
            apart = before.call_id == after.call_id or before.ended_ms <= after.began_ms
            assert apart, (employee, before, after)


def assert_nobody_is_rung_after_the_caller_has_gone(world: World) -> None:
    gone = {channel.call_id: channel.gone_ms for channel in world.past}
    for leg in world.legs:
        at_ms = gone[leg.call_id]
        assert at_ms is not None
        assert leg.ended_ms is not None
        assert leg.began_ms <= at_ms, leg
        assert leg.ended_ms <= at_ms, leg


def assert_the_first_to_answer_silences_the_others(world: World) -> None:
    answered = {leg.call_id: leg.answered_ms for leg in world.legs if leg.answered_ms is not None}
    for leg in world.legs:
        at_ms = answered.get(leg.call_id)
        if at_ms is not None and leg.answered_ms is None:
            assert leg.ended_ms is not None
            assert leg.ended_ms <= at_ms, leg


def assert_the_ledger_agrees_with_the_phones(world: World, lines: Sequence[dict[str, Any]]) -> None:
    talked = {leg.call_id for leg in world.legs if leg.outcome == "answered"}
    for line in lines:
        assert (line["disposition"] in ("answered", "transferred")) == (line["call_id"] in talked), line


def endpoints_of(document: dict[str, Any]) -> list[str]:
    """Every phone of a company."""
    found = {
        str(card[key]) for card in document["employees"].values() for key in ("endpoint", "mobile") if card.get(key)
    }
    return sorted(found | {"+74957654321", "+73512222222"})

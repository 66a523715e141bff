"""Queries that ring employees of other PBXs: what is asked before the answer leaves, and what follows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import trio

from kommutator.app.holders import Holders
from tests.query.server import CALLER, DID, NOW_MS, PATIENCE_S, Answers, Clock, engine_of, serving

pytestmark = pytest.mark.trio

OWNERS = {f"+7916123{number:04}": "anna" for number in range(3)} | {"+79161230099": "anna"}
ARRIVAL = {"did": DID, "caller": CALLER, "call_id": "call-1"}


class Routers:
    """Other routers, of which some employees cannot be had."""

    def __init__(self, taken: Collection[str] = ()) -> None:
        self.taken = taken
        self.asked: list[tuple[str, list[str]]] = []

    async def claim(self, call_id: str, employees: Iterable[str]) -> Mapping[str, Any]:
        """Who cannot."""
        self.asked.append((call_id, list(employees)))
        return {"type": "taken", "employees": [each for each in self.asked[-1][1] if each in self.taken]}


async def test_who_can_be_had_is_rung_after_owner_and_claim_were_asked() -> None:
    engine, routers = engine_of("7-owner-first"), Routers()
    engine.elsewhere(["anna"])
    async with serving(engine, lookups=Answers(OWNERS), claiming=routers) as serves:
        turn = await (await serves.client()).ask("/v1/calls", ARRIVAL)
    assert [each["employee"] for each in turn["action"]["endpoints"]] == ["anna"]
    assert routers.asked == [("call-1", ["anna"])]
    assert engine.claims(NOW_MS) == [("anna", "call-1", "ringing")]


async def test_who_cannot_be_had_is_taken_and_not_rung() -> None:
    engine, routers = engine_of("7-owner-first"), Routers(taken=("anna",))
    engine.elsewhere(["anna"])
    plain = engine_of("7-owner-first")
    asked = plain.arrive("call-1", DID, CALLER, NOW_MS)
    rings = plain.handle(asked.state, {"type": "owner", "employee": "anna"}, NOW_MS)
    after = plain.handle(rings.state, {"type": "taken", "employees": ["anna"]}, NOW_MS)
    async with serving(engine, lookups=Answers(OWNERS), claiming=routers) as serves:
        turn = await (await serves.client()).ask("/v1/calls", ARRIVAL)
    assert (turn["action"], turn["state"]) == (after.action.to_dict(), after.state_text)
    assert turn["trace"] == [*asked.trace, *rings.trace, *after.trace]


async def test_a_batch_asks_for_all_that_it_rings_and_each_call_has_its_own_answer() -> None:
    engine, routers = engine_of("7-owner-first"), Routers()
    engine.elsewhere(["anna"])
    callers = [caller.replace("+7", "8") for caller in OWNERS]
    async with serving(engine, lookups=Answers(OWNERS), claiming=routers) as serves:
        items = [{"did": DID, "caller": caller, "call_id": caller} for caller in callers]
        told = await (await serves.client()).ask("/v1/calls/batch", items)
    rung = [turn for turn in told if turn["action"]["type"] == "ring"]
    assert ["anna"] in [[each["employee"] for each in turn["action"]["endpoints"]] for turn in rung]
    assert routers.asked == [(callers[0], ["anna"])], "she is the first call's, and no other asks for her"


async def test_nobody_of_another_pbx_is_rung_where_nobody_can_be_asked() -> None:
    engine = engine_of("7-owner-first")
    engine.elsewhere(["anna"])
    async with serving(engine, lookups=Answers(OWNERS)) as serves:
        turn = await (await serves.client()).ask("/v1/calls", ARRIVAL)
    assert "anna" not in [each.get("employee") for each in turn["action"].get("endpoints", [])]


async def test_the_locks_of_a_routers_own_process_are_those_of_its_answering_processes(tmp_path: Path) -> None:
    claims = tmp_path / "claims"
    claims.touch()
    holders = Holders(claims)
    assert holders.hold(("anna", "boris")) == frozenset()

    async def rung(held: frozenset[str]) -> list[str]:
        async with serving(engine_of("7-owner-first"), lookups=Answers(OWNERS), claims=claims) as serves:
            turn = await (await serves.client()).ask("/v1/calls", ARRIVAL)
            assert holders.hold(("anna",)) == held
        return [each.get("employee") for each in turn["action"].get("endpoints", [])]

    assert "anna" not in await rung(frozenset())
    holders.keep_only(("boris",))
    assert await rung(frozenset({"anna"})) == ["anna"]


async def test_whom_another_process_lets_go_is_rung_although_the_round_in_which_he_was_taken_goes_on(
    tmp_path: Path,
) -> None:
    claims, clock = tmp_path / "claims", Clock()
    claims.touch()
    holders = Holders(claims)
    holders.hold(("anna",))
    async with serving(engine_of("7-owner-first"), lookups=Answers(OWNERS), clock=clock, claims=claims) as serves:
        client = await serves.client()
        turn = await client.ask("/v1/calls", ARRIVAL)
        assert turn["action"] == {"type": "wait", "music": None, "announce": None, "seconds": 20}
        clock.ms += 1_000
        again = await client.ask("/v1/calls/step", {"state": turn["state"], "event": {"type": "employee_free"}})
        assert again["action"]["type"] == "wait", "she is held still"
        holders.keep_only(())
        with trio.fail_after(PATIENCE_S):
            while again["action"]["type"] == "wait":
                await trio.sleep(0.01)
                clock.ms += 10
                assert clock.ms < NOW_MS + 20_000, "the round is over"
                again = await client.ask(
                    "/v1/calls/step", {"state": again["state"], "event": {"type": "employee_free"}}
                )
        assert [each["employee"] for each in again["action"]["endpoints"]] == ["anna"]
        assert holders.hold(("anna",)) == {"anna"}

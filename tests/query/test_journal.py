"""The calls of queries in the ledger: one line each, whatever their clients do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from kommutator.query.journal import QueryJournal

from .server import CALLER, DID, Client, Clock, engine_of, serving

pytestmark = pytest.mark.trio

SCHEME = "1-office-hours"
AT = "2026-11-18T12:00:00+03:00"
EVENTS = [
    {"type": "played"},
    {"type": "answered", "endpoint": "the last that rings"},
    {"type": "conversation_ended"},
]


class Kept:
    """A journal in a folder, as a process has it; `close` is its end."""

    def __init__(self, folder: Path, clock: Clock, forget_s: float = 600, most_live: int = 1_000) -> None:
        self._folder = folder
        self.journal = QueryJournal(folder, clock, forget_s=forget_s, most_live=most_live)
        self.close = self.journal.close

    def ledger(self) -> list[dict[str, Any]]:
        """Its lines."""
        self.journal.spool.finish()
        path = self._folder / "ledger.jsonl"
        return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


async def talk(client: Client, call_id: str, events: list[dict[str, Any]]) -> dict[str, Any]:
    """A call by these events; its last turn."""
    turn = await client.ask("/v1/calls", {"did": DID, "caller": CALLER, "call_id": call_id, "at": AT})
    for event in events:
        if event["type"] == "answered":
            event = {**event, "endpoint": turn["action"]["endpoints"][-1]["endpoint"]}
        turn = await client.ask("/v1/calls/step", {"state": turn["state"], "event": event, "at": AT})
    assert isinstance(turn, dict)
    return turn


async def test_every_call_that_ends_has_its_line_and_a_repeated_end_adds_nothing(tmp_path: Path) -> None:
    clock, engine = Clock(), engine_of(SCHEME)
    kept = Kept(tmp_path, clock)
    async with serving(engine, clock=clock, journal=kept.journal) as serves:
        client = await serves.client()
        assert (await talk(client, "call-1", EVENTS))["action"]["disposition"] == "answered"
        turn = await talk(client, "call-2", EVENTS[:2])
        end = {"state": turn["state"], "event": EVENTS[2], "at": AT}
        for _ in range(3):
            assert (await client.ask("/v1/calls/step", end))["action"]["type"] == "end"
        await talk(client, "call-3", EVENTS[:1])
        items = [{"did": DID, "caller": CALLER, "call_id": f"batch-{number}", "at": AT} for number in range(3)]
        turns = await client.ask("/v1/calls/batch", items)
        gone = [{"state": turn["state"], "event": {"type": "caller_hung_up"}, "at": AT} for turn in turns]
        await client.ask("/v1/calls/batch", gone)
    kept.close()
    ledger = {line["call_id"]: line for line in kept.ledger()}
    assert [line["call_id"] for line in kept.ledger()] == ["call-1", "call-2", "batch-0", "batch-1", "batch-2"]
    assert ledger["call-1"]["disposition"] == "answered"
    assert (ledger["call-1"]["did"], ledger["call-1"]["caller"]) == (DID, CALLER)
    assert [leg["outcome"] for leg in ledger["call-1"]["legs"]].count("answered") == 1
    assert {ledger[f"batch-{number}"]["disposition"] for number in range(3)} == {"abandoned"}
    assert kept.journal.live == 1


async def test_where_too_many_go_on_the_one_that_was_silent_for_longest_is_over(tmp_path: Path) -> None:
    clock, engine = Clock(), engine_of(SCHEME)
    kept = Kept(tmp_path, clock, most_live=2)
    async with serving(engine, clock=clock, journal=kept.journal) as serves:
        client = await serves.client()
        first = await talk(client, "call-1", [])
        await talk(client, "call-2", [])
        await client.ask("/v1/calls/step", {"state": first["state"], "event": EVENTS[0], "at": AT})
        await talk(client, "call-3", [])
        assert kept.journal.live == 2
        assert (await talk(client, "call-1b", EVENTS))["action"]["disposition"] == "answered"
    kept.close()
    assert [(line["call_id"], line["disposition"]) for line in kept.ledger()] == [
        ("call-2", "abandoned"),
        ("call-1", "abandoned"),
        ("call-1b", "answered"),
    ]


async def test_a_call_that_nobody_comes_back_for_ends_with_what_it_leaves_behind(tmp_path: Path) -> None:
    clock, engine = Clock(), engine_of(SCHEME)
    kept = Kept(tmp_path, clock, forget_s=600)
    async with serving(engine, clock=clock, journal=kept.journal) as serves:
        client = await serves.client()
        await talk(client, "talking", EVENTS[:2])
        ringing = await talk(client, "ringing", EVENTS[:1])
        clock.ms += 599_000
        await client.ask("/v1/calls/step", {"state": ringing["state"], "event": {"type": "no_answer"}, "at": AT})
        clock.ms += 1_000
        serves.server.look()
        assert [(line["call_id"], line["disposition"]) for line in kept.ledger()] == [("talking", "answered")]
        clock.ms += 600_000
        serves.server.look()
        late = await client.ask("/v1/calls/step", {"state": ringing["state"], "event": {"type": "no_answer"}})
        assert late["action"]["type"] != "end"
    kept.close()
    lines = {line["call_id"]: line for line in kept.ledger()}
    assert (lines["ringing"]["disposition"], lines["ringing"]["fault"]) == ("abandoned", "caller")
    assert "missed_call" in [effect["type"] for effect in lines["ringing"]["effects"]]
    assert kept.journal.live == 0


async def test_calls_go_on_over_a_restart_and_at_another_router(tmp_path: Path) -> None:
    clock, engine = Clock(), engine_of(SCHEME)
    first = Kept(tmp_path / "first", clock)
    async with serving(engine, clock=clock, journal=first.journal) as serves:
        client = await serves.client()
        stays = await talk(client, "stays", EVENTS[:2])
        moves = await talk(client, "moves", EVENTS[:2])
    first.close()
    again, other = Kept(tmp_path / "first", clock), Kept(tmp_path / "other", clock)
    for kept, state in ((again, stays["state"]), (other, moves["state"])):
        async with serving(engine, clock=clock, journal=kept.journal) as serves:
            client = await serves.client()
            await client.ask("/v1/calls/step", {"state": state, "event": EVENTS[2], "at": AT})
        kept.close()
    (stayed,) = again.ledger()
    (moved,) = other.ledger()
    assert (stayed["call_id"], stayed["disposition"]) == ("stays", "answered")
    assert [step["node"] for step in stayed["trace"]]
    assert (moved["call_id"], moved["did"], moved["caller"]) == ("moves", DID, "+79161230099")


async def test_a_number_whose_call_has_ended_has_called_before() -> None:
    engine = engine_of("3-first-or-repeat")
    async with serving(engine) as serves:
        client = await serves.client()
        first = await talk(client, "first", EVENTS[:1])
        assert first["action"]["type"] == "find_history"
        await client.ask("/v1/calls/step", {"state": first["state"], "event": {"type": "caller_hung_up"}, "at": AT})
        again = await talk(client, "second", EVENTS[:1])
        assert [(step["node"], step["exit"]) for step in again["trace"]][:2] == [("hello", "done"), ("who", "repeat")]

"""The ledger's writer: from real calls of the engine, through a real spool, to the same lines that the router writes.

Entries may come twice, late, torn into any batches, in any order between routers: the ledger is the same.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kommutator.crm import calls, clients, effects, lookups, missed, outbox, people, recordings, tasks
from kommutator.crm.ledger import Ledger
from kommutator.crm.pool import Database
from kommutator.engine import Engine
from kommutator.errors import BadEntry
from kommutator.routing import entries
from kommutator.routing.ledger import FileJournal
from kommutator.routing.turn import End, Turn

pytestmark = pytest.mark.anyio

SCENARIOS = Path(__file__).parent.parent / "scenarios"
AT = datetime(2026, 11, 18, 9, tzinfo=UTC)  # a Wednesday, noon in Moscow
AT_MS = round(AT.timestamp() * 1000)
EVENTS: list[dict[str, Any]] = [
    {"type": "no_answer"},
    {"type": "played"},
    {"type": "no_input"},
    {"type": "no_owner"},
    {"type": "called_before"},
    {"type": "recorded", "seconds": 3.5},
    {"type": "conversation_ended"},
    {"type": "hung_up"},
]


class Brought(msgspec.Struct):
    """An entry as the exchange brings it."""

    router: str
    pbx: str
    entry: entries.CallEntry


def play(
    journal: FileJournal,
    engine: Engine,
    call_id: str,
    caller: str | None,
    at_ms: int,
    answered: bool = False,
    gone: bool = False,
) -> None:
    """One call, played to its end: nobody answers, or somebody does, or the caller goes."""
    turn = Turn.of(engine.arrive(call_id, "+74951112233", caller, at_ms))
    journal.began(call_id, "84951112233", caller, at_ms)
    journal.turned(call_id, at_ms, None, turn)
    while not isinstance(turn.action, End):
        at_ms += 4_000
        following, event = step(engine, turn, at_ms, answered, gone)
        journal.turned(call_id, at_ms, event, following)
        turn = following
    journal.ended(call_id, at_ms, turn.action.disposition, turn.action.fault)


def step(engine: Engine, turn: Turn, at_ms: int, answered: bool, gone: bool) -> tuple[Turn, dict[str, Any]]:
    tried = list(EVENTS)
    if turn.kind == "ring" and answered:
        tried.insert(0, {"type": "answered", "endpoint": turn.action.endpoints[0].endpoint})  # type: ignore[union-attr]
    if turn.kind == "ring" and gone:
        tried.insert(0, {"type": "caller_hung_up"})
    for event in tried:
        try:
            return Turn.of(engine.handle(turn.state, event, at_ms)), event
        except Exception as error:
            if getattr(error, "code", None) != "unexpected_event":
                raise
    raise AssertionError(f"no event for {turn.kind}")


@pytest.fixture
def told(tmp_path: Path) -> Iterator[tuple[list[bytes], dict[str, dict[str, Any]]]]:
    """The lines of a spool with calls of three companies, and the ledger lines that the router wrote of them."""
    journal = FileJournal(tmp_path)
    for number, name in enumerate(("1-office-hours", "5-card-and-vip", "8-expanding")):
        engine = Engine.load(SCENARIOS / name / "company.yaml")
        play(journal, engine, f"{number}-a", "89161230099", AT_MS)
        play(journal, engine, f"{number}-b", "89161230099", AT_MS + 3_600_000, answered=True)
        play(journal, engine, f"{number}-c", None, AT_MS + 7_200_000, gone=True)
        play(journal, engine, f"{number}-d", "+74951230000", AT_MS + 12 * 3_600_000)
    journal.close()
    spool = (tmp_path / "spool.jsonl").read_bytes().splitlines()
    lines = [msgspec.json.decode(line) for line in (tmp_path / "ledger.jsonl").read_bytes().splitlines()]
    yield spool, {line["call_id"]: line for line in lines}


async def everything(db: Database) -> dict[str, Any]:
    """All that the ledger's writer wrote, but for when it wrote it."""
    async with db.transaction() as tx:
        found: dict[str, Any] = {}
        for table, but, order in (
            ("calls", "written_at", "call_id"),
            ("call_turns", "", "call_id, sequence"),
            ("call_legs", "", "call_id, number"),
            ("callers", "", "number"),
            ("missed_calls", "", "id"),
            ("tasks", "", "id"),
            ("recordings", "", "name"),
            ("outbox", "place", "id"),
        ):
            rows = await tx.fetch(f"select * from {table} where company_id = $1 order by {order}")
            found[table] = [{key: value for key, value in row.items() if key != but} for row in rows]
        return found


async def test_the_ledger_says_what_the_router_says(
    db: Database, told: tuple[list[bytes], dict[str, dict[str, Any]]]
) -> None:
    spool, lines = told
    await Ledger(db).write_lines(spool, "r1")
    async with db.transaction() as tx:
        assert len(lines) == 12
        for call_id, line in lines.items():
            story = await calls.story(tx, call_id)
            call = story.call
            assert (call.did, call.caller, call.scheme) == (line["did"], line["caller"], line["scheme"])
            assert (call.disposition, call.fault) == (line["disposition"], line["fault"])
            assert call.began_at == datetime.fromisoformat(line["began"])
            assert call.ended_at == datetime.fromisoformat(line["ended"])
            assert [step for turn in story.turns for step in turn.trace] == line["trace"]
            assert [each for turn in story.turns for each in turn.rounds] == line["rounds"]
            assert [effect for turn in story.turns for effect in turn.effects] == line["effects"]
            legs = [
                {"endpoint": leg.endpoint, "employee": leg.employee, "round": leg.round, "outcome": leg.outcome}
                for leg in story.legs
            ]
            assert legs == line["legs"]
            assert all(leg.ended_at is not None and leg.rang_at <= leg.ended_at for leg in story.legs)
        assert {lines[id]["disposition"] for id in lines} >= {"answered", "voicemail", "abandoned"}
        assert any(story.legs for story in [await calls.story(tx, id) for id in lines])


@pytest.mark.parametrize("seed", range(6))
async def test_doubled_late_and_disordered_entries_give_the_same_ledger(
    db: Database, told: tuple[list[bytes], dict[str, dict[str, Any]]], seed: int
) -> None:
    spool, _ = told
    ledger, chance = Ledger(db), random.Random(seed)
    await ledger.write_lines(spool, "r1")
    once = await everything(db)
    async with db.transaction() as tx:
        await tx.connection.execute(
            "truncate call_turns, call_legs, calls, callers, missed_calls, tasks, recordings, outbox"
        )
    left = spool + chance.sample(spool, len(spool) // 2)
    chance.shuffle(left)
    while left:
        size = chance.randint(1, 20)
        batch, left = left[:size], left[size:]
        await ledger.write_lines(batch, "r1")
        if chance.random() < 0.3:
            await ledger.write_lines(batch, "r1")
    assert await everything(db) == once


async def test_what_the_exchange_brings_is_written_with_whose_it_is(
    db: Database, told: tuple[list[bytes], dict[str, dict[str, Any]]]
) -> None:
    spool, _ = told
    read = msgspec.json.Decoder(entries.CallEntry).decode
    brought = [Brought("r1", "pbx1", read(line)) for line in spool]
    await Ledger(db).write(brought)
    async with db.transaction() as tx:
        assert {(call.router, call.pbx) for call in await calls.listed(tx)} == {("r1", "pbx1")}
    once = await everything(db)
    await Ledger(db).write(brought)
    assert await everything(db) == once


async def test_effects_become_notices_tasks_recordings_and_missed_calls(
    db: Database, told: tuple[list[bytes], dict[str, dict[str, Any]]]
) -> None:
    spool, lines = told
    await Ledger(db).write_lines(spool)
    wanted = [effect for line in lines.values() for effect in line["effects"]]
    async with db.transaction() as tx:
        notices = {notice.id: notice for notice in await outbox.listed(tx, limit=500)}
        for effect in wanted:
            if effect["type"] in ("sms", "email"):
                assert notices.pop(effect["id"]).recipient == effect["to"]
            if effect["type"] == "voicemail":
                assert (await recordings.get(tx, effect["recording"])).seconds == effect["seconds"]
                for index, address in enumerate(effect["email"], 1):
                    notice = notices.pop(f"{effect['id']}:{index}")
                    assert (notice.channel, notice.recipient) == ("email", address)
        assert notices == {}
        assert {effect["type"] for effect in wanted} >= {"sms", "voicemail", "task", "missed_call"}
        assert await tx.value("select count(*) from tasks where company_id = $1 and kind = 'task'") == sum(
            effect["type"] == "task" for effect in wanted
        )
        assert await tx.value("select count(*) from missed_calls where company_id = $1") == sum(
            effect["type"] == "missed_call" for effect in wanted
        )
        assert len(await recordings.awaited(tx)) == sum(effect["type"] == "voicemail" for effect in wanted)
        assert await calls.going_on(tx) == []


async def test_who_called_before_is_known_when_the_call_has_ended(
    db: Database, told: tuple[list[bytes], dict[str, dict[str, Any]]]
) -> None:
    spool, _ = told
    first = [line for line in spool if b'"0-a"' in line]
    ledger = Ledger(db)
    await ledger.write_lines(first[:-1])
    async with db.transaction() as tx:
        assert not await lookups.called_before(tx, "+79161230099", AT)
        assert [call.call_id for call in await calls.going_on(tx)] == ["0-a"]
    await ledger.write_lines(first[-1:])
    async with db.transaction() as tx:
        assert await lookups.called_before(tx, "+79161230099", AT)
        assert await lookups.called_before(tx, "+79161230099", AT + timedelta(days=2), days=3)
        assert not await lookups.called_before(tx, "+79161230099", AT + timedelta(days=4), days=3)


async def test_calls_are_listed_by_pages_and_filters(
    db: Database, told: tuple[list[bytes], dict[str, dict[str, Any]]]
) -> None:
    spool, lines = told
    await Ledger(db).write_lines(spool)
    async with db.transaction() as tx:
        seen: list[calls.Call] = []
        while page := await calls.listed(
            tx, after=(seen[-1].began_at, seen[-1].call_id) if seen and seen[-1].began_at else None, limit=5
        ):
            seen += page
        assert len({call.call_id for call in seen}) == len(seen) == 12
        assert [call.began_at for call in seen] == sorted(
            (call.began_at for call in seen if call.began_at), reverse=True
        )
        answered = await calls.listed(tx, calls.Filter(disposition="answered", caller="+79161230099"))
        assert {call.call_id for call in answered} == {
            id for id, line in lines.items() if line["disposition"] == "answered" and line["caller"] == "89161230099"
        }
        assert all(call.answered_by and call.answered_at for call in answered)
        assert sum((await calls.dispositions(tx, AT, AT + timedelta(days=1))).values()) == 12


# --- missed calls


async def miss(db: Database, id: str, at: datetime, owner: str | None = "sales") -> missed.MissedCall:
    async with db.transaction("ledger") as tx:
        effect = {"type": "missed_call", "id": id, "caller": "+79161230099", "did": "+74951112233", "owner": owner}
        await effects.write(tx, [effects.Effects("c", at, (effect,))])
        return await missed.get(tx, id)


async def test_a_missed_call_is_the_clients_owners_else_whom_the_engine_names(db: Database) -> None:
    assert (await miss(db, "m1", AT)).owner == "sales"
    async with db.transaction() as tx:
        await people.project(tx, {
            "company": {"name": "", "country": "RU", "timezone": "UTC", "language": "ru"},
            "departments": {}, "service_types": {}, "employees": {"anna": {"name": "Анна"}},
        })  # fmt: skip
        await clients.create(tx, clients.Draft(numbers=("+79161230099",), owner="anna"), AT)
    assert (await miss(db, "m2", AT)).owner == "anna"
    async with db.transaction() as tx:
        assert [each.id for each in await missed.waiting(tx, ["anna"])] == ["m2"]
        assert {each.id for each in await missed.waiting(tx)} == {"m1", "m2"}


async def test_a_missed_call_waits_until_it_is_handled(db: Database) -> None:
    await miss(db, "m1", AT)
    for actor in ("anna", "boris"):
        async with db.transaction(actor) as tx:
            handled = await missed.handle(tx, "m1", AT)
            assert (handled.outcome, handled.closed_by) == ("handled", "anna")
            assert await missed.waiting(tx, ["sales"]) == []


async def test_an_answered_call_settles_what_was_missed_before_in_whatever_order_it_is_told(
    db: Database, tmp_path: Path
) -> None:
    journal = FileJournal(tmp_path)
    engine = Engine.load(SCENARIOS / "1-office-hours" / "company.yaml")
    play(journal, engine, "answered", "89161230099", AT_MS, answered=True)
    journal.close()
    await miss(db, "before", AT - timedelta(hours=1))
    await miss(db, "after", AT + timedelta(hours=1))
    await Ledger(db).write_lines((tmp_path / "spool.jsonl").read_bytes().splitlines())
    await miss(db, "told-late", AT - timedelta(hours=2))
    async with db.transaction() as tx:
        assert [each.id for each in await missed.waiting(tx)] == ["after"]
        assert (await missed.get(tx, "told-late")).outcome == (await missed.get(tx, "before")).outcome == "reached"


async def test_a_task_is_closed_by_the_first(db: Database) -> None:
    async with db.transaction("ledger") as tx:
        assert await tasks.add(tx, "t", "task", "c", "anna", "Перезвонить", AT)
        assert not await tasks.add(tx, "t", "task", "c", "anna", "Перезвонить", AT)
        assert [task.title for task in await tasks.waiting(tx, ["anna", "sales"])] == ["Перезвонить"]
    async with db.transaction("anna") as tx:
        assert (await tasks.close(tx, "t", AT)).closed_by == "anna"
        assert await tasks.waiting(tx, ["anna"]) == []


async def test_a_recording_is_stored_and_heard(db: Database) -> None:
    async with db.transaction("vera") as tx:
        await recordings.expect(tx, "r", "voicemail", "c", 3.5, AT, assign="anna")
        await recordings.stored(tx, "r", "recordings/r.wav", 56_000, "audio/wav", AT)
        assert await recordings.awaited(tx) == []
        assert (await recordings.heard(tx, "r", AT)).heard_by == "vera"
        assert [recording.location for recording in await recordings.of_call(tx, "c")] == ["recordings/r.wav"]


# --- entries that cannot be


@pytest.mark.parametrize(
    "entry",
    [
        b"not json",
        b'{"kind":"other","call":"c"}',
        b'{"kind":"ended","call":"c","at":0,"disposition":"happy","fault":"none"}',
        b'{"kind":"began","call":"c","did":"1\\u0000","caller":null,"at":0}',
        b'{"kind":"began","call":"","did":"1","caller":null,"at":0}',
        b'{"kind":"began","call":"c","did":"1","caller":null,"at":99999999999999999}',
        b'{"kind":"turned","call":"c","at":0,"event":null,"turn":{"state":"","sequence":0,"action":{"type":"play","prompt":"p"},'
        b'"effects":[{"type":"sms"}]}}',
    ],
)
async def test_a_bad_entry_is_refused_and_nothing_of_its_batch_is_written(db: Database, entry: bytes) -> None:
    good = b'{"kind":"began","call":"good","did":"1","caller":null,"at":0}'
    with pytest.raises(BadEntry):
        await Ledger(db).write_lines([good, entry])
    async with db.transaction() as tx:
        assert await calls.going_on(tx) == []


async def test_a_call_told_from_the_middle_is_whole(db: Database, tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "one")
    engine = Engine.load(SCENARIOS / "8-expanding" / "company.yaml")
    play(journal, engine, "c", "89161230099", AT_MS)
    journal.close()
    spool = (tmp_path / "one" / "spool.jsonl").read_bytes().splitlines()
    line = msgspec.json.decode((tmp_path / "one" / "ledger.jsonl").read_bytes())
    half = tmp_path / "half"
    half.mkdir()
    (half / "spool.jsonl").write_bytes(b"\n".join(spool[:-3]) + b"\n")
    FileJournal(half).close()  # compacts what goes on
    (kept,) = (half / "spool.jsonl").read_bytes().splitlines()
    await Ledger(db).write_lines([kept, *spool[-3:]])
    async with db.transaction() as tx:
        story = await calls.story(tx, "c")
    assert [step for turn in story.turns for step in turn.trace] == line["trace"]
    assert [(leg.endpoint, leg.outcome) for leg in story.legs] == [
        (leg["endpoint"], leg["outcome"]) for leg in line["legs"]
    ]

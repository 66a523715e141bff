"""The journal of queries: the same lines as the journal in Python writes, whatever dies, and whatever the disk does."""

from __future__ import annotations

import itertools
import random
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h11
import httpx
import orjson
import pytest
import trio

from kommutator._engine import HttpConnection, HttpService
from kommutator.query.journal import QueryJournal
from kommutator.routing.entries import Began, Ended, Kept, Turned, read
from kommutator.routing.ledger import FileJournal
from tests.query.server import CALLER, DID, NOW_MS, PATIENCE_S, SCENARIOS, Client, Clock, engine_of, request, serving
from tests.router.house import Process

SCHEMES = sorted(folder.name for folder in SCENARIOS.iterdir() if (folder / "company.json").exists())


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


class Listener:
    """Remembers each entry once, by its identity."""

    def __init__(self) -> None:
        self.told: dict[object, bytes] = {}
        self.kept = 0

    def tell(self, lines: list[bytes]) -> None:
        for line in lines:
            entry = read(line)
            assert not isinstance(entry, Kept)
            sequence = entry.turn.sequence if isinstance(entry, Turned) else None
            assert self.told.setdefault((type(entry), entry.call, sequence), line) == line

    def keep(self) -> None:
        self.kept = len(self.told)


def event_of(action: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """An event that may answer an action."""
    if chance.random() < 0.05:
        return {"type": "caller_hung_up"}
    match action["type"]:
        case "play":
            return {"type": "played"}
        case "menu":
            return chance.choice([{"type": "digits", "digits": chance.choice("0123459")}, {"type": "no_input"}])
        case "ring":
            phones = [each["endpoint"] for each in action["endpoints"]]
            causes = [
                {"endpoint": phone, "cause": chance.choice(["busy", "declined", "no_answer"])} for phone in phones
            ]
            return chance.choice(
                [
                    {"type": "answered", "endpoint": chance.choice(phones)},
                    {"type": "no_answer", "ended": causes[: chance.randint(0, len(causes))]},
                    {"type": "no_answer"},
                    {"type": "busy", "ended": causes},
                ]
            )
        case "wait":
            return {"type": "waited"}
        case "record":
            return {"type": "recorded", "seconds": chance.choice([0, 4, 7.5])}
        case "find_owner":
            return chance.choice([{"type": "no_owner"}, {"type": "failed"}])
        case "find_history":
            return chance.choice([{"type": "called_before"}, {"type": "never_called"}, {"type": "failed"}])
        case "transfer":
            return chance.choice([{"type": "transferred"}, {"type": "failed"}])
        case "talk":
            passed = {"type": "passed", "endpoint": "PJSIP/999"}
            return chance.choice([{"type": "conversation_ended"}, passed])
    return {"type": "hung_up"}


async def play(client: Client, call_id: str, turn: Any, chance: random.Random, steps: int) -> Any:
    """A call by so many events at most; its last turn, None when it is over."""
    for _ in range(steps):
        at = NOW_MS + chance.randint(0, 100_000)
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at / 1000))
        if turn is None:
            asked: dict[str, Any] = {"did": DID, "caller": chance.choice([CALLER, 'a"b\\c\u2028', None])}
            turn = await client.ask("/v1/calls", {**asked, "call_id": call_id, "at": when})
        else:
            asked = {"state": turn["state"], "event": event_of(turn["action"], chance), "at": when}
            turn = await client.ask("/v1/calls/step", asked)
        if turn["action"]["type"] == "end":
            return None
    return turn


@pytest.mark.trio
@pytest.mark.parametrize("scheme", SCHEMES)
async def test_its_lines_are_those_of_the_journal_in_python(scheme: str, tmp_path: Path) -> None:
    """Over a restart, and over spools that are put aside after every few calls."""
    chance, clock, listener = random.Random(scheme), Clock(), Listener()
    made, again = tmp_path / "made", tmp_path / "again"
    going: dict[str, Any] = {}
    for process in range(3):
        journal = QueryJournal(made, clock, listener, put_aside_at=20_000)
        assert journal.live == len(going)
        async with serving(engine_of(scheme), clock=clock, journal=journal) as serves, trio.open_nursery() as nursery:
            nursery.start_soon(journal.run)
            client = await serves.client()
            for number in range(30):
                call_id = f"call-{process}-{number}"
                going[call_id] = await play(client, call_id, None, chance, chance.randint(1, 6))
            for call_id in list(going):
                if going[call_id] is not None and chance.random() < 0.7:
                    going[call_id] = await play(client, call_id, going[call_id], chance, 40 if process == 2 else 3)
            going = {call_id: turn for call_id, turn in going.items() if turn is not None}
            nursery.cancel_scope.cancel()
        journal.close()
        assert set(journal.states()) == {turn["state"] for turn in going.values()}
    assert listener.kept > 0, "a spool was put aside"
    reference = FileJournal(again)
    for raw in listener.told.values():
        match read(raw):
            case Began(call, did, caller, at):
                reference.began(call, did, caller, at)
            case Turned(call, at, event, turn):
                reference.turned(call, at, event, turn)
            case Ended(call, at, disposition, fault):
                reference.ended(call, at, disposition, fault)
    reference.close()
    ledger = lines(made / "ledger.jsonl")
    assert ledger == lines(again / "ledger.jsonl")
    assert list(ledger[0]) == list(lines(again / "ledger.jsonl")[0])
    assert set(reference.unfinished()) == going.keys()
    assert len(ledger) == 90 - len(going)


def test_calls_are_all_there_at_every_moment_while_a_spool_is_put_aside(tmp_path: Path) -> None:
    """Three thousand calls are kept again some at a time; a death in between finds each as it was answered last."""
    folder, chance = tmp_path / "data", random.Random(5)
    journal = QueryJournal(folder, Clock(), put_aside_at=1_000_000)
    service = HttpService(ids="", tokens=(), looks_up=False, most_items=3_000, head_limit=1 << 10, body_limit=1 << 24,
                          journal=journal.spool)  # fmt: skip
    service.engine = engine_of("2-list-and-menu")
    connection = HttpConnection(service)

    def ask(items: list[dict[str, Any]]) -> list[Any]:
        replies = connection.receive(request("/v1/calls/batch", items), NOW_MS)
        return list(orjson.loads(replies.partition(b"\r\n\r\n")[2]))

    ids = [f"call-{number}" for number in range(3_000)]
    turns = ask([{"did": DID, "caller": f"+7916{number:07}", "call_id": call} for number, call in enumerate(ids)])
    going, over, halfway = dict(zip(ids, turns, strict=True)), set[str](), 0
    for moment in range(20):
        lines_, trouble, spent = journal.spool.keep_up(0, 0)
        assert (lines_, trouble) == (b"", None)
        some = chance.sample(sorted(going), 200)
        events = [event_of(going[call]["action"], chance) for call in some]
        items = [{"state": going[call]["state"], "event": event} for call, event in zip(some, events, strict=True)]
        for call, turn in zip(some, ask(items), strict=True):
            going[call] = turn
            if turn["action"]["type"] == "end":
                del going[call]
                over.add(call)
        image = tmp_path / f"image-{moment}"
        shutil.copytree(folder, image)
        kept = [line for line in lines(image / "spool.jsonl") if line["kind"] == "kept"]
        halfway += (image / "spool.before.jsonl").exists() and 0 < len(kept) < len(going)
        left = QueryJournal(image, Clock())
        assert set(left.states()) == {turn["state"] for turn in going.values()}, moment
        left.close()
        assert {line["call_id"] for line in lines(image / "ledger.jsonl")} == over, moment
        again = QueryJournal(image, Clock())
        assert set(again.states()) == {turn["state"] for turn in going.values()}, "and after another death"
        again.close()
        shutil.rmtree(image)
        if spent:
            journal.spool.let_go()
    assert halfway >= 2
    journal.close()


@pytest.fixture
def query(tmp_path: Path) -> Iterator[Process]:
    document = str(SCENARIOS / "2-list-and-menu/company.yaml")
    arguments = ("query", document, "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), "--log", "json")
    process = Process(tmp_path / "log", *arguments)
    process.start()
    yield process
    if process.running:
        process.end()


async def address_of(process: Process) -> tuple[str, int]:
    host, port = str((await process.says("ready"))["listening"]).rsplit(":", 1)
    return host, int(port)


@pytest.mark.services
@pytest.mark.trio
async def test_what_was_answered_is_kept_whenever_the_process_is_killed(query: Process, tmp_path: Path) -> None:
    address = await address_of(query)
    arrived: set[str] = set()
    ended: set[str] = set()

    async def call_often(place: int) -> None:
        client = Client(await trio.open_tcp_stream(*address))
        async with client.stream:
            with pytest.raises((trio.BrokenResourceError, h11.RemoteProtocolError)):
                await call_until_it_is_gone(client, place)

    async def call_until_it_is_gone(client: Client, place: int) -> None:
        for number in itertools.count():
            call_id = f"call-{place}-{number}"
            turn = await client.ask("/v1/calls", {"did": DID, "caller": CALLER, "call_id": call_id})
            arrived.add(call_id)
            if number % 2:
                gone = {"state": turn["state"], "event": {"type": "caller_hung_up"}}
                assert (await client.ask("/v1/calls/step", gone))["action"]["type"] == "end"
                ended.add(call_id)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            for place in range(32):
                nursery.start_soon(call_often, place)
            while len(ended) < 500:
                await trio.sleep(0.001)
            await trio.to_thread.run_sync(query.end, signal.SIGKILL)
    journal = QueryJournal(tmp_path / "data", Clock())
    ledger = [line["call_id"] for line in lines(tmp_path / "data/ledger.jsonl")]
    assert len(ledger) == len(set(ledger))
    assert ended <= set(ledger)
    kept = {entry.record.call_id for entry in map(read, (tmp_path / "data/spool.jsonl").read_bytes().splitlines())
            if isinstance(entry, Kept)}  # fmt: skip
    assert len(kept) == journal.live
    assert arrived <= kept | set(ledger)
    journal.close()


@pytest.mark.services
@pytest.mark.trio
async def test_a_disk_that_stays_full_ends_answers_and_loses_none(query: Process, tmp_path: Path) -> None:
    host, port = await address_of(query)
    answered: set[str] = set()
    refused: set[str] = set()

    def ask(client: httpx.Client, first: int) -> int:
        calls = [f"call-{number}" for number in range(first, first + 1000)]
        items = [{"did": DID, "caller": CALLER, "call_id": call_id} for call_id in calls]
        told = client.post(f"http://{host}:{port}/v1/calls/batch", json=items).raise_for_status().content
        if b'"journal_full"' not in told:
            answered.update(calls)
        else:
            for call_id, turn in zip(calls, orjson.loads(told), strict=True):
                (refused if turn.get("code") == "journal_full" else answered).add(call_id)
                assert "action" in turn or turn["status"] == 503
        return first + 1000

    def until_full(client: httpx.Client) -> int:
        number, deadline = 1000, time.monotonic() + PATIENCE_S
        while not refused:
            assert time.monotonic() < deadline
            number = ask(client, number)
        return number

    def until_answered(client: httpx.Client, number: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while (now := len(answered)) == len(answered):
            assert time.monotonic() < deadline
            number = ask(client, number)
            if len(answered) > now:
                return
            time.sleep(0.1)

    with httpx.Client(timeout=PATIENCE_S) as client:
        await trio.to_thread.run_sync(ask, client, 0)
        spool = tmp_path / "data/spool.jsonl"
        # In the middle of a line, as a disk that fills up ends.
        resource.prlimit(query.pid, resource.RLIMIT_FSIZE, (spool.stat().st_size + 100, resource.RLIM_INFINITY))
        number = await trio.to_thread.run_sync(until_full, client)
        await query.says("cannot be written; calls go on", alarm="spool")
        resource.prlimit(query.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await query.says("can be written again", alarm="spool")
        await trio.to_thread.run_sync(until_answered, client, number)
    assert query.end(signal.SIGTERM) == 0
    files = [path for path in (spool, spool.with_name("spool.before.jsonl")) if path.exists()]
    entries = [read(raw) for path in files for raw in path.read_bytes().splitlines()]
    spooled = {entry.record.call_id if isinstance(entry, Kept) else entry.call for entry in entries}
    assert spooled == answered
    assert refused - answered

"""The journal of calls decided at once: the same lines as the journal in Python writes, whatever dies."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from kommutator.query.decisions import Decisions
from kommutator.routing.entries import Began, Ended, Turned, read
from kommutator.routing.ledger import FileJournal
from tests.query.sip_words import Answer, request
from tests.query.test_sip import COMPANY, PATIENCE_S, TEMPLATES, serving, until
from tests.router.house import Process

DIDS = [f"+749511122{number}" for number in ("01", "02", "03", "04", "05", "06", "99")]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def typed(path: Path) -> list[object]:
    return [read(line) for line in path.read_bytes().splitlines()]


def told_again(spool: Path, folder: Path) -> None:
    """The same calls through the journal of the routing loop."""
    journal = FileJournal(folder)
    for entry in typed(spool):
        match entry:
            case Began(call, did, caller, at):
                journal.began(call, did, caller, at)
            case Turned(call, at, event, turn):
                journal.turned(call, at, event, turn)
            case Ended(call, at, disposition, fault):
                journal.ended(call, at, disposition, fault)
    journal.close()


class Listener:
    def __init__(self) -> None:
        self.told: list[bytes] = []
        self.kept = 0

    def tell(self, lines: list[bytes]) -> None:
        self.told += lines

    def keep(self) -> None:
        self.kept = len(self.told)


@pytest.mark.trio
async def test_its_lines_are_those_of_the_journal_in_python(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    async with serving(made, media=None, hold_s=0) as stage:
        stage.memory.answers.set()
        for did in DIDS:
            for caller in ("+79161234567", "+79160000666", "anonymous", 'a"b\\c\u2028'):
                caller = f"<sip:{caller}@x>;tag=1"
                await stage.send(request(uri=f"sip:{did}@x", caller=caller))
                await stage.answer()
        calls = stage.endpoint.counts()["calls"]
        await stage.ledger(calls)
    assert calls > 20
    told_again(made / "spool.jsonl", tmp_path / "again")
    assert typed(made / "spool.jsonl") == typed(tmp_path / "again/spool.jsonl")
    ledger = lines(made / "ledger.jsonl")
    assert ledger == lines(tmp_path / "again/ledger.jsonl")
    assert {"transferred", "failed", "unavailable"} <= {line["disposition"] for line in ledger}
    assert any(line["legs"] for line in ledger)
    assert list(ledger[0]) == list(lines(tmp_path / "again/ledger.jsonl")[0])


@pytest.fixture
def redirect(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    begun: list[Process] = []

    def start(*arguments: str) -> Process:
        templates = [word for name, uri in TEMPLATES.items() if name != "media" for word in (f"--{name}", uri)]
        listen = ("--listen", "127.0.0.1:0", "--hold", "30")
        process = Process(
            tmp_path / f"log-{len(begun)}", "redirect", str(COMPANY), *listen, *templates, "--log", "json", *arguments
        )
        begun.append(process)
        process.start()
        return process

    yield start
    for process in begun:
        if process.running:
            process.end()


async def address_of(process: Process, count: int = 1) -> tuple[str, int]:
    said = await process.says("ready", count)
    host, port = said["listening"][0].rsplit(":", 1)
    return host, int(port)


async def asked(client: trio.socket.SocketType, datagram: bytes, address: tuple[str, int]) -> bytes:
    """An answer; the request is sent again as a client does until it comes."""
    with trio.fail_after(PATIENCE_S):
        while True:
            await client.sendto(datagram, address)
            with trio.move_on_after(0.5):
                told: bytes = await client.recv(65_536)
                return told


@pytest.mark.services
@pytest.mark.trio
async def test_what_was_answered_is_in_the_ledger_once_whatever_is_killed(
    redirect: Callable[..., Process], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    process = redirect("--data", str(data), "--calls-per-second", "100000")
    address = await address_of(process)
    answered: set[str] = set()
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for number in range(300):
            told = await asked(client, request(uri="sip:+74951112204@x", call_id=f"c-{number}"), address)
            answered.add(f"sip-{Answer.read(told).to_tag}")
    process.end(signal.SIGKILL)
    listener = Listener()
    Decisions(data, listener)
    assert [line["call_id"] for line in lines(data / "ledger.jsonl")].count(next(iter(answered))) == 1
    assert {line["call_id"] for line in lines(data / "ledger.jsonl")} == answered
    assert len(lines(data / "ledger.jsonl")) == len(answered) == 300
    assert {read(line).call for line in listener.told} == answered
    assert listener.kept == len(listener.told) == 3 * 300
    Decisions(data, listener)
    assert (len(lines(data / "ledger.jsonl")), listener.kept) == (300, 900)


@pytest.mark.trio
async def test_a_call_whose_end_the_machine_lost_has_failed(tmp_path: Path) -> None:
    began = {"kind": "began", "call": "sip-1", "did": "+74951112201", "caller": None, "at": 1_794_992_400_000}
    (tmp_path / "spool.jsonl").write_text(json.dumps(began) + "\n" + '{"kind":"tur')
    listener = Listener()
    Decisions(tmp_path, listener)
    (line,) = lines(tmp_path / "ledger.jsonl")
    assert (line["call_id"], line["disposition"], line["fault"]) == ("sip-1", "failed", "ours")
    assert [type(read(raw)) for raw in listener.told] == [Began, Ended]
    assert not (tmp_path / "spool.jsonl").exists()


@pytest.mark.trio
async def test_while_the_disk_takes_nothing_calls_are_answered_and_wait(tmp_path: Path) -> None:
    async with serving(tmp_path, hold_s=0) as stage:
        (tmp_path / "spool.jsonl").mkdir()
        for _ in range(3):
            assert (await stage.ask(request(uri="sip:+74951112204@x"))).status == 302
        decisions = stage.endpoint.decisions
        assert decisions is not None
        await until(lambda: decisions.troubled)
        (tmp_path / "spool.jsonl").rmdir()
        await until(lambda: not decisions.troubled)
        assert (await stage.ask(request(uri="sip:+74951112204@x"))).status == 302
        assert len(stage.spool()) == 3 * 4
        assert len(await stage.ledger(4)) == 4


@pytest.mark.trio
async def test_a_long_spool_is_let_go_when_all_is_told(tmp_path: Path) -> None:
    listener = Listener()
    async with serving(tmp_path, decisions=Decisions(tmp_path, listener, put_aside_at=4_000), hold_s=0) as stage:
        for _ in range(60):
            assert (await stage.ask(request(uri="sip:+74951112204@x"))).status == 302
        assert len(await stage.ledger(60)) == 60
        await until(lambda: len(listener.told) == 3 * 60)
        await until(lambda: len(stage.spool()) < 3 * 60)
    assert len({line["call_id"] for line in lines(tmp_path / "ledger.jsonl")}) == 60
    Decisions(tmp_path, listener)
    assert len(lines(tmp_path / "ledger.jsonl")) == 60


@pytest.mark.services
@pytest.mark.trio
async def test_processes_of_one_port_ring_nobody_twice_and_answer_for_one_another(
    redirect: Callable[..., Process], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    process = redirect("--data", str(data), "--processes", "2")
    address = await address_of(process, 2)
    rung: dict[str, int] = {}
    sent: list[tuple[trio.socket.SocketType, bytes, Answer]] = []
    # The system chooses the process by the client's port.
    for _ in range(60):
        client = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        await client.bind(("127.0.0.1", 0))
        datagram = request(uri="sip:+74951112202@x")
        answer = Answer.read(await asked(client, datagram, address))
        sent.append((client, datagram, answer))
        first = answer.contacts[0][0] if answer.status == 302 else ""
        rung[first] = rung.get(first, 0) + 1
    spools = [data / "spool.jsonl", data / "2/spool.jsonl"]
    assert all(path.exists() for path in spools)
    assert rung == {"sip:102@pbx.example": 1, "": 59}

    pid = process.pid
    children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    os.kill(children[0], signal.SIGKILL)
    await process.says("a process ended")
    await process.says("ready", 3)
    for client, datagram, answer in sent:
        again = Answer.read(await asked(client, datagram, address))
        assert again.to_tag == answer.to_tag, "a request that comes again is the same call"
        client.close()
    assert process.end(signal.SIGTERM) == 0
    for folder in (data, data / "2"):
        told = [line["call_id"] for line in lines(folder / "ledger.jsonl")]
        assert len(told) == len(set(told))
    known = [line["call_id"] for folder in (data, data / "2") for line in lines(folder / "ledger.jsonl")]
    assert sorted(known) == sorted(f"sip-{answer.to_tag}" for _, _, answer in sent)

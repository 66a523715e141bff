"""The embedded server: started, found again, started again, stopped."""

import asyncio
import os
import signal
import stat
from pathlib import Path

import msgspec
import pytest

from kommutator.errors import DataFolderBusy, ExchangeUnreachable, ServerNotStarted
from kommutator.exchange.embedded import EmbeddedNats, read_address
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.settings import ExchangeSettings
from tests.router.disk import Disk

from .conftest import Child, Desk, Nats, gone


def test_a_server_is_found_again_after_its_supervisor_was_killed(tmp_path: Path) -> None:
    supervisor = Child("tests.exchange.supervisor", str(tmp_path / "nats"))
    pid = int(supervisor.line())
    with pytest.raises(DataFolderBusy):
        EmbeddedNats(tmp_path / "nats").start()
    supervisor.end(signal.SIGKILL)
    server = EmbeddedNats(tmp_path / "nats")
    try:
        server.start()
        assert server.pid == pid
    finally:
        server.stop()
    assert gone(pid)


def test_a_server_nobody_remembers_is_found_by_its_configuration(nats: Nats, tmp_path: Path) -> None:
    kept = tmp_path / "nats" / "server.json"
    remembered = msgspec.json.decode(kept.read_bytes())
    kept.write_bytes(msgspec.json.encode({**remembered, "pid": 0, "started": 0}))
    nats.leave()
    again = EmbeddedNats(tmp_path / "nats")
    again.start()
    assert again.pid == nats.pid
    again.leave()


def test_another_process_of_the_same_pid_is_no_server_of_ours(nats: Nats, tmp_path: Path) -> None:
    nats.kill()
    kept = tmp_path / "nats" / "server.json"
    remembered = msgspec.json.decode(kept.read_bytes())
    kept.write_bytes(msgspec.json.encode({**remembered, "pid": os.getpid(), "started": 1}))
    nats.leave()
    again = Nats(tmp_path / "nats")
    try:
        assert again.start() == nats.address
        assert again.pid not in (os.getpid(), nats.pid)
    finally:
        again.stop()


def test_what_was_acknowledged_is_there_after_a_kill(nats: Nats, desk: Desk) -> None:
    desk.start()
    sequence = desk.do(lambda exchange: exchange.connection.append("kt.calls.r1", b"entry"))
    nats.kill()
    address = nats.address
    assert nats.start() == address
    stored = desk.do(_last)
    assert (stored.sequence, stored.payload) == (sequence, b"entry")


async def _last(exchange: Exchange) -> object:
    return await (await exchange.ready()).last("CALLS", "kt.calls.r1")


def test_the_server_lets_nobody_in_without_its_password(nats: Nats, tmp_path: Path) -> None:
    for name in ("nats.conf", "server.json"):
        assert stat.S_IMODE((tmp_path / "nats" / name).stat().st_mode) == 0o600
    address = read_address(tmp_path / "nats")
    assert address == nats.address
    stranger = Desk(ExchangeSettings((nats.address.url,), "kommutator", "guessed", connect_s=1.0))
    stranger._thread.start()
    with pytest.raises(ExchangeUnreachable):
        stranger.do(_after_a_try)
    stranger.stop()


async def _after_a_try(exchange: Exchange) -> object:

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await exchange.ready()
    return exchange.connection


def test_a_program_that_is_no_server_is_told_by_its_last_words(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho no such option >&2\nexit 3\n")
    program.chmod(0o755)
    server = EmbeddedNats(tmp_path / "nats", binary=program)
    with pytest.raises(ServerNotStarted, match="no such option"):
        server.start()
    server.leave()


def test_a_disk_with_little_room_takes_the_streams(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "nats", "64m")
    server = EmbeddedNats(tmp_path / "nats")
    try:
        address = server.start()
        desk = Desk(ExchangeSettings((address.url,), address.user, address.password))
        try:
            desk.start()
        finally:
            desk.stop()
    finally:
        server.stop()
        disk.away()

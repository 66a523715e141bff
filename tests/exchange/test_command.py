"""`kommutator nats`: supervises the server."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import nats
import nats.js.errors
import pytest

from kommutator.exchange.embedded import read_address
from tests.router.disk import Disk

from .conftest import ROOT, gone


def command(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    program = "from kommutator.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, "nats", "--data", str(folder)],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def serving(process: subprocess.Popen[str]) -> None:
    """Wait until it says where the exchange is."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("the exchange is at nats://127.0.0.1:"):
            return
    raise AssertionError("it does not serve")


def end(process: subprocess.Popen[str]) -> None:
    """kill -9, when it has not ended yet."""
    process.kill()
    process.wait()
    assert process.stderr is not None
    process.stderr.close()


def pid_within(folder: Path, other_than: int, deadline_s: float = 20.0) -> int:
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        kept = msgspec.json.decode((folder / "nats" / "server.json").read_bytes())
        if kept["pid"] not in (0, other_than):
            return int(kept["pid"])
        time.sleep(0.05)
    raise AssertionError("no server was started")


def test_the_command_restarts_a_server_that_dies_and_stops_it_when_told(tmp_path: Path) -> None:
    supervisor = command(tmp_path)
    try:
        serving(supervisor)
        first = pid_within(tmp_path, 0)
        os.kill(first, signal.SIGKILL)
        second = pid_within(tmp_path, first)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(20) == 0
        assert gone(second)
    finally:
        end(supervisor)


def test_the_command_takes_over_what_a_killed_one_left_and_refuses_to_run_twice(tmp_path: Path) -> None:
    first = command(tmp_path)
    try:
        serving(first)
        pid = pid_within(tmp_path, 0)
    finally:
        end(first)
    second = command(tmp_path)
    third = None
    try:
        serving(second)
        assert pid_within(tmp_path, 0) == pid
        third = command(tmp_path)
        assert third.wait(20) == 5
        second.send_signal(signal.SIGTERM)
        assert second.wait(20) == 0
        assert gone(pid)
    finally:
        for process in (second, third):
            if process is not None:
                end(process)


def test_a_server_whose_disk_was_full_takes_messages_again(tmp_path: Path) -> None:
    """Of itself it would refuse them until somebody starts it anew."""
    disk = Disk(tmp_path / "data", "20m")
    supervisor = command(tmp_path / "data")
    try:
        serving(supervisor)
        address = read_address(tmp_path / "data" / "nats")
        assert address is not None

        async def played() -> None:
            client = await nats.connect(address.url, user=address.user, password=address.password)
            store = await client.jetstream().create_object_store("messages")
            await store.put("before", b"1" * 16_000)
            await asyncio.to_thread(disk.fill)
            with pytest.raises(nats.js.errors.APIError, match="no space left"):
                await store.put("while it is full", b"2" * 16_000)
            await asyncio.to_thread(disk.empty)
            until = time.monotonic() + 60
            while True:
                try:
                    await store.put("after", b"3" * 16_000)
                    break
                except (nats.errors.Error, TimeoutError):
                    assert time.monotonic() < until, "it takes nothing any more"
            assert (await store.get("before")).data == b"1" * 16_000
            assert (await store.get("after")).data == b"3" * 16_000
            await client.close()

        asyncio.run(played())
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(20) == 0
    finally:
        end(supervisor)
        disk.away()

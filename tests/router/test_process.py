"""The router process and whoever runs it: what it tells its supervisor, how it stops, and how it refuses to run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from kommutator.pbx.simulated.behaviour import PhoneAct
from kommutator.pbx.simulated.codec import Place

from .house import DID, House

pytestmark = [pytest.mark.trio, pytest.mark.services]


def ran(house: House, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "kommutator", "route", *arguments, "--config", str(house.config)],
        capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    return done.returncode, done.stderr


async def test_it_tells_its_supervisor_what_it_waits_for_and_when_it_serves_and_stops_with_calls_in_place(
    build: Callable[..., House], tmp_path: Path
) -> None:
    house = build("west")
    router = house.routers["west"]
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(address))
        supervisor.settimeout(30)
        router.environment["NOTIFY_SOCKET"] = str(address)
        house.nats.start()
        house.pbxs["west"].start()
        router.start()
        assert supervisor.recv(1000).startswith(b"STATUS=no company version yet")
        async with house.desk() as desk, house.hand("west") as hand:
            await desk.start()
            await desk.activate(house.version("v1"))
            told = b""
            while b"READY=1" not in told:
                told = await trio.to_thread.run_sync(supervisor.recv, 1000)
            assert told == b"READY=1\nSTATUS=routing by the company's version v1"
            await hand.behave("PJSIP/101", [])
            await hand.behave("PJSIP/102", [])
            await hand.place(Place(DID, "+79161230099", "call-1"))
            await router.turned("call-1", "ring")
            assert router.end(signal.SIGTERM) == 0
            assert supervisor.recv(1000) == b"STOPPING=1"
            assert [caller.call_id for caller in await hand.callers()] == ["call-1"]
            await hand.behave("PJSIP/101", [PhoneAct("answer", 0.1, 0.1)])
            del router.environment["NOTIFY_SOCKET"]
            router.start()
            await router.says("call resumed", call="call-1")
            await hand.pick_up("PJSIP/101")
            await router.turned("call-1", "talk")
            await hand.hang_up("call-1")
            assert (await router.ended("call-1"))["disposition"] == "answered"


async def test_a_second_router_and_one_that_nobody_configured_are_refused(build: Callable[..., House]) -> None:
    house = build("west")
    house.routers["west"].start()
    await house.routers["west"].says("not ready")
    code, said = await trio.to_thread.run_sync(ran, house, "west")
    assert (code, "another router works here" in said) == (5, True)
    code, said = await trio.to_thread.run_sync(ran, house, "north")
    assert (code, "it has west" in said) == (2, True)
    code, said = await trio.to_thread.run_sync(ran, house, "west", "--user", "kommutator")
    assert (code, "--user goes with --ari" in said) == (2, True)

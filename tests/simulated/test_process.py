"""The simulated PBX as a process: its socket, its hands, its fallback."""

from __future__ import annotations

import io
import os
import signal
import socket
import stat
import time
import wave
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from kommutator.errors import CallGone, PbxProtocolError, PbxRefused, PbxUnreachable
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.behaviour import CallerAct
from kommutator.pbx.simulated.control import control_of
from kommutator.pbx.simulated.link import open_link

from .conftest import BY_HAND, Pbx, Router, Watched, played, routed, until

pytestmark = pytest.mark.services
ASKED = codec.Hello(codec.PROTOCOL, "control")


def test_its_socket_is_its_owners_alone(pbx: Pbx) -> None:
    assert stat.S_IMODE(pbx.socket.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(pbx.socket.stat().st_mode)


def test_its_clock_is_the_machines(pbx: Pbx) -> None:
    """What two PBXs tell can be put in order."""

    async def look(watched: Watched) -> None:
        before = time.time_ns() // 1_000_000
        call_id = await watched.control.place(codec.Place("+74951110001"))
        after = time.time_ns() // 1_000_000
        came = await watched.happened(call_id, "came")
        assert isinstance(came, codec.Happened)
        assert before - 1 <= came.at_ms <= after + 1

    played(look, pbx)


def test_a_second_one_is_refused(pbx: Pbx, tmp_path: Path) -> None:
    other = Pbx(tmp_path)
    super(Pbx, other).start()
    assert other.wait() == 5
    assert "another simulated PBX is there" in other.log.read_text()

    async def look(watched: Watched) -> None:
        assert (await watched.control.about()).calls == 0

    played(look, pbx)


def test_what_a_dead_one_left_is_replaced(pbx: Pbx) -> None:
    pbx.end(signal.SIGKILL)
    assert pbx.socket.exists()

    async def nobody() -> None:
        with pytest.raises(PbxUnreachable):
            async with control_of(pbx.socket):
                pass

    trio.run(nobody)
    left = pbx.socket.stat().st_ino
    super(Pbx, pbx).start()

    async def look() -> None:
        async def replaced() -> bool:
            return pbx.socket.stat().st_ino != left

        await until(replaced)
        async with control_of(pbx.socket) as control:
            await control.about()

    trio.run(look)


def test_told_to_stop_it_goes_and_leaves_no_socket(pbx: Pbx) -> None:
    assert pbx.end(signal.SIGTERM) == 0
    assert not pbx.socket.exists()


def test_a_router_without_a_simulated_pbx_has_none(tmp_path: Path) -> None:
    pbx = Pbx(tmp_path)
    (tmp_path / "kommutator.toml").write_text("")
    super(Pbx, pbx).start()
    assert pbx.wait() == 2
    assert "no router has a simulated PBX" in pbx.log.read_text()


def test_it_says_when_it_is_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    told.settimeout(20)
    name = f"\0kommutator-test-{os.getpid()}"
    told.bind(name)
    monkeypatch.setenv("NOTIFY_SOCKET", "@" + name[1:])
    pbx = Pbx(tmp_path)
    with told:
        pbx.start()
        assert told.recv(4096).startswith(b"READY=1")
        pbx.end(signal.SIGTERM)
        assert told.recv(4096) == b"STOPPING=1"


def test_a_socket_may_lie_deeper_than_addresses_reach(tmp_path: Path) -> None:
    pbx = Pbx(tmp_path / ("deep" * 20) / ("deeper" * 10))
    assert len(str(pbx.socket)) > 108
    pbx.start()

    async def look(watched: Watched) -> None:
        assert not (await watched.control.about()).router

    played(look, pbx)
    pbx.end()


def test_who_does_not_greet_properly_is_sent_away(pbx: Pbx) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            with pytest.raises(PbxRefused, match="version 1 is spoken here, not 99"):
                await open_link(nursery, pbx.socket, codec.Hello(99, "control"))
            link = await open_link(nursery, pbx.socket, ASKED)
            nursery.start_soon(link.run, lambda told: None)
            with pytest.raises(PbxRefused, match="for a router"):
                await link.ask(codec.Serve())
            link.close()
        stream = await trio.open_unix_socket(str(pbx.socket))
        async with stream:
            await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
            assert await stream.receive_some() == b""

    trio.run(main)


def test_without_a_router_the_fallback_takes_a_message(pbx: Pbx) -> None:
    async def call(watched: Watched) -> None:
        acts = (CallerAct("record", speak=1.5, end="hash"),)
        call_id = await watched.control.place(codec.Place("+74951110001", "89161230099", acts=acts))
        await watched.happened(call_id, "fallback")
        (there,) = await watched.control.callers()
        assert (there.call_id, there.fallback) == (call_id, True)
        recorded = await watched.happened(call_id, "recorded")
        assert isinstance(recorded, codec.Happened)
        assert recorded.detail == "1.5"
        await watched.happened(call_id, "hung_up_on")
        standing = await watched.control.about()
        assert (standing.came, standing.fallbacks, standing.calls, standing.router) == (1, 1, 0, False)

    played(call, pbx)


def test_a_call_played_by_hand(pbx: Pbx, router: Router) -> None:
    async def call(watched: Watched) -> None:
        control = watched.control
        await routed(control)
        for endpoint, acts in BY_HAND.items():
            await control.behave(endpoint, acts)
        call_id = await control.place(codec.Place("+74951110002", "89161230099"))
        await watched.decided(call_id, "menu")
        await control.press(call_id, "1")
        await watched.happened(call_id, "rings")
        phones = {phone.endpoint: phone for phone in await control.phones()}
        rung = phones["PJSIP/102"]
        assert (rung.line, rung.name, rung.call_id, rung.caller, rung.by_hand) == (
            "ringing", "Борис", call_id, "89161230099", True
        )  # fmt: skip
        assert phones["PJSIP/101"].line == "idle"
        with pytest.raises(PbxRefused, match="nothing to answer"):
            await control.pick_up("PJSIP/101")
        await control.decline("PJSIP/102")
        await watched.decided(call_id, "record")
        await watched.happened(call_id, "beep")
        await control.speak(call_id, 1.0)
        await control.hang_up(call_id)
        over = await watched.over(call_id)
        assert over.fault == "none" or over.disposition == "abandoned"
        with pytest.raises(CallGone):
            await control.press(call_id, "1")
        with pytest.raises(PbxRefused, match="no keys"):
            await control.press(call_id, "x")

        (line,) = await router.lines()
        assert line["caller"] == "89161230099"

    played(call, pbx)


def test_somebody_picks_up_talks_and_puts_down(pbx: Pbx, router: Router) -> None:
    async def call(watched: Watched) -> None:
        control = watched.control
        await routed(control)
        call_id = await control.place(codec.Place("+74951110003", "89161230099", phones=BY_HAND))
        await watched.happened(call_id, "rings")
        await control.pick_up("PJSIP/101")
        await watched.decided(call_id, "talk")
        with pytest.raises(PbxRefused, match="nobody talks"):
            await control.put_down("PJSIP/102")
        await control.put_down("PJSIP/101")
        over = await watched.over(call_id)
        assert (over.disposition, over.fault) == ("answered", "none")
        assert [line["disposition"] for line in await router.lines()] == ["answered"]

    played(call, pbx)


def test_a_message_comes_to_the_routers_folder_as_sound(pbx: Pbx, router: Router) -> None:
    async def call(watched: Watched) -> None:
        await routed(watched.control)
        acts = (CallerAct("record", speak=5.5, end="hang_up"),)
        call_id = await watched.control.place(codec.Place("+74951110004", "89161230099", acts=acts))
        over = await watched.over(call_id)
        assert over.disposition == "voicemail"

    played(call, pbx)
    (sound,) = (router.folder / "recordings").glob("kt-*.wav")
    with wave.open(io.BytesIO(sound.read_bytes())) as reader:
        assert 5.4 < reader.getnframes() / reader.getframerate() < 5.7


@pytest.mark.usefixtures("router")
def test_the_same_id_comes_once(pbx: Pbx) -> None:
    async def call(watched: Watched) -> None:
        await routed(watched.control)
        await watched.control.place(codec.Place("+74951110001", call_id="one"))
        with pytest.raises(PbxRefused, match="there already"):
            await watched.control.place(codec.Place("+74951110001", call_id="one"))
        await watched.control.hang_up("one")
        await watched.over("one")

    played(call, pbx)


def test_who_hangs_up_before_the_router_is_ready_is_told_to_it_all_the_same(pbx: Pbx) -> None:
    async def call(watched: Watched) -> None:
        came: list[str] = []

        def hear(told: codec.FromPbx) -> None:
            if isinstance(told, codec.Came):
                came.append(told.call_id)

        async with trio.open_nursery() as nursery:
            router = await open_link(nursery, pbx.socket, codec.Hello(codec.PROTOCOL, "router", "first"))
            nursery.start_soon(router.run, hear)
            gone = await watched.control.place(codec.Place("+74951110001"))
            await watched.control.hang_up(gone)
            there = await watched.control.place(codec.Place("+74951110001"))
            await router.ask(codec.Serve())
            assert came == [gone, there]
            router.close()

    played(call, pbx)


def test_what_a_watcher_does_not_take_is_counted_and_nobody_waits_for_it(pbx: Pbx) -> None:
    async def call(watched: Watched) -> None:
        async with trio.open_nursery() as nursery:
            slow = await open_link(nursery, pbx.socket, ASKED)
            slow.tell(codec.Watch())
            # Nobody reads `slow`. Each call makes a line that waits for it.
            for number in range(400):
                caller = f"+7916{number:07d}" * 8
                call_id = await watched.control.place(codec.Place("+74951110001", caller))
                await watched.control.press(call_id, "1234567890" * 6)
                await watched.happened(call_id, "fallback")
            assert (await watched.control.about()).came == 400
            for there in await watched.control.callers():
                with suppress(CallGone):  # he may have had enough of the fallback meanwhile
                    await watched.control.hang_up(there.call_id)
            slow.close()

    played(call, pbx)


@pytest.mark.usefixtures("router")
def test_callers_come_by_themselves_at_the_rate_that_was_told(pbx: Pbx) -> None:
    async def call(watched: Watched) -> None:
        control = watched.control
        await routed(control)
        assert (await control.about()).came == 0
        with pytest.raises(PbxRefused, match="6000"):
            await control.traffic(6001)
        began_s = trio.current_time()
        await control.traffic(3000, ("+79161230077",), seed=7)

        async def came() -> bool:
            return (await control.about()).came >= 60

        await until(came)
        took_s = trio.current_time() - began_s
        await control.traffic(0)
        assert 0.6 < took_s < 6
        callers = [there.caller for there in await control.callers()]
        assert "+79161230077" in callers
        assert len(set(callers)) > 10
        assert {there.did for there in await control.callers()} <= {f"+7495111000{last}" for last in range(1, 5)}
        with pytest.raises(PbxProtocolError):
            codec.encode(codec.Ask(1, codec.Press("c", "1" * codec.LONGEST_LINE)))

    played(call, pbx)


@pytest.mark.usefixtures("router")
def test_a_call_waits_for_a_phone_that_rings_for_another(pbx: Pbx) -> None:
    async def call(watched: Watched) -> None:
        control = watched.control
        await routed(control)
        acts = (CallerAct("menu", press="1"),)
        first = await control.place(codec.Place("+74951110002", phones=BY_HAND, acts=acts))
        await watched.decided(first, "ring")
        second = await control.place(codec.Place("+74951110002", phones=BY_HAND, acts=acts))
        await watched.decided(second, "wait")
        await control.hang_up(first)
        await watched.over(first)
        await watched.decided(second, "ring")
        await watched.happened(second, "rings")
        await control.hang_up(second)
        over = await watched.over(second)
        assert (over.disposition, over.fault) == ("abandoned", "caller")

    played(call, pbx)

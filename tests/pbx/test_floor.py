"""Asterisk's device states become the lines of employees; requests travel by both transports."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
import trio

from kommutator.errors import CallGone, PbxRefused, PbxTimeout, PbxUnreachable
from kommutator.pbx.ari import requests
from kommutator.pbx.ari.adapter import AriPbx, AriSettings
from kommutator.pbx.ari.codec import (
    ChannelDestroyed,
    ChannelHangupRequest,
    Event,
    Request,
    Response,
    StasisEnd,
)
from kommutator.pbx.ari.session import Session
from kommutator.pbx.asterisk import line_of
from kommutator.routing.conversation import Arrangement, Party, Stage, Standing, has_ended
from kommutator.routing.ports import Call
from kommutator.routing.turn import Endpoint, HangUp, Ring, Talk, Turn
from tests.telephony.asterisk import Asterisk
from tests.telephony.dialogs import Behaviour
from tests.telephony.sipp import Caller, Phone


class Floor:
    """What an adapter tells."""

    def __init__(self) -> None:
        self.told: dict[str, list[str]] = {}
        self._seen: dict[str, int] = {}
        self._changed = trio.Event()

    def line(self, employee: str, line: str) -> None:
        self.told.setdefault(employee, []).append(line)
        self._changed.set()
        self._changed = trio.Event()

    def presence(self, employee: str, presence: str) -> None:
        raise AssertionError((employee, presence))

    async def wait(self, employee: str, line: str) -> None:
        """Wait until this is told after what was waited for last; it may have changed again since."""
        with trio.fail_after(60):
            while line not in self.told.get(employee, [])[self._seen.get(employee, 0) :]:
                await self._changed.wait()
        self._seen[employee] = self.told[employee].index(line, self._seen.get(employee, 0)) + 1


class NoSounds:
    def media(self, prompt: str, state: str) -> str:
        return f"sound:{prompt}"


def pbx(asterisk: Asterisk, folder: Path) -> AriPbx:
    settings = AriSettings(asterisk.ari_url, asterisk.ari_user, asterisk.ari_password, folder)
    return AriPbx(settings, NoSounds(), {"PJSIP/104": ["anna", "boris"], "PJSIP/105": ["vera"]})


async def ring_104(call: Call) -> None:
    """The smallest router: rings 104, lets them talk, hangs up."""
    ring = Turn("s0", 0, Ring((Endpoint("PJSIP/104"),), 20))
    try:
        await call.save(ring)
        event = await call.perform(ring)
        if event["type"] == "answered":
            await call.save(Turn("s1", 1, Talk("PJSIP/104")))
            talk, standing = Arrangement(1, Stage.TALKING, Party("PJSIP/104")), Standing()
            while not has_ended(standing.operator):
                standing = await call.converse(talk, standing, None)
        if event["type"] != "caller_hung_up":
            await call.perform(Turn("s2", 2, HangUp("busy")))
    except CallGone:
        pass
    await call.close(None)


async def with_pbx(
    adapter: AriPbx, on_call: Callable[[Call], Awaitable[None]], test: Callable[[Floor], Awaitable[None]]
) -> None:
    floor = Floor()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(adapter.run, on_call, floor)
        await adapter.found_calls()
        await test(floor)
        nursery.cancel_scope.cancel()


def in_thread(function: Callable[..., object], *args: object, **keywords: object) -> Awaitable[object]:
    return trio.to_thread.run_sync(functools.partial(function, *args, **keywords))


def test_lines_follow_the_phones(asterisk: Asterisk, tmp_path: Path) -> None:
    async def test(floor: Floor) -> None:
        assert floor.told == {"anna": ["unreachable"], "boris": ["unreachable"], "vera": ["unreachable"]}
        phone = await trio.to_thread.run_sync(Phone, asterisk, "104", Behaviour("answer", after=0.5))
        try:
            await floor.wait("anna", "idle")
            caller = await trio.to_thread.run_sync(Caller, asterisk, "+74951112233", "89160000104")
            await in_thread(caller.call)
            await floor.wait("anna", "ringing")
            await floor.wait("anna", "busy")
            # Before that he would take the call back, at the moment of its answer: SIPp gets stuck between the two.
            await in_thread(caller.wait_for, "200", of="INVITE", seconds=60)
            await in_thread(caller.hang_up)
            await floor.wait("anna", "idle")
            await in_thread(caller.close)
        finally:
            await in_thread(phone.close)
        await floor.wait("anna", "unreachable")
        assert floor.told["anna"] == ["unreachable", "idle", "ringing", "busy", "idle", "unreachable"]
        assert floor.told["anna"] == floor.told["boris"]
        assert floor.told["vera"] == ["unreachable"]

    trio.run(with_pbx, pbx(asterisk, tmp_path), ring_104, test)


def test_everything_works_over_http_too(asterisk: Asterisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> bool:
        return False

    monkeypatch.setattr(Session, "_probe", never)
    adapter = pbx(asterisk, tmp_path)

    async def test(floor: Floor) -> None:
        assert not adapter.session.requests_over_websocket
        phone = await trio.to_thread.run_sync(Phone, asterisk, "104", Behaviour("busy"))
        await floor.wait("anna", "idle")
        caller = await trio.to_thread.run_sync(Caller, asterisk, "+74951112233", "89160000105")
        await in_thread(caller.call)
        await in_thread(caller.wait_for, "486", of="INVITE")
        await in_thread(caller.close)
        await in_thread(phone.close)

    trio.run(with_pbx, adapter, ring_104, test)


def test_a_caller_is_hung_up_for_one_reason_however_late_asterisk_tells_of_it(
    asterisk: Asterisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two reasons in a row Asterisk gives the caller the one or the other: 486, or 603."""
    on_event, in_order = AriPbx._on_event, Session.in_order
    asked: list[Request] = []
    closed = trio.Event()

    def late(adapter: AriPbx, event: Event) -> None:
        """What tells that somebody has gone comes after the end of the call."""
        if not isinstance(event, ChannelHangupRequest | StasisEnd | ChannelDestroyed):
            on_event(adapter, event)

    async def heard(session: Session, wanted: Sequence[Request], deadline_s: float = 5.0) -> list[Response]:
        asked.extend(wanted)
        return await in_order(session, wanted, deadline_s)

    async def decline(call: Call) -> None:
        turn = Turn("s0", 0, HangUp("busy"))
        await call.save(turn)
        await call.perform(turn)
        await call.close(None)
        closed.set()

    monkeypatch.setattr(AriPbx, "_on_event", late)
    monkeypatch.setattr(Session, "in_order", heard)

    async def test(_: Floor) -> None:
        caller = await trio.to_thread.run_sync(Caller, asterisk, "+74951112233", "89160000106")
        await in_thread(caller.call)
        with trio.fail_after(60):
            await closed.wait()
        hung_up = [each.query for each in asked if each.method == "DELETE" and each.path[0] == "channels"]
        assert hung_up == [{"reason": "busy"}]
        await in_thread(caller.wait_for, "486", of="INVITE")
        await in_thread(caller.close)

    trio.run(with_pbx, pbx(asterisk, tmp_path), decline, test)


def test_a_wrong_password_is_told_at_once(asterisk: Asterisk, tmp_path: Path) -> None:
    adapter = AriPbx(AriSettings(asterisk.ari_url, "nobody", "wrong", tmp_path), NoSounds(), {})

    async def main() -> None:
        with trio.fail_after(5):
            await adapter.run(ring_104, Floor())

    with pytest.RaisesGroup(PbxRefused, flatten_subgroups=True):
        trio.run(main)


def test_a_request_without_a_connection_fails_at_once(asterisk: Asterisk) -> None:
    async def main() -> None:
        settings = AriSettings(asterisk.ari_url, "a", "b", Path())

        async def nothing() -> None:
            pass

        with pytest.raises(PbxUnreachable):
            await Session(settings, lambda _: None, nothing).request(requests.ping())

    trio.run(main)


def test_a_request_has_a_deadline(asterisk: Asterisk, tmp_path: Path) -> None:
    adapter = pbx(asterisk, tmp_path)

    async def test(_: Floor) -> None:
        with pytest.raises(PbxTimeout):
            await adapter.session.request(requests.list_channels(), deadline_s=0)

    trio.run(with_pbx, adapter, ring_104, test)


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ("NOT_INUSE", "idle"), ("INUSE", "busy"), ("BUSY", "busy"), ("ONHOLD", "busy"), ("RINGINUSE", "busy"),
        ("RINGING", "ringing"), ("UNAVAILABLE", "unreachable"), ("INVALID", "unreachable"), ("UNKNOWN", "idle"),
    ],
)  # fmt: skip
def test_device_states_are_lines(state: str, line: str) -> None:
    assert line_of(state) == line

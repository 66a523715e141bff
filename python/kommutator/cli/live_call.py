"""A call at a running simulated PBX, told while it goes on."""

from __future__ import annotations

import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

import click
import orjson
import trio
from rich.console import Console
from rich.text import Text

from kommutator.cli.narration import Cast, Narrator
from kommutator.configuration import Configuration, Simulated
from kommutator.errors import PbxError
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.control import PbxControl, control_of
from kommutator.pbx.simulated.world import Happening

CLOSES_S: Final = 15.0
"""So long after the caller has gone a router may take to close the call."""
_ASKS_S: Final = 1.0
_KEYS: Final = frozenset("0123456789*#")


@dataclass(slots=True)
class Ended:
    """How a live call ended, as far as it is known."""

    call_id: str
    disposition: str | None = None
    fault: str | None = None
    began_ms: int = 0
    ended_ms: int = 0


def socket_of(configuration: Configuration, name: str | None) -> Path | None:
    """The socket of the simulated PBX that is meant: of this name, else the first that answers; None when none does."""
    names = [each for each, router in configuration.routers.items() if isinstance(router.pbx, Simulated)]
    found = sorted((configuration.data / "pbx").glob("*.sock"))
    sockets = [configuration.pbx_socket(each) for each in names]
    sockets += [socket for socket in found if socket not in sockets]
    if name is not None:
        sockets = [configuration.pbx_socket(name)]
    return next((socket for socket in sockets if socket.exists() and trio.run(_answers, socket)), None)


def call_live(socket: Path, place: codec.Place, language: str, *, as_json: bool, by_hand: bool) -> bool:
    """Place the call and tell it until it ends; False when its end is not known, for want of a router.

    `by_hand` presses keys that are typed on the caller's phone. Whoever interrupts the command hangs up, and, once the
    caller has gone, leaves. Raises `PbxError`.
    """
    ended = trio.run(_call, socket, place, language, as_json, by_hand)
    if as_json:
        seconds = (ended.ended_ms - ended.began_ms) / 1000
        line = {"call_id": ended.call_id, "did": place.did, "caller": place.caller, "seconds": seconds}
        click.echo(orjson.dumps({**line, "disposition": ended.disposition, "fault": ended.fault}))
    return ended.disposition is not None


async def _answers(socket: Path) -> bool:
    try:
        with trio.fail_after(_ASKS_S):
            async with control_of(socket):
                return True
    except (PbxError, trio.TooSlowError):
        return False


async def _call(socket: Path, place: codec.Place, language: str, as_json: bool, by_hand: bool) -> Ended:
    call_id = f"live-{uuid4().hex[:16]}"
    console = Console(highlight=False, soft_wrap=True, quiet=as_json)
    async with control_of(socket) as control:
        standing = await control.about()
        narrator = Narrator(console, Cast.told(standing.sounds), language)
        console.print(Text(f"{place.did} ← {place.caller or '—'}", style="bold"))
        await control.watch(call_id)
        placed = codec.Place(place.did, place.caller, call_id, place.acts, place.phones)
        await control.place(placed)
        ended = Ended(call_id)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_interrupted, control, call_id, nursery.cancel_scope)
            if by_hand:
                nursery.start_soon(_by_hand, control, call_id)
            await _tell(control, narrator, ended)
            nursery.cancel_scope.cancel()
    return ended


async def _until_interrupted(control: PbxControl, call_id: str, scope: trio.CancelScope) -> None:
    """The first interrupt hangs up, the second leaves."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            try:
                await control.hang_up(call_id)
            except PbxError:
                scope.cancel()


async def _tell(control: PbxControl, narrator: Narrator, ended: Ended) -> None:
    """Tell what happens to the call until it is over, or nothing more can come."""
    call_id = ended.call_id
    fallback = False
    with trio.CancelScope() as scope, suppress(trio.EndOfChannel):
        while True:
            match told := await control.told():
                case codec.Happened(at_ms=at_ms, what=what):
                    narrator.happened(Happening(at_ms, call_id, what, told.endpoint, told.detail))
                    ended.began_ms = ended.began_ms or at_ms
                    ended.ended_ms = at_ms
                    fallback = fallback or what == "fallback"
                    if what in ("hung_up", "hung_up_on"):
                        scope.deadline = trio.current_time() + (0 if fallback else CLOSES_S)
                case codec.Decided(at_ms=at_ms, turn=turn):
                    narrator.turned(at_ms, turn)
                case codec.Over(at_ms=at_ms, disposition=disposition, fault=fault):
                    ended.disposition, ended.fault, ended.ended_ms = disposition or "failed", fault or "ours", at_ms
                    narrator.ended(call_id, at_ms, ended.disposition, ended.fault)
                    return
                case codec.Missed():
                    continue


async def _by_hand(control: PbxControl, call_id: str) -> None:
    """Press what is typed; `h` hangs up. Ends with the terminal."""
    with _key_by_key():
        while True:
            await trio.lowlevel.wait_readable(sys.stdin.fileno())
            typed = os.read(sys.stdin.fileno(), 64).decode(errors="ignore")
            if not typed:
                return
            try:
                keys = "".join(key for key in typed if key in _KEYS)
                if keys:
                    await control.press(call_id, keys)
                if "h" in typed:
                    await control.hang_up(call_id)
            except PbxError:
                return  # whoever tells knows, too


@contextmanager
def _key_by_key() -> Iterator[None]:
    """The terminal gives each key at once, and does not show it."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    try:
        tty.setcbreak(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)

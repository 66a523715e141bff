"""The simulated PBX as a process of its own, in real time, on a Unix socket.

It outlives its routers: calls, legs and messages stay as they are while none is there. A caller who comes then is taken by
the PBX itself, as the fallback of a dialplan does it: he leaves a message, which no router ever hears of, and is counted.
"""

from __future__ import annotations

import os
import socket as sockets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Final
from uuid import uuid4

import structlog
import trio

from kommutator import processes
from kommutator.errors import DataFolderBusy, PbxProtocolError, PbxRefused
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.agenda import Agenda
from kommutator.pbx.simulated.behaviour import CallerScript, PhoneScript
from kommutator.pbx.simulated.call import SimulatedCall
from kommutator.pbx.simulated.controlled import ControlSession
from kommutator.pbx.simulated.peer import Peer, address_of
from kommutator.pbx.simulated.routed import RouterSession
from kommutator.pbx.simulated.traffic import Traffic, likely_phone
from kommutator.pbx.simulated.world import Channel, Happening, World

MOST_CALLS: Final = 2000
"""Callers on the line at once; more are refused."""
MOST_CLIENTS: Final = 512
KEPT: Final = 10_000
"""Calls, legs and messages that are over and still known."""
UNKNOWN_PROMPT_S: Final = 3.0
FALLBACK_PROMPT_S: Final = 3.0
FALLBACK_MESSAGE_S: Final = 120.0
LEFT_ALONE_S: Final = 60.0
"""So long a phone rings on for a caller who has gone while no router was there to stop it."""
_GREETING_S: Final = 5.0


class PbxHost:
    """The PBX and everybody connected to it. `callers` are numbers of those who come by themselves, `dials` those that they
    call; `seed` makes its people's whims."""

    def __init__(
        self,
        name: str,
        socket: Path,
        calls_per_minute: float = 0,
        callers: Sequence[str] = (),
        dials: Sequence[str] = (),
        seed: int | None = None,
    ) -> None:
        self.name = name
        self.instance = uuid4().hex
        self.calls: dict[str, SimulatedCall] = {}
        """The calls of the router, as it has been told of them."""
        self.sounds = codec.Sounds()
        self.came = 0
        self.fallbacks = 0
        self.router: RouterSession | None = None
        self.fetched: dict[str, None] = {}
        """Recordings that a router has brought to its folder."""
        self._socket = socket
        self._seconds = _Seconds()
        self._watchers: set[ControlSession] = set()
        self._clients = 0
        self._router_instance = ""
        self._whims = Random(seed)
        self._log = structlog.get_logger().bind(pbx=name)
        self.agenda = Agenda(_machine_ms(), trio.lowlevel.checkpoint)
        self.world = World(
            self.agenda,
            self._seconds,
            {},
            self._happened,
            unnamed=partial(likely_phone, self._whims),
            kept=KEPT,
        )
        self.traffic = Traffic(self, calls_per_minute, callers, dials, self._whims)

    async def run(self, on_listening: Callable[[], None]) -> None:
        """Serve until cancelled; whoever is on the line is cut off then. Raises `DataFolderBusy` when another process
        serves this socket, and `OSError` when it cannot be made."""
        with _alone(self._socket), _listening(self._socket) as listener:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._live)
                nursery.start_soon(self.traffic.run)
                on_listening()
                await trio.serve_listeners(self._serve, [listener])

    async def _live(self) -> None:
        self.agenda.set(_machine_ms())  # it was made a while ago
        await self.agenda.live()

    # --- callers

    def place(
        self,
        call_id: str | None,
        did: str,
        caller: str | None,
        script: CallerScript,
        phones: dict[str, PhoneScript] | None = None,
    ) -> str:
        """Let a caller come; the call's id. Raises `PbxRefused` when the PBX is full, or the id in use."""
        if len(self.world.channels) >= MOST_CALLS:
            raise PbxRefused(f"{MOST_CALLS} callers are on the line already")
        call_id = call_id or f"{self.name}-{uuid4().hex[:16]}"
        if call_id in self.calls or call_id in self.world.channels:
            raise PbxRefused(f"a call {call_id} is there already")
        channel = self.world.come(call_id, did, caller, script)
        channel.phones.update(phones or {})
        self.came += 1
        if self.router is not None:
            self.router.came(channel)
        else:
            self._fall_back(channel)
        return call_id

    @property
    def on_the_line(self) -> int:
        """How many callers are there."""
        return len(self.world.channels)

    def channel(self, call_id: str) -> Channel | None:
        """A caller on the line."""
        return self.world.channels.get(call_id)

    def _fall_back(self, channel: Channel) -> None:
        """No router is there: take a message, and end the call."""
        channel.fallback = True
        self.fallbacks += 1
        self._log.warning("no router: the fallback takes a call", call=channel.call_id, fallbacks=self.fallbacks)
        self.world.note(channel.call_id, "fallback")
        recording = f"fallback-{channel.call_id}"
        self.fetched[recording] = None

        def record() -> None:
            if channel.gone_ms is None:
                channel.act = channel.script.next("record")
                self.world.record(channel, recording, FALLBACK_MESSAGE_S)

        self.agenda.after(FALLBACK_PROMPT_S, record)

    # --- routers

    def take_router(self, session: RouterSession, instance: str) -> None:
        """This router serves from now on. Another than before knows nothing of what that one knew."""
        self.router = session
        if instance != self._router_instance:
            self._router_instance = instance
            self.calls.clear()
            for orphan in self.world.past:
                self.world.cancel(orphan)

    def know(self, sounds: codec.Sounds) -> None:
        """What a router says of its company."""
        self.sounds = sounds
        self._seconds.clear()
        self._seconds.update(sounds.seconds)
        self.traffic.changed()

    # --- those who watch

    def watch(self, session: ControlSession) -> None:
        """Tell this one, too."""
        self._watchers.add(session)

    def forget(self, session: ControlSession) -> None:
        """Tell this one no more."""
        self._watchers.discard(session)

    def tell(self, told: codec.Told, call_id: str) -> None:
        """Tell those who watch."""
        for session in self._watchers:
            session.tell(told, call_id)

    def _happened(self, happening: Happening) -> None:
        self.tell(
            codec.Happened(
                happening.at_ms, happening.call_id, happening.what, happening.endpoint, happening.detail
            ),
            happening.call_id,
        )  # fmt: skip
        if happening.what == "hung_up" and self.router is None:
            channel = self.world.channels.get(happening.call_id)
            if channel is not None and channel.routed:
                self.agenda.after(LEFT_ALONE_S, partial(self._left_alone, channel))
        elif happening.what == "recorded":
            channel = self.world.channels.get(happening.call_id)
            if channel is not None and channel.fallback:
                self.agenda.after(0, partial(self.world.hang_up, channel, "hung_up_on"))
            while len(self.fetched) > KEPT:
                del self.fetched[next(iter(self.fetched))]

    def _left_alone(self, channel: Channel) -> None:
        if self.router is None:
            self.world.cancel(channel)

    # --- connections

    async def _serve(self, stream: trio.SocketStream) -> None:
        """The supervisor of one connection."""
        peer: Peer[codec.ToPbx] = Peer(stream, codec.ToPbx)
        log = self._log
        self._clients += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.run)
                await self._greet(peer)
                peer.finish()
        except* PbxProtocolError as group:
            self._log.warning("a client cannot be understood", reason=repr(group.exceptions[0]))
        except* Exception:
            log.exception("a connection failed in our code")
        finally:
            self._clients -= 1

    async def _greet(self, peer: Peer[codec.ToPbx]) -> None:
        hello: codec.ToPbx | None = None
        with trio.move_on_after(_GREETING_S):
            hello = await peer.receive()
        match hello:
            case None:
                return
            case codec.Hello(protocol=codec.PROTOCOL):
                pass
            case codec.Hello(protocol=other):
                peer.post(codec.Refused("protocol", f"version {codec.PROTOCOL} is spoken here, not {other}"))
                return
            case _:
                raise PbxProtocolError("it did not greet")
        if self._clients > MOST_CLIENTS:
            peer.post(codec.Refused("too_many", f"{MOST_CLIENTS} clients are connected already"))
            return
        welcome = codec.Welcome(codec.PROTOCOL, self.name, self.instance)
        if hello.role == "control":
            peer.post(welcome)
            await ControlSession(self, peer).run()
            return
        while self.router is not None:
            if not hello.replaces:
                peer.post(codec.Refused("occupied", "another router is connected"))
                return
            await self.router.replaced()
        peer.post(welcome)
        self._log.info("router connected")
        try:
            await RouterSession(self, peer, hello.instance).run()
        finally:
            self._log.info("router disconnected")


def _machine_ms() -> int:
    return time.time_ns() // 1_000_000


class _Seconds(dict[str, float]):
    """The prompts' lengths, as far as a router has told them."""

    def __missing__(self, prompt: str) -> float:
        return UNKNOWN_PROMPT_S


@contextmanager
def _alone(socket: Path) -> Iterator[None]:
    """Hold the socket's lock. Raises `DataFolderBusy`."""
    socket.parent.mkdir(parents=True, exist_ok=True)
    lock = processes.hold(socket.with_suffix(".lock"))
    if lock is None:
        raise DataFolderBusy(f"{socket}: another simulated PBX is there")
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def _listening(socket: Path) -> Iterator[trio.SocketListener]:
    """A socket for its owner alone, in the place of what a dead process has left; it is there as soon as it listens."""
    made = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    coming = socket.with_name(f".{socket.name}")
    try:
        coming.unlink(missing_ok=True)
        with address_of(coming) as address:
            before = os.umask(0o177)
            try:
                made.bind(address)
            finally:
                os.umask(before)
        made.listen(128)
        coming.replace(socket)
        made.setblocking(False)
        yield trio.SocketListener(trio.socket.from_stdlib_socket(made))
    finally:
        made.close()
        socket.unlink(missing_ok=True)

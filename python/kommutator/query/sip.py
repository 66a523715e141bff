"""The SIP redirect endpoint: INVITEs by UDP, answered with where the call should go.

What an answer means is in the compiled `SipRedirect`, and so is the way of a datagram: a thread for each socket reads what has
come, decides, puts the calls into the spool and answers, without Python. What is left to Python are questions that only a
desk or another router can answer, and what is made of calls after their answers (`decisions`).

Nothing is heard of a call after its answer. Whom it rings first is held for some seconds, so that no other call rings them
until their PBX says that they ring; it is in the ledger as `transferred`. A call that needs a voice goes to whoever has
one, and begins anew there: it is his, and not in this ledger.
"""

from __future__ import annotations

import ctypes
import secrets
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
import trio

from kommutator._engine import Engine, SipRedirect
from kommutator.errors import AddressTaken
from kommutator.query.claiming import Claiming
from kommutator.query.decisions import Decisions
from kommutator.routing.ports import Lookups
from kommutator.routing.turn import Event, FindHistory, FindOwner, Ring, Turn

Address = tuple[str, int] | tuple[str, int, int, int]

LONGEST = 16_384
"""The longest request, bytes: what is longer is answered 513."""
_LOOK_UP_S = 0.1
"""So long a thread waits for a datagram before it looks whether it is to stop."""
_AGAIN_S = 0.5
_ATTACH_FILTER = 26
"""`SO_ATTACH_FILTER` of Linux."""
_BUFFER = 4 * 1024 * 1024
"""What the kernel is asked to keep for us, bytes; it may give less."""
_KINDS = ("calls", "again", "refused", "too_many", "strangers", "unreadable", "failed", "unsent")


@dataclass(frozen=True, slots=True)
class SipSettings:
    """Where it listens, who may ask, and how addresses become contacts; see `configuration.Redirect`."""

    listen: Sequence[str]
    phone: str
    number: str
    media: str | None = None
    sources: Sequence[str] = ("127.0.0.0/8", "::1")
    identity_from: Sequence[str] = ()
    calls_per_second: int | None = None
    hold_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Shared:
    """What a process has from the one that began it, and its siblings have, too."""

    sockets: Sequence[socket.socket]
    """Where it listens."""
    key: bytes
    """Its siblings' as well: a request that comes again to another of them is the same call."""
    claims: Path
    """The file in whose locks they hold employees against each other."""


class SipEndpoint:
    """The endpoint. Its sockets listen when it is made, and close with `close`."""

    def __init__(
        self,
        settings: SipSettings,
        engine: Engine,
        decisions: Decisions | None,
        lookups: Lookups,
        shared: Shared | None = None,
        claiming: Claiming | None = None,
    ) -> None:
        """Without `decisions`, calls are in no ledger; without `claiming`, nobody is rung whose phone is at another PBX.
        Raises `AddressTaken`, and `ValueError` for a template or a network that is none."""
        self._engine = engine
        self.decisions = decisions
        """The journal."""
        self._lookups = lookups
        self._claiming = claiming
        self._log = structlog.get_logger()
        with ExitStack() as opened:
            sockets = shared.sockets if shared is not None else listening(settings.listen)
            self._sockets = [opened.enter_context(each) for each in sockets]
            self._woken, waker = (opened.enter_context(end) for end in socket.socketpair())
            self._woken.setblocking(False)
            self._redirect = SipRedirect(
                sources=list(settings.sources),
                identity_from=list(settings.identity_from),
                phone=settings.phone,
                number=settings.number,
                media=settings.media,
                calls_per_second=settings.calls_per_second,
                hold_ms=round(settings.hold_s * 1000),
                longest=LONGEST,
                key=shared.key if shared is not None else secrets.token_bytes(16),
                waker=waker.fileno(),
                spool=decisions.spool if decisions is not None else None,
                claims=shared.claims if shared is not None else None,
                known=decisions.recent if decisions is not None else set(),
            )
            self._opened = opened.pop_all()

    @property
    def addresses(self) -> list[Address]:
        """Where it listens."""
        return [sock.getsockname() for sock in self._sockets]

    def counts(self) -> dict[str, int]:
        """What has come, by kind, and how many answers the network did not take (`unsent`)."""
        return self._redirect.counts()

    def watch(self, gauge: Callable[[str, str, Callable[[], float]], None]) -> None:
        """Have the counts shown as gauges."""
        for kind in _KINDS:
            gauge(f"sip_{kind}", f"SIP requests counted as {kind}.", partial(self._count, kind))

    def _count(self, kind: str) -> float:
        return self.counts()[kind]

    def close(self) -> None:
        """Listen no more."""
        self._opened.close()

    async def run(self) -> None:
        """Answer until cancelled."""
        with self._opened, ExitStack() as last:
            if self.decisions is not None:
                last.callback(self.decisions.close)
            async with trio.open_nursery() as nursery:
                limiter = trio.CapacityLimiter(len(self._sockets))
                for sock in self._sockets:
                    nursery.start_soon(self._serve, sock, limiter)
                if self.decisions is not None:
                    nursery.start_soon(self.decisions.run)
                try:
                    await self._tend(nursery)
                finally:
                    self._redirect.stop()

    async def _serve(self, sock: socket.socket, limiter: trio.CapacityLimiter) -> None:
        while True:
            try:
                # A thread is not cancelled: it returns when it was told to stop.
                await trio.to_thread.run_sync(self._redirect.serve, self._engine, sock.fileno(), limiter=limiter)
                return
            except OSError as error:
                self._log.error("datagrams cannot be read", reason=str(error))
                await trio.sleep(_AGAIN_S)

    async def _tend(self, nursery: trio.Nursery) -> None:
        """Have questions asked."""
        while True:
            await trio.lowlevel.wait_readable(self._woken)
            with suppress(BlockingIOError):
                self._woken.recv(64)
            for call_id, turn, sock in self._redirect.questions():
                nursery.start_soon(self._ask, call_id, Turn.of(turn), sock)

    async def _ask(self, call_id: str, turn: Turn, sock: int) -> None:
        event: Event = {"type": "failed"}
        match turn.action:
            case FindOwner(caller=caller, timeout_ms=timeout_ms):
                with trio.move_on_after(timeout_ms / 1000):
                    event = await self._lookups.owner(caller)
            case FindHistory(caller=caller, timeout_ms=timeout_ms, days=days):
                with trio.move_on_after(timeout_ms / 1000):
                    event = await self._lookups.history(caller, days)
            case Ring(endpoints=endpoints):
                rung = [each.employee for each in endpoints if each.employee is not None]
                claiming = self._claiming
                event = await claiming.claim(call_id, rung) if claiming else {"type": "taken", "employees": rung}
        self._redirect.go_on(self._engine, sock, call_id, event)


def listening(addresses: Sequence[str]) -> list[socket.socket]:
    """Sockets of UDP at each `host:port`, which other processes may share. Raises `AddressTaken`."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(_listening(text)) for text in addresses]
        opened.pop_all()
        return sockets


def _listening(text: str) -> socket.socket:
    """A socket of UDP on `host:port`, which other routers may share: each gets the requests of some of the clients."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, round(_LOOK_UP_S * 1e6)))
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            _without_acks(sock)
            sock.bind(address)
        except OSError:
            sock.close()
            raise
    except OSError as error:
        raise AddressTaken(f"{text}: {error.strerror or error}") from error
    return sock


def _without_acks(sock: socket.socket) -> None:
    """Have the kernel drop every ACK: each answer is followed by one, and it asks for nothing.

    A classic filter of four instructions (socket(7), SO_ATTACH_FILTER): load the four bytes after the header of UDP, compare
    them with `ACK `, take nothing or all. Where the kernel takes no filter, ACKs are read and ignored.
    """
    load, equal, take = 0x20, 0x15, 0x06
    after_header = 8
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (load, 0, 0, after_header),
            (equal, 0, 1, int.from_bytes(b"ACK ", "big")),
            (take, 0, 0, 0),
            (take, 0, 0, 0xFFFF_FFFF),
        )
    )
    kept = ctypes.create_string_buffer(program)
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("HL", 4, ctypes.addressof(kept)))

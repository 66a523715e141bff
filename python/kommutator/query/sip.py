"""The SIP redirect endpoint: INVITEs by UDP, answered with where the call should go.

What an answer means is in the compiled `SipRedirect`, which parses, decides and writes; here datagrams are moved. Each
wake-up reads whatever has come, up to a bound, and crosses into the compiled part once: the wake-up costs several times what a
decision does. A call is told to the journal
before its answer leaves.

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

import structlog
import trio

from kommutator._engine import Engine, SipRedirect
from kommutator.errors import AddressTaken, BadNumber
from kommutator.routing.ports import Clock, Journal, Lookups
from kommutator.routing.turn import Event, FindHistory, FindOwner, Turn

Address = tuple[str, int] | tuple[str, int, int, int]

LONGEST = 16_384
"""The longest request, bytes: what is longer is answered 513."""
_AT_ONCE = 64
"""So many datagrams are read before others have their turn."""
_BUSY_S, _GATHER_S = 0.003, 0.002
"""Requests that follow one another so closely are gathered for so long, so that a wake-up answers several."""
_LET_GO_EVERY_S = 0.5
_ATTACH_FILTER = 26
"""`SO_ATTACH_FILTER` of Linux."""
_BUFFER = 4 * 1024 * 1024
"""What the kernel is asked to keep for us, bytes; it may give less."""
_KINDS = ("calls", "again", "refused", "too_many", "strangers", "unreadable", "failed")


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


class SipEndpoint:
    """The endpoint. Its sockets listen when it is made, and close with `close`."""

    def __init__(
        self, settings: SipSettings, engine: Engine, journal: Journal | None, lookups: Lookups, clock: Clock
    ) -> None:
        """Without a `journal`, calls are in no ledger. Raises `AddressTaken`, and `ValueError` for a template or a
        network that is none."""
        self._engine = engine
        self._journal = journal
        self._lookups = lookups
        self._clock = clock
        self._log = structlog.get_logger()
        self._redirect = SipRedirect(
            sources=list(settings.sources),
            identity_from=list(settings.identity_from),
            phone=settings.phone,
            number=settings.number,
            media=settings.media,
            calls_per_second=settings.calls_per_second,
            hold_ms=round(settings.hold_s * 1000),
            longest=LONGEST,
            key=secrets.token_bytes(16),
            journal=journal is not None,
        )
        self._unsent = 0
        with ExitStack() as opened:
            self._sockets = [opened.enter_context(_listening(text)) for text in settings.listen]
            self._opened = opened.pop_all()

    @property
    def addresses(self) -> list[Address]:
        """Where it listens."""
        return [sock.getsockname() for sock in self._sockets]

    def counts(self) -> dict[str, int]:
        """What has come, by kind, and how many answers the network did not take (`unsent`)."""
        return {**self._redirect.counts(), "unsent": self._unsent}

    def watch(self, gauge: Callable[[str, str, Callable[[], float]], None]) -> None:
        """Have the counts shown as gauges."""
        for kind in (*_KINDS, "unsent"):
            gauge(f"sip_{kind}", f"SIP requests counted as {kind}.", partial(self._count, kind))

    def _count(self, kind: str) -> float:
        return self.counts()[kind]

    def close(self) -> None:
        """Listen no more."""
        self._opened.close()

    async def run(self) -> None:
        """Answer until cancelled."""
        with self._opened:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._let_go)
                for sock in self._sockets:
                    nursery.start_soon(self._serve, sock, nursery)

    async def _let_go(self) -> None:
        while True:
            await trio.sleep(_LET_GO_EVERY_S)
            self._redirect.let_go(self._engine, self._clock.now_ms())

    async def _serve(self, sock: socket.socket, nursery: trio.Nursery) -> None:
        take, engine, now_ms = self._redirect.take, self._engine, self._clock.now_ms
        receive, now = sock.recvfrom_into, trio.current_time
        room = memoryview(bytearray(LONGEST + 1))
        last = 0.0
        await trio.lowlevel.wait_readable(sock)
        while True:
            datagrams: list[tuple[bytes, Address]] = []
            try:
                for _ in range(_AT_ONCE):
                    size, address = receive(room)
                    datagrams.append((bytes(room[:size]), address))
            except BlockingIOError:
                pass
            except OSError as error:
                self._log.warning("a datagram could not be read", reason=str(error))
            if datagrams:
                self._finish(sock, take(engine, datagrams, now_ms()), nursery)
            before, last = last, now()
            if datagrams and last - before < _BUSY_S:
                await trio.sleep(_GATHER_S)
            else:
                await trio.lowlevel.wait_readable(sock)

    def _finish(self, sock: socket.socket, answers: list[tuple[bytes, Address]], nursery: trio.Nursery) -> None:
        if self._journal is not None:
            self._tell(self._journal)
        for datagram, address in answers:
            try:
                sock.sendto(datagram, address)
            except OSError:  # a full buffer, or no way there: the request comes again, and so does the answer
                self._unsent += 1
        for call_id, turn in self._redirect.questions():
            nursery.start_soon(self._ask, sock, call_id, Turn.of(turn), nursery)

    async def _ask(self, sock: socket.socket, call_id: str, turn: Turn, nursery: trio.Nursery) -> None:
        event: Event = {"type": "failed"}
        match turn.action:
            case FindOwner(caller=caller, timeout_ms=timeout_ms):
                with trio.move_on_after(timeout_ms / 1000):
                    event = await self._lookups.owner(caller)
            case FindHistory(caller=caller, timeout_ms=timeout_ms, days=days):
                with trio.move_on_after(timeout_ms / 1000):
                    event = await self._lookups.history(caller, days)
        self._finish(sock, self._redirect.go_on(self._engine, call_id, event, self._clock.now_ms()), nursery)

    def _tell(self, journal: Journal) -> None:
        at_ms = self._clock.now_ms()
        for call_id, did, caller, turns, disposition, fault in self._redirect.decided():
            journal.began(call_id, did, caller, at_ms)
            for event, turn in turns:
                journal.turned(call_id, at_ms, event, Turn.of(turn))
            journal.ended(call_id, at_ms, disposition, fault)
            if caller is not None:
                with suppress(BadNumber):
                    self._engine.called(caller, at_ms)


def _listening(text: str) -> socket.socket:
    """A socket of UDP on `host:port`, which other routers may share: each gets the requests of some of the clients."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
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

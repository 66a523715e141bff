"""A SIP redirect server under load, by UDP: `sip:HOST:PORT`. An INVITE is a call, its final answer the first action.

| the answer | the action told |
|---|---|
| 3xx whose contacts have `q` | `ring`: the endpoints are the users of the contacts, each with its rank, from 0 by falling `q` |
| 3xx without `q` | `voice`: the call begins anew at whoever plays and records |
| 480 without a Reason | `voice`: nobody is there who could |
| 404, 480, 486, 603 | `hang_up` with the cause of the Reason (Q.850), else of the status |

Every other status is an error, `sip 503`. An answer is right when the redirect server's own rules give it, from an engine
of ours: it is what the call gets with everybody free, everybody soon to be free, or everybody on a call, or some of those contacts,
for who is held by other calls is the server's to know; who owns a client or has called before, nobody says here, as without a desk.

The calls go out from several ports: servers that share one by `SO_REUSEPORT` are told apart by that.
"""

from __future__ import annotations

import secrets
import select
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from time import perf_counter
from typing import Final

import trio

from kommutator._engine import SipRedirect
from kommutator.company.reader import load
from kommutator.engine import Engine
from kommutator.errors import BadTarget, TargetUnreachable
from kommutator.load.reference import Expected
from kommutator.load.target import Ask, Json, Options, Server, Told
from kommutator.load.targets.sip_transactions import Response, Transactions

SOCKETS: Final = 8
_BUFFER: Final = 4 * 1024 * 1024
_LONGEST: Final = 16_384
_AT_ONCE: Final = 256
"""So many datagrams of a socket are read before the next has its turn."""
_TIMERS_EVERY_S: Final = 0.05
_TRIES: Final = 16
_FLOORS: Final = ("idle", "wrap_up", "busy")
_LATER_MS: Final = 10_000
"""A server may decide so long after the call was due, by another hour of its schedules."""
_BY_CAUSE: Final = {16: "normal", 17: "busy", 19: "no_answer", 34: "congestion", 21: "rejected", 1: "unallocated"}
_BY_STATUS: Final = {404: "unallocated", 480: "no_answer", 486: "busy", 603: "normal"}


class SipTold(Told):
    """What came of an INVITE, with the call that it was: right is by that."""

    ask: Ask | None = None


def make(address: str, options: Options) -> SipTarget:
    """The target at `sip:host:port`; IPv6 as `sip:[::1]:5060`. Raises `BadTarget`."""
    host, colon, port = address.partition(":")[2].rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise BadTarget(f"`{address}` is not of the form sip:HOST:PORT")
    return SipTarget(host, int(port), options)


class _Port:
    """One socket, its transactions, and the tasks that wait for them."""

    def __init__(self, sock: socket.socket, server: str) -> None:
        self.sock = sock
        self.transactions = Transactions(secrets.token_hex(6), server, _written(sock.getsockname()))
        self.waiting: dict[int, tuple[trio.lowlevel.Task, SipTold]] = {}

    def send(self, datagram: bytes, now: float) -> None:
        """Send. What the network does not take comes again by its timer."""
        with suppress(BlockingIOError):
            try:
                self.sock.send(datagram)
            except ConnectionRefusedError:  # of one that was sent before; this one has not been sent
                self.refused(now)
                with suppress(ConnectionRefusedError):
                    self.sock.send(datagram)

    def refused(self, now: float) -> None:
        """Nobody listens there."""
        for number in self.transactions.fail_all(now):
            self.finish(number, now, error="refused")

    def finish(
        self, number: int, now: float, *, actions: Sequence[Json] = (), error: str | None = None, detail: str = ""
    ) -> None:
        """The call is answered, or has failed."""
        found = self.waiting.pop(number, None)
        if found is not None:
            task, told = found
            told.first_at, told.actions, told.error, told.detail = now, actions, error, detail
            trio.lowlevel.reschedule(task)


class SipTarget:
    """The redirect server at `host`:`port`."""

    def __init__(self, host: str, port: int, options: Options) -> None:
        self._host = host
        self._port = port
        self._company = options.company
        self._rules: _Rules | None = None
        self._ports: list[_Port] = []
        self._opened = ExitStack()

    async def open(self, nursery: trio.Nursery) -> None:
        """Take the ports to call from. Raises `TargetUnreachable` where the name leads nowhere: UDP tells no more."""
        try:
            found = await trio.socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
            family, _, _, _, address = found[0]
            for _ in range(SOCKETS):
                sock = self._opened.enter_context(socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
                for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                    sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
                sock.connect(address)
                self._ports.append(_Port(sock, _written(address)))
        except OSError as error:
            self._opened.close()
            raise TargetUnreachable(f"{self._host}:{self._port}: {error.strerror or error}") from error
        nursery.start_soon(self._receive)
        nursery.start_soon(self._keep_time)

    async def ask(self, ask: Ask) -> Told:
        """Send an INVITE and wait for its final answer."""
        port = self._ports[ask.number % len(self._ports)]
        told = SipTold(ask=ask, sent_at=(now := perf_counter()))
        number, invite = port.transactions.invite(ask.call_id, ask.did, ask.caller, now)
        port.waiting[number] = (trio.lowlevel.current_task(), told)

        def give_up(_: object) -> trio.lowlevel.Abort:
            del port.waiting[number]
            now = perf_counter()
            cancel = port.transactions.give_up(number, now)
            if cancel is not None and port.sock.fileno() >= 0:
                port.send(cancel, now)
            return trio.lowlevel.Abort.SUCCEEDED

        port.send(invite, now)
        await trio.lowlevel.wait_task_rescheduled(give_up)
        return told

    async def close(self) -> None:
        """Give the ports back."""
        self._opened.close()

    def servers(self) -> Sequence[Server]:
        """Whoever listens at the port."""
        return [Server(udp=(self._host, self._port))]

    def compare(self, expected: Expected, told: Told) -> str | None:
        """What is wrong, by the redirect server's own rules; without a company's document nothing can be."""
        if self._company is None or not isinstance(told, SipTold) or told.ask is None:
            return None
        if self._rules is None:
            self._rules = _Rules(Path(self._company))
        return self._rules.verdict(told.ask, told.actions[0])

    async def _receive(self) -> None:
        """All sockets are watched as one, so that a wake-up serves whatever has come."""
        with select.epoll() as watched:
            by_descriptor = {port.sock.fileno(): port for port in self._ports}
            for descriptor in by_descriptor:
                watched.register(descriptor, select.EPOLLIN)
            while True:
                await trio.lowlevel.wait_readable(watched.fileno())
                for descriptor, _ in watched.poll(0):
                    self._read(by_descriptor[descriptor])

    def _read(self, port: _Port) -> None:
        receive, take = port.sock.recv, port.transactions.receive
        for _ in range(_AT_ONCE):
            try:
                datagram = receive(_LONGEST)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                port.refused(perf_counter())
                continue
            now = perf_counter()
            number, response, replies = take(datagram, now)
            for reply in replies:
                port.send(reply, now)
            if number is not None and response is not None:
                action = action_of(response)
                if action is not None:
                    port.finish(number, now, actions=(action,))
                else:
                    port.finish(number, now, error=f"sip {response.status}", detail=response.phrase)

    async def _keep_time(self) -> None:
        while True:
            await trio.sleep(_TIMERS_EVERY_S)
            now = perf_counter()
            for port in self._ports:
                again, over = port.transactions.due(now)
                for invite in again:
                    port.send(invite, now)
                for number in over:
                    port.finish(number, now, error="timeout", detail="timer B of SIP")


def action_of(response: Response) -> dict[str, object] | None:
    """What an answer of a redirect server means; None for one that is an error."""
    if response.contacts:
        if all(contact.q is None for contact in response.contacts):
            return {"type": "voice", "at": response.contacts[0].uri}
        # Where only some have one, the others are tried first (RFC 3261, 20.10 names no default; 8.1.3.4 goes from 1.0 on).
        ranked = [(contact.user, 1.0 if contact.q is None else contact.q) for contact in response.contacts]
        falling = sorted({q for _, q in ranked}, reverse=True)
        return {"type": "ring", "endpoints": [{"endpoint": user, "rank": falling.index(q)} for user, q in ranked]}
    if response.status == 480 and response.q850 is None:
        return {"type": "voice"}
    if response.status in _BY_STATUS:
        return {"type": "hang_up", "cause": _BY_CAUSE.get(response.q850 or 0, _BY_STATUS[response.status])}
    return None


class _Rules:
    """The redirect server's own rules on engines of ours: with everybody free, soon to be free, and on a call."""

    def __init__(self, company: Path) -> None:
        loaded = load(company)
        self._engines = [Engine.of(loaded) for _ in _FLOORS]
        for engine, line in zip(self._engines, _FLOORS, strict=True):
            for employee in loaded.document["employees"]:
                engine.line(employee, line)
        self._redirects = [
            SipRedirect(
                sources=["0.0.0.0/0"],
                identity_from=[],
                phone="sip:{name}@phone",
                number="sip:{number}@number",
                media="sip:{did}@media",
                calls_per_second=None,
                hold_ms=0,
                longest=_LONGEST,
                key=bytes(16),
            )
            for _ in self._engines
        ]
        self._transactions = Transactions("0", "rules", "rules")

    def verdict(self, ask: Ask, told: Json) -> str | None:
        """What is wrong with an answer. What an engine chooses by the call's id, which is the server's own, is tried anew."""
        right = self._decide(0, ask, ask.at_ms)
        if _is_right(told, right):
            return None
        for floor in range(1, len(_FLOORS)):
            right += self._decide(floor, ask, ask.at_ms)
        if _is_right(told, right):
            return None
        for at_ms in (ask.at_ms, ask.at_ms + _LATER_MS):
            for _ in range(_TRIES):
                if _is_right(told, [one for floor in range(len(_FLOORS)) for one in self._decide(floor, ask, at_ms)]):
                    return None
        return f"{_words(told)} instead of {' or '.join(dict.fromkeys(map(_words, right)))}"

    def _decide(self, floor: int, ask: Ask, at_ms: int) -> list[Json]:
        """What a call is answered on one of the floors: nothing, where no answer can be read."""
        redirect, engine = self._redirects[floor], self._engines[floor]
        _, invite = self._transactions.invite(ask.call_id, ask.did, ask.caller, 0.0)
        answers = redirect.take(engine, invite, "127.0.0.1", 5060, at_ms)
        while questions := redirect.questions():
            for call_id, _, _ in questions:
                answers += redirect.take_answer(engine, call_id, {"type": "failed"}, at_ms)
        read = [self._transactions.receive(datagram, 0.0)[1] for datagram in answers]
        return [action_of(response) or {"type": f"sip {response.status}"} for response in read if response is not None]


def _is_right(told: Json, right: Sequence[Json]) -> bool:
    """Whom a hunt rings, and in which order, is moved by other calls: some of those whom it can ring are right."""
    if told["type"] == "ring":
        rings = {each["endpoint"] for one in right if one["type"] == "ring" for each in one["endpoints"]}
        return {each["endpoint"] for each in told["endpoints"]} <= rings
    return any(one["type"] == told["type"] and one.get("cause") == told.get("cause") for one in right)


def _words(action: Json) -> str:
    if action["type"] == "ring":
        return f"ring {', '.join(each['endpoint'] for each in action['endpoints'])}"
    return f"hang_up {action['cause']}" if action["type"] == "hang_up" else str(action["type"])


def _written(address: Sequence[object]) -> str:
    """host:port as a URI has it."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"

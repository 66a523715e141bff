"""Real calls into a PBX, placed by SIPp: `asterisk:HOST:PORT`, the address at which it takes SIP by UDP.

    asterisk:192.0.2.10:5060?from=192.0.2.1&talks=20&patience=40&sipp=/usr/bin/sipp&router=4711

`from` is the address that calls come from (a trunk is known by it), `talks` how long a caller stays who was answered and `patience`
how long one who was not, both of whole calls and in seconds; `sipp` is the program. Routers of ours that are connected with the
PBX are measured with it; `router` names the process where that cannot be seen.

Each call begins at its own moment: SIPp is told when, and tells what it sees. A call's latency goes from the INVITE to the first sign
of the router's decision: it rings (180, 183), something has answered (200), or it is refused. Of a whole call the time from that to
the answer is a step, and hanging up is its end. Asterisk alone says 100, which counts for nothing.

What a caller can see of an action is little: `ring` and `transfer` ring, everything with a voice answers, and `hang_up` refuses with
its cause.
"""

from __future__ import annotations

import math
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import trio

from kommutator.company.reader import load
from kommutator.errors import BadTarget, TargetUnreachable
from kommutator.load import outcome
from kommutator.load.reference import Expected
from kommutator.load.target import Ask, Json, Options, Server, Told
from kommutator.load.targets import calls_scenario
from kommutator.load.targets.calls_scenario import Sign, Signs
from kommutator.pbx.asterisk import CAUSES

TALKS_S: Final = 5.0
PATIENCE_S: Final = 30.0
_START_S: Final = 20.0
_TRIES: Final = 5
"""Ports are looked for and then taken by SIPp: somebody may have been faster."""
_GOODBYE_S: Final = 5.0
_CHUNK: Final = 65_536
_CAUSE_OF: Final[Mapping[int, str]] = {number: cause for cause, number in CAUSES.items()}
_VOICE: Final = frozenset({"play", "menu", "record", "wait"})
_HUNTS: Final = frozenset({"ring", "wait"})
_GIVEN: Final = ("from", "talks", "patience", "sipp", "router")


def make(address: str, options: Options) -> CallsTarget:
    """The target at `asterisk:host:port`. Raises `BadTarget`."""
    form = f"`{address}` is not of the form asterisk:HOST:PORT"
    try:
        parts = urlsplit(f"//{address.partition(':')[2].removeprefix('//')}")
        host, port = parts.hostname, parts.port or 5060
        given = {name: values[-1] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
        talks_s, patience_s = float(given.get("talks", TALKS_S)), float(given.get("patience", PATIENCE_S))
        router = (int(given["router"]),) if "router" in given else ()
    except ValueError as error:
        raise BadTarget(f"{form}: {error}") from error
    if not host or not all(0 <= seconds < math.inf for seconds in (talks_s, patience_s)):
        raise BadTarget(form)
    unknown = next((name for name in given if name not in _GIVEN), None)
    if unknown is not None:
        raise BadTarget(f"`{address}`: `{unknown}` is none of {', '.join(_GIVEN)}")
    return CallsTarget(host, port, options, given.get("from"), given.get("sipp", "sipp"), (talks_s, patience_s), router)


class _Call:
    """One that SIPp leads."""

    def __init__(self, told: Told) -> None:
        self.told = told
        self.signs: list[Sign] = []
        self.changed = trio.Event()

    def take(self, sign: Sign | None) -> None:
        """SIPp tells something; None: it is gone."""
        now = perf_counter()
        if sign is None:
            self.told.error = "closed"
        elif not self.told.first_at and sign.status:
            self.told.first_at = now
        if sign is not None:
            self.signs.append(sign)
        self.changed.set()

    async def until(self, holds: Callable[[], bool], seconds: float = math.inf) -> bool:
        """Wait for something that signs bring; False when it did not come within these seconds, or nothing more can."""
        with trio.move_on_after(seconds):
            while not holds() and self.told.error is None:
                self.changed = trio.Event()
                await self.changed.wait()
        return holds()

    def status(self) -> int:
        """The newest of the answers; 0 before the first."""
        return max((sign.status for sign in self.signs), default=0)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left of it."""
        return any(sign.status == 0 for sign in self.signs)


class CallsTarget:
    """A PBX at `host`:`port`."""

    def __init__(
        self,
        host: str,
        port: int,
        options: Options,
        own: str | None,
        sipp: str,
        times_s: tuple[float, float],
        router: tuple[int, ...],
    ) -> None:
        self._host = host
        self._port = port
        self._options = options
        self._own = own
        self._sipp = sipp
        self._talks_s, self._patience_s = times_s
        self._router = router
        self._opened = ExitStack()
        self._calls: dict[str, _Call] = {}
        self._serial = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._stream: trio.SocketStream | None = None
        self._sending = trio.Lock()
        self._orders: socket.socket | None = None
        self._leaving: set[str] = set()
        """Calls whose callers were told to hang up, and that are not over yet."""
        self._left = trio.Event()
        self._address = ("", 0)
        """SIPp's own, for SIP."""
        self._drawn: frozenset[tuple[str, str]] = frozenset()

    async def open(self, nursery: trio.Nursery) -> None:
        """Start SIPp. Raises `TargetUnreachable` when it is not there, or says why it cannot."""
        program = shutil.which(self._sipp)
        if program is None:
            raise TargetUnreachable(
                f"{self._sipp}: SIPp is needed to place calls: `apt install sip-tester`, or `sipp=PATH` in the address"
            )
        if self._options.company is not None:
            self._drawn = _drawn(load(self._options.company).document)
        try:
            folder = Path(self._opened.enter_context(tempfile.TemporaryDirectory(prefix="kommutator-load-")))
            found = await trio.socket.getaddrinfo(self._host, self._port, socket.AF_INET, socket.SOCK_DGRAM)
            await self._start(program, folder, str(found[0][4][0]))
        except OSError as error:
            self._opened.close()
            raise TargetUnreachable(f"{self._host}:{self._port}: {os.strerror(error.errno or 0)}") from error
        except BaseException:
            self._opened.close()
            raise
        nursery.start_soon(self._hear)

    async def ask(self, ask: Ask) -> Told:
        """Place a call, and lead it to the first sign or to its end."""
        assert self._stream is not None
        call_id = f"{ask.call_id}@load"
        call = self._calls[call_id] = _Call(Told())
        told = call.told
        try:
            async with self._sending:
                told.sent_at = perf_counter()
                await self._stream.send_all(calls_scenario.begin(call_id, ask.did, ask.caller))
            if await call.until(lambda: call.status() > 0):
                action = _action(call.signs)
                if action is None:
                    refused = max(call.signs, key=lambda sign: sign.status)
                    told.error, told.detail = f"sip {refused.status}", f"cause {refused.q850}" if refused.q850 else ""
                else:
                    told.actions = [action]
                    if self._options.whole:
                        await self._lead(call)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            told.error = "closed"
        finally:
            del self._calls[call_id]
            if not call.is_over:
                self._hang_up(call_id)
        return told

    async def close(self) -> None:
        """End SIPp, when the last callers have hung up."""
        with trio.move_on_after(_GOODBYE_S, shield=True):
            while self._leaving:
                await self._left.wait()
        self._opened.close()

    def servers(self) -> Sequence[Server]:
        """The PBX, and its router where that is known."""
        return [Server(pids=self._router, udp=(self._host, self._port), routers=not self._router)]

    def compare(self, expected: Expected, told: Told) -> str | None:
        """What is wrong with the first sign. Its id is the PBX's own: what is drawn by it, here is not known."""
        if any((str(passed["scheme"]), str(passed["node"])) in self._drawn for passed in expected.trace):
            return None
        seen = told.actions[0]
        if seen["type"] == "answered" and expected.action["type"] in _HUNTS:
            return None  # who waits for somebody to come free hears music
        return expected.verdict(Told(actions=[seen]), is_like)

    # --- calls

    async def _lead(self, call: _Call) -> None:
        """To the end: an answer is awaited as long as there is patience, and the caller hangs up first."""
        told = call.told
        told.outcome = outcome.ABANDONED
        if told.actions[0]["type"] == "hang_up":
            told.outcome = outcome.refused(told.actions[0]["cause"])
        if await call.until(lambda: call.status() >= 200 or call.is_over, self._patience_s) and call.status() == 200:
            if told.actions[0]["type"] == "ring":
                told.actions = [*told.actions, {"type": "answered"}]
                told.steps_s = (perf_counter() - told.first_at,)
            told.outcome = outcome.PICKED_UP
            await call.until(lambda: call.is_over, self._talks_s)
        elif call.status() > 200 and told.actions[0]["type"] == "ring":
            action = _action([sign for sign in call.signs if sign.status > 200])
            told.outcome = outcome.refused(str(action["cause"]) if action else f"sip {call.status()}")
        if not call.is_over and call.told.error is None:
            self._hang_up(call.signs[0].call_id)
            await call.until(lambda: call.is_over)
        told.actions = [*told.actions, {"type": "end"}]

    def _hang_up(self, call_id: str) -> None:
        order = calls_scenario.hang_up(call_id, f"{self._address[0]}:{self._address[1]}", next(self._serial))
        self._leaving.add(call_id)
        if self._orders is not None and self._orders.fileno() >= 0:
            with suppress(OSError):  # SIPp is gone, and its calls with it
                self._orders.sendto(order, self._address)

    # --- SIPp

    async def _start(self, program: str, folder: Path, remote: str) -> None:
        own, _, given_port = (self._own or _own_address(remote, self._port)).partition(":")
        sink = self._opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sink.bind((own, 0))  # where media goes, which nobody hears
        scenario = folder / "load.xml"
        scenario.write_text(calls_scenario.scenario(sink.getsockname()[1]), encoding="utf-8")
        self._orders = self._opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for _ in range(_TRIES):
            commands = _free(socket.SOCK_STREAM, "127.0.0.1")
            self._address = (own, int(given_port) if given_port else _free(socket.SOCK_DGRAM, own))
            with (folder / "screen.log").open("wb") as screen:
                self._process = subprocess.Popen(
                    [
                        *(program, f"{remote}:{self._port}", "-sf", str(scenario), "-3pcc", f"127.0.0.1:{commands}"),
                        *("-i", own, "-p", str(self._address[1]), "-bind_local", "-nostdin", "-aa"),
                        *("-trace_err", "-error_file", str(folder / "errors.log")),
                    ],
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=screen,
                    stderr=screen,
                    env={**os.environ, "TERM": "dumb"},
                    process_group=0,
                )
            self._opened.callback(_end, self._process)
            self._stream = await self._connected(commands)
            if self._stream is not None:
                self._opened.callback(self._stream.socket.close)
                return
        said = "".join(_last_words(folder / name) for name in ("errors.log", "screen.log"))
        raise TargetUnreachable(f"SIPp does not start: {said.strip()[-500:]}")

    async def _connected(self, port: int) -> trio.SocketStream | None:
        """The connection for commands, as soon as SIPp listens; None when it has ended instead."""
        assert self._process is not None
        with trio.move_on_after(_START_S):
            while self._process.poll() is None:
                try:
                    return await trio.open_tcp_stream("127.0.0.1", port)
                except OSError:
                    await trio.sleep(0.02)
        return None

    async def _hear(self) -> None:
        assert self._stream is not None
        signs = Signs()
        try:
            while data := await self._stream.receive_some(_CHUNK):
                for sign in signs.feed(bytes(data)):
                    call = self._calls.get(sign.call_id)
                    if call is not None:
                        call.take(sign)
                    if not sign.status:
                        self._is_over(sign.call_id)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        for call in self._calls.values():
            call.take(None)
        self._leaving.clear()
        self._left.set()

    def _is_over(self, call_id: str) -> None:
        self._leaving.discard(call_id)
        if not self._leaving:
            self._left.set()
            self._left = trio.Event()


def is_like(seen: Json, wanted: Json) -> bool:
    """Whether what a caller sees can be this action."""
    match seen["type"], wanted["type"]:
        case "ring", "ring" | "transfer":
            return True
        case "answered", kind:
            return kind in _VOICE or bool(wanted.get("prompt")) or bool(wanted.get("music"))
        case "hang_up", "hang_up":
            return not wanted.get("prompt") and bool(seen["cause"] == wanted["cause"])
        case _:
            return False


def _action(signs: Sequence[Sign]) -> dict[str, Any] | None:
    """What the first answer lets one see; None where it is an error."""
    first = next(sign for sign in signs if sign.status)
    if first.status < 200:
        return {"type": "ring", "endpoints": []}
    if first.status == 200:
        return {"type": "answered"}
    cause = _CAUSE_OF.get(first.q850 or 0)
    return None if cause is None else {"type": "hang_up", "cause": cause}


def _drawn(document: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """The nodes that choose by the call's id."""
    return frozenset(
        (scheme, node)
        for scheme, written in document["schemes"].items()
        for node, body in written["nodes"].items()
        if body["kind"] == "split"
    )


def _own_address(remote: str, port: int) -> str:
    """This machine's address towards another."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((remote, port))
        return str(probe.getsockname()[0])


def _free(kind: socket.SocketKind, address: str) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def _last_words(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()

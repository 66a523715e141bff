"""The `Pbx` port over FastAGI: Asterisk connects, once for each call and once for each phone that answers.

An Asterisk that asks by FastAGI tells nothing by itself. What lines are like is looked at by whatever connection there is,
before decisions and while callers wait; which calls are alive, by the first.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
import trio

from kommutator.errors import PbxCannot, PbxError
from kommutator.pbx.agi import call_file, questions
from kommutator.pbx.agi.call import AgiCall
from kommutator.pbx.agi.codec import Environment
from kommutator.pbx.agi.line import DID, OVER, House
from kommutator.pbx.agi.recordings import Recordings
from kommutator.pbx.agi.session import Session
from kommutator.pbx.agi.step import StepCall
from kommutator.pbx.asterisk import STATE, WITHHELD, DialStrings, Sounds, line_of
from kommutator.routing.ports import Call, FloorSink
from kommutator.routing.turn import Event, Record, Turn

_CALL_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LOOK_EVERY_S = 1.0
_RESTS_S = 0.5
"""So long after a `Dial()` of ours what Asterisk says of its phones may still be of that."""
_FETCH_EVERY_S = 60.0
_COUNT_EVERY_S = 10.0
_SILENT_S = 60.0
"""A call of which no step was heard for so long may have gone without a word."""
_MOST_LOOKED_FOR = 100
_REMEMBERED = 4096
"""So many calls that have ended are recognised when their dialplan asks again."""


@dataclass(frozen=True)
class AgiSettings:
    """Where Asterisk connects to, and how it is used."""

    host: str
    port: int
    sources: tuple[str, ...]
    """The networks from which it may connect."""
    shared: Path
    """The folder into which Asterisk records messages."""
    recordings: Path
    """The folder into which they are brought."""
    outgoing: Path | None = None
    """Asterisk's folder of call files; None: which calls are still there is learnt from the next one."""
    trunk: str = "PJSIP/{number}@trunk"
    """How an E.164 number is dialled."""
    silence_s: int = 5
    """So much silence ends a message."""
    leg_context: str = "kommutator-agi-leg"
    """Where in the dialplan a phone goes that answers."""
    connections: int = 1000
    """The most at once, and the most calls that only ask steps; further ones take the dialplan's fallback."""


class AgiPbx:
    """One Asterisk. `lines` says whose phone each endpoint is."""

    def __init__(self, settings: AgiSettings, sounds: Sounds, lines: Mapping[str, Sequence[str]]) -> None:
        self._settings = settings
        self._sources = [ipaddress.ip_network(source) for source in settings.sources]
        self._lines = lines
        self._recordings = Recordings(settings.shared, settings.recordings)
        self._house = House(
            sounds,
            self._recordings,
            DialStrings(settings.trunk),
            settings.silence_s,
            settings.leg_context,
            self._look,
            self._dials,
        )
        self._calls: dict[str, AgiCall | StepCall] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._connections = 0
        self._dialled: Counter[str] = Counter()
        self._rests: dict[str, float] = {}
        self._looked_at = float("-inf")
        self._counted_at = float("-inf")
        self._found: frozenset[str] = frozenset()
        self._counting = trio.Lock()
        self._counted = trio.Event()
        self._begin: Callable[[StepCall], None] = lambda _: None
        self._on_call: Callable[[Call], Awaitable[None]] | None = None
        self._floor: FloorSink | None = None
        self.port = settings.port
        """Where it listens; of 0, which was free."""
        self.connected = False
        """Whether Asterisk can connect; it does when there is a call."""
        self._log = structlog.get_logger().bind(pbx=f"agi {settings.host}:{settings.port}")

    def lines(self, lines: Mapping[str, Sequence[str]]) -> None:
        """From now on these people's phones are at these endpoints."""
        self._lines = {device: tuple(people) for device, people in lines.items()}
        self._looked_at = float("-inf")

    async def run(self, on_call: Callable[[Call], Awaitable[None]], floor: FloorSink) -> None:
        """Serve calls until cancelled. Raises `OSError` when the address cannot be taken."""
        self._on_call, self._floor = on_call, floor
        await trio.to_thread.run_sync(self._recordings.prepare)
        listeners = await trio.open_tcp_listeners(self._settings.port, host=self._settings.host)
        self.port = listeners[0].socket.getsockname()[1]
        self.connected = True
        self._log.info("pbx may connect")
        try:
            async with trio.open_nursery() as nursery:

                def begin(call: StepCall) -> None:
                    self._calls[call.call_id] = call
                    nursery.start_soon(self._run, call, name=f"call {call.call_id}")

                self._begin = begin
                nursery.start_soon(self._fetch_left)
                nursery.start_soon(self._have_it_look)
                await trio.serve_listeners(self._accept, listeners)
        finally:
            self.connected = False

    async def found_calls(self) -> frozenset[str]:
        """The calls that were alive when Asterisk first connected; waits for that."""
        await self._counted.wait()
        return self._found

    async def epitaph(self, call_id: str, turn: Turn) -> Event:
        """How a call ended while nobody watched: by its recording when it was leaving a message."""
        if isinstance(turn.action, Record):
            seconds = await self._recordings.take(turn.action.recording)
            if seconds is not None:
                return {"type": "caller_hung_up", "seconds": seconds}
        return {"type": "caller_hung_up"}

    async def call_back(self, call_id: str, endpoint: str, number: str, tell: Callable[[str], None]) -> str | None:
        """FastAGI has no way to begin a call. Raises `PbxCannot`."""
        raise PbxCannot("calls cannot be begun by FastAGI")

    async def call_back_over(self, call_id: str) -> bool:
        """There is none."""
        return False

    async def hang_up_call_back(self, call_id: str) -> None:
        """There is none. Raises `PbxCannot`."""
        raise PbxCannot("calls cannot be ended by FastAGI")

    # --- connections

    async def _accept(self, stream: trio.SocketStream) -> None:
        try:
            peer = stream.socket.getpeername()[0]
        except OSError:
            return
        address = ipaddress.ip_address(str(peer).partition("%")[0])
        known = address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address
        if not any(known in source for source in self._sources):
            self._log.error("a connection from an unknown source was refused", source=str(known))
            return
        if self._connections >= self._settings.connections:
            self._log.error("too many connections: a call takes the dialplan's fallback", connections=self._connections)
            return
        for option, value in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3)):
            stream.setsockopt(socket.IPPROTO_TCP, option, value)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._connections += 1
        try:
            await self._serve(Session(stream, str(peer)))
        finally:
            self._connections -= 1

    async def _serve(self, session: Session) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.run)
            try:
                environment = await session.greeting()
                await self._count(session)
                await self._take(session, environment)
            except PbxError as error:
                self._log.warning("a connection came to nothing", code=error.code, reason=str(error))
            finally:
                nursery.cancel_scope.cancel()

    async def _take(self, session: Session, environment: Environment) -> None:
        script = environment.variables.get("network_script", "").partition("?")[0].strip("/")
        call_id = environment.variables["uniqueid"]
        if not _CALL_ID.fullmatch(call_id):
            self._log.error("a call's id cannot be used", call=call_id)
            return
        match script:
            case "" | "call":
                await self._call(session, call_id, environment)
            case "answered":
                await self._phone(session, environment.arguments)
            case "gone":
                await self._gone(session, call_id, environment)
            case "decide" | "step":
                await self._step(
                    session,
                    call_id,
                    environment,
                    [word for word in environment.arguments if word] if script == "step" else (),
                )
            case "look":
                self._log.info("the pbx was looked at", calls=len(self._found))
            case _:
                self._log.error("a dialplan asks for what there is not", script=script)

    async def _call(self, session: Session, call_id: str, environment: Environment, *, is_gone: bool = False) -> None:
        if call_id in self._ended:
            await session.command("SET VARIABLE", OVER, "1", even_gone=True)
            return
        found = await questions.found(session)
        known = self._calls.get(call_id)
        if isinstance(known, AgiCall):
            known.asks_again(session, found)
            await known.over.wait()
            return
        if not is_gone:
            await self._look(session)
        call = AgiCall(
            session, call_id, _did(environment, environment.arguments), _caller(environment), self._house, found
        )
        if is_gone:
            call.has_gone()
        await self._run(call)

    async def _phone(self, session: Session, arguments: tuple[str, ...]) -> None:
        """A phone has answered. One whose call is unknown was dialled by an earlier router, and is connected."""
        call = self._calls.get(arguments[0]) if arguments else None
        if isinstance(call, AgiCall):
            number, linked = await questions.values(session, "${DIALEDPEERNUMBER}", "${CHANNEL(linkedid)}")
            await call.phone_answers(session, number, linked)

    async def _gone(self, session: Session, call_id: str, environment: Environment) -> None:
        """The last words of a channel. Of a call that an earlier router had, they are all that comes."""
        call = self._calls.get(call_id)
        if call is not None:
            call.has_gone()
        elif call_id not in self._ended and (await questions.values(session, f"${{{STATE}}}"))[0]:
            await self._call(session, call_id, environment, is_gone=True)

    async def _step(self, session: Session, call_id: str, environment: Environment, words: Sequence[str]) -> None:
        state, did = await questions.values(session, f"${{{STATE}}}", f"${{{DID}}}")
        call = self._calls.get(call_id)
        if list(words) == ["hangup"]:
            await self._gone(session, call_id, environment)
        elif isinstance(call, StepCall):
            await self._count_living(session)
            await call.asks(session, words, state)
        elif call is None and call_id not in self._ended and len(self._calls) >= self._settings.connections:
            self._log.error("too many calls: one takes the dialplan's fallback", calls=len(self._calls))
        elif call is None and call_id not in self._ended:
            await self._look(session)
            call = StepCall(
                call_id,
                did or _did(environment, environment.arguments),
                _caller(environment),
                self._house,
                state or None,
                environment.variables.get("channel", ""),
            )
            self._begin(call)
            await call.asks(session, words, state)
        else:
            await session.command("SET VARIABLE", "KOMMUTATOR_ACTION", "end", even_gone=True)

    async def _run(self, call: AgiCall | StepCall) -> None:
        assert self._on_call is not None
        self._calls[call.call_id] = call
        try:
            await self._on_call(call)
        finally:
            del self._calls[call.call_id]
            self._ended[call.call_id] = None
            while len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)

    # --- what is looked at

    async def _have_it_look(self) -> None:
        """Have Asterisk connect: otherwise calls that ended while no router was there go on until the next one comes."""
        outgoing = self._settings.outgoing
        if outgoing is not None:
            try:
                await trio.to_thread.run_sync(call_file.put, self._settings.shared, outgoing)
            except OSError as error:
                self._log.warning("calls that ended meanwhile are known by the next call", reason=str(error))

    async def _count(self, session: Session) -> None:
        """By the first connection: which calls are alive."""
        async with self._counting:
            if not self._counted.is_set():
                self._found = await questions.living(session)
                self._counted.set()

    async def _count_living(self, session: Session) -> None:
        """Now and then: calls that only ask steps, and whose channels are gone without a word."""
        now = trio.current_time()
        if now - self._counted_at < _COUNT_EVERY_S:
            return
        self._counted_at = now
        calls = [
            call for call in self._calls.values() if isinstance(call, StepCall) and now - call.heard_at > _SILENT_S
        ]
        missing = [call for call in calls[:_MOST_LOOKED_FOR] if not await questions.is_there(session, call.channel)]
        living = await questions.living(session) if missing else frozenset()
        for call in missing:
            if call.call_id not in living and trio.current_time() - call.heard_at > _SILENT_S:
                call.has_gone()

    async def _look(self, session: Session) -> None:
        """Look at the lines, unless that was done a moment ago. Of phones that a call of ours rings the engine knows."""
        now = trio.current_time()
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        self._rests = {device: until for device, until in self._rests.items() if until > now}
        wanted = [each for each in self._lines if each not in self._dialled and each not in self._rests]
        for device, state in (await questions.device_states(session, wanted)).items():
            if device not in self._dialled and self._floor is not None:
                for employee in self._lines.get(device, ()):
                    self._floor.line(employee, line_of(state))

    def _dials(self, endpoints: Sequence[str], begins: bool) -> None:
        if begins:
            self._dialled.update(endpoints)
            return
        for endpoint in endpoints:
            self._dialled[endpoint] -= 1
            if self._dialled[endpoint] <= 0:
                del self._dialled[endpoint]
            self._rests[endpoint] = trio.current_time() + _RESTS_S

    async def _fetch_left(self) -> None:
        """Bring the messages that could not be fetched when they were made, or that nobody was there to fetch."""
        while True:
            await self._recordings.take_left()
            await trio.sleep(_FETCH_EVERY_S)


def _did(environment: Environment, given: Sequence[str]) -> str:
    """The number dialled: as the dialplan gives it, else its extension."""
    return (given[0] if given else "") or environment.variables.get("extension", "")


def _caller(environment: Environment) -> str | None:
    number = environment.variables.get("callerid", "")
    return None if number.lower() in WITHHELD else number

"""The floor over the exchange: lines of this PBX's phones told to all, presence and the lines of other PBXs taken from
it.

`SharingPbx` goes around an adapter's `Pbx` (outside of `ClaimingPbx` or inside, as you like): its lines pass through to
the router at once, and to the exchange behind it. An employee of another PBX is unreachable while the exchange is, and
while that PBX's router is silent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
import trio

from kommutator.errors import ExchangeError
from kommutator.exchange.bridge import Bridge, Keys
from kommutator.exchange.homes import Homes
from kommutator.exchange.messages import FLOOR, Alive, Fact, alive_subject, decode, encode, name_of, token
from kommutator.routing.ports import Call, Clock, FloorSink, Pbx
from kommutator.routing.turn import Event, Turn

_ALIVE_EVERY_S = 2.0
_SILENT_S = 7.0
"""A router that has said nothing for so long is taken for dead."""
_AT_ONCE = 64
_AGAIN_S = 0.5
_HEARTBEATS = 256


def line_key(employee: str) -> str:
    """The key of an employee's line."""
    return f"line.{token(employee)}"


def presence_key(employee: str) -> str:
    """The key of an employee's presence."""
    return f"presence.{token(employee)}"


class SharedFloor:
    """What one router shares of the floor, and knows of it.

    A process beside the router's own does not tell: the lines of its PBX's phones come to it from the router, and are as
    last told while the router or the exchange is away.
    """

    def __init__(self, bridge: Bridge, pbx: str, homes: Homes, clock: Clock, *, tells: bool = True) -> None:
        self._tells = tells
        self._bridge = bridge
        self._pbx = pbx
        self._homes = homes
        self._clock = clock
        self._keys = bridge.watch(FLOOR)
        self._heard = bridge.listen(alive_subject("*").replace(token("*"), "*"), _HEARTBEATS)
        self._own: dict[str, str] = {}
        self._untold: dict[str, Fact] = {}
        self._to_tell = trio.Event()
        self._known: dict[str, Fact] = {}
        """Keys of the bucket."""
        self._connected = False
        self._alive: dict[str, float] = {}
        """When the router of each PBX was last heard, in trio's time."""
        self._told_lines: dict[str, str] = {}
        """What the router was last told of employees of other PBXs."""
        self._sink: FloorSink | None = None
        self._log = structlog.get_logger()

    def line_of(self, employee: str) -> str | None:
        """The line of an employee of this PBX, as the PBX last told it."""
        return self._own.get(employee)

    async def run(self) -> None:
        """Share until cancelled."""
        async with trio.open_nursery() as nursery:
            if self._tells:
                nursery.start_soon(self._tell)
                nursery.start_soon(self._say_alive)
            nursery.start_soon(self._hear)
            nursery.start_soon(self._watch)
            nursery.start_soon(self._find_silent)

    def around(self, sink: FloorSink) -> FloorSink:
        """The sink that the adapter is given in the place of this one."""
        self.tell(sink)
        return _OwnLines(sink, self._note_own)

    def tell(self, sink: FloorSink) -> None:
        """Tell this one of the floor."""
        self._sink = sink
        self.homes_changed()

    def homes_changed(self) -> None:
        """Other people, or other phones: tell the router again all that is known of those who are here now."""
        homes = self._homes()
        self._told_lines.clear()
        self._own = {employee: line for employee, line in self._own.items() if homes.get(employee) == self._pbx}
        if self._sink is None:
            return
        for employee, line in self._own.items():
            self._sink.line(employee, line)
        for key, fact in self._known.items():
            kind, _, written = key.partition(".")
            if kind == "presence" and name_of(written) in homes:
                self._sink.presence(name_of(written), fact.value)
        self._refresh_lines()

    # --- out

    def _note_own(self, employee: str, line: str) -> None:
        if self._homes().get(employee, self._pbx) != self._pbx:
            return
        self._own[employee] = line
        self._untold[line_key(employee)] = Fact(line, self._clock.now_ms(), self._pbx)
        self._to_tell.set()

    async def _tell(self) -> None:
        while True:
            await self._to_tell.wait()
            self._to_tell = trio.Event()
            while self._untold:
                facts = dict(list(self._untold.items())[:_AT_ONCE])
                values = {key: encode(fact) for key, fact in facts.items()}
                try:
                    await self._bridge.put_all(FLOOR, values)
                except ExchangeError as error:
                    self._log.debug("lines could not be told", code=error.code)
                    await trio.sleep(_AGAIN_S)
                    continue
                for key, fact in facts.items():
                    if self._untold.get(key) is fact:
                        del self._untold[key]

    async def _say_alive(self) -> None:
        subject, payload = alive_subject(self._pbx), encode(Alive(self._pbx, self._bridge.name))
        while True:
            try:
                await self._bridge.publish(subject, payload)
            except ExchangeError as error:
                self._log.debug("cannot say that we live", code=error.code)
            await trio.sleep(_ALIVE_EVERY_S)

    # --- in

    async def _watch(self) -> None:
        while True:
            keys = await self._keys.get()
            if keys.which == "lost":
                self._connected = False
                self._refresh_lines()
            else:
                self._take(keys)

    def _take(self, keys: Keys) -> None:
        if keys.which == "all":
            self._connected = True
            self._known = {}
            now_ms = self._clock.now_ms()
            for employee, line in self._own.items():
                self._untold.setdefault(line_key(employee), Fact(line, now_ms, self._pbx))
            self._to_tell.set()
        for key, value in keys.values.items():
            fact = _fact(value)
            if fact is None:
                self._known.pop(key, None)
            else:
                self._known[key] = fact
            kind, _, written = key.partition(".")
            if kind == "presence" and self._sink is not None:
                self._sink.presence(name_of(written), fact.value if fact is not None else "offline")
        self._refresh_lines()

    async def _hear(self) -> None:
        while True:
            try:
                alive = decode(await self._heard.get(), Alive)
            except ExchangeError:
                continue
            new = alive.pbx not in self._alive
            self._alive[alive.pbx] = trio.current_time()
            if new and alive.pbx != self._pbx:
                self._log.info("the router of another PBX is heard", pbx=alive.pbx, router=alive.router)
                self._refresh_lines()

    async def _find_silent(self) -> None:
        while True:
            await trio.sleep(1.0)
            for pbx, heard in list(self._alive.items()):
                if trio.current_time() - heard > _SILENT_S:
                    del self._alive[pbx]
                    if pbx != self._pbx:
                        self._log.warning("the router of another PBX is silent: its employees are unreachable", pbx=pbx)
            self._refresh_lines()

    def _refresh_lines(self) -> None:
        """Tell the router what has changed of the lines of other PBXs."""
        if self._sink is None:
            return
        for employee, pbx in self._homes().items():
            fact = self._known.get(line_key(employee))
            if pbx == self._pbx:
                if self._tells or fact is None:
                    self._told_lines.pop(employee, None)
                    continue
                line = fact.value
            else:
                reachable = self._connected and pbx in self._alive and fact is not None
                line = fact.value if reachable and fact is not None else "unreachable"
            if self._told_lines.get(employee) != line:
                self._told_lines[employee] = line
                self._sink.line(employee, line)


class _OwnLines:
    """A `FloorSink` that tells of own lines besides."""

    def __init__(self, sink: FloorSink, note: Callable[[str, str], None]) -> None:
        self._sink = sink
        self._note = note

    def line(self, employee: str, line: str) -> None:
        """The employee's line is now this."""
        self._sink.line(employee, line)
        self._note(employee, line)

    def presence(self, employee: str, presence: str) -> None:
        """The employee is now `present`, `away` or `offline`."""
        self._sink.presence(employee, presence)


class SharingPbx:
    """A `Pbx` whose lines are shared, and whose router is told of the others'."""

    def __init__(self, inner: Pbx, floor: SharedFloor) -> None:
        self._inner = inner
        self._floor = floor

    async def run(self, on_call: Callable[[Call], Awaitable[None]], floor: FloorSink) -> None:
        """Serve until cancelled."""
        await self._inner.run(on_call, self._floor.around(floor))

    async def found_calls(self) -> frozenset[str]:
        """The calls that were alive at first."""
        return await self._inner.found_calls()

    async def epitaph(self, call_id: str, turn: Turn) -> Event:
        """How a call ended while nobody watched."""
        return await self._inner.epitaph(call_id, turn)

    async def call_back(self, call_id: str, endpoint: str, number: str, tell: Callable[[str], None]) -> str | None:
        """Call a number back."""
        return await self._inner.call_back(call_id, endpoint, number, tell)

    async def call_back_over(self, call_id: str) -> bool:
        """Wait for the end of a call back."""
        return await self._inner.call_back_over(call_id)

    async def hang_up_call_back(self, call_id: str) -> None:
        """End a call back."""
        await self._inner.hang_up_call_back(call_id)


def _fact(value: bytes | None) -> Fact | None:
    if not value:
        return None
    try:
        return decode(value, Fact)
    except ExchangeError as error:
        structlog.get_logger().error("a fact of the floor cannot be read", reason=str(error))
        return None

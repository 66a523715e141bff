"""Calls through a simulated PBX and whatever router serves it: `pbx:DATA/pbx/NAME.sock`.

A call's latency goes from the caller's coming to the router's first action; of a whole call, from each thing that people do to
the router's next action. What people do is drawn by `Chances` and done by hand: a phone that answers does so after `rings`
seconds and talks for `talks` (`pbx:PATH?rings=2&talks=30`; 0 each unless told). Prompts, messages and time-outs last as long as
they last.

Every whole call is held against the PBX's own records: a router that says `answered` of a call in which no phone was picked up
has erred (`records differ`). Measured is the PBX, and the router with it: that of the house to which the socket belongs, or the
process named, `pbx:PATH?router=4711`.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct
from time import perf_counter
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
import trio

from kommutator.errors import BadTarget, CallGone, PbxError, PbxRefused, PbxUnreachable, TargetUnreachable
from kommutator.load import outcome
from kommutator.load.people import Chances
from kommutator.load.reference import Expected
from kommutator.load.target import Ask, Json, Options, Server, Told
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.link import Link, open_link
from kommutator.pbx.simulated.peer import address_of
from kommutator.routing.answers import outcome_of

_SCHEME: Final = "pbx:"
_BY_THEMSELVES: Final[Mapping[str, str]] = {
    "play": "played",
    "menu": "no_input",
    "ring": "no_answer",
    "wait": "waited",
    "record": "recorded",
    "find_owner": "failed",
    "find_history": "failed",
    "transfer": "failed",
    "talk": "conversation_ended",
    "hang_up": "hung_up",
}
"""What answers an action upon which nobody does anything."""
_LONGEST_HEARD: Final = 10_000
_GOODBYE_S: Final = 5.0
_CREDENTIALS: Final = Struct("3i")
"""Of `SO_PEERCRED` (unix(7)): process, user, group."""


def make(address: str, options: Options) -> SimulatedTarget:
    """The target at `pbx:PATH`. Raises `BadTarget`."""
    path, _, query = address.removeprefix(_SCHEME).partition("?")
    try:
        given = {name: float(values[-1]) for name, values in parse_qs(query, strict_parsing=bool(query)).items()}
    except ValueError as error:
        raise BadTarget(f"`{address}`: {error}") from error
    if not path:
        raise BadTarget(f"`{address}` is not of the form pbx:PATH.sock")
    for name, value in given.items():
        if name not in ("rings", "talks", "router") or not 0 <= value < math.inf:
            raise BadTarget(f"`{address}`: `{name}` is none of rings and talks, in seconds, and router, a process")
    router = (int(given["router"]),) if "router" in given else ()
    return SimulatedTarget(Path(path), options, given.get("rings", 0.0), given.get("talks", 0.0), router)


class SimulatedTarget:
    """The simulated PBX at a socket."""

    def __init__(self, path: Path, options: Options, rings_s: float, talks_s: float, router: tuple[int, ...]) -> None:
        self._path = path
        self._options = options
        self._times = (rings_s, talks_s)
        self._router = router
        self._link: Link | None = None
        self._phones: Mapping[str, tuple[()]] = {}
        self._calls: dict[str, Callable[[codec.FromPbx | None], None]] = {}

    async def open(self, nursery: trio.Nursery) -> None:
        """Connect, and see that a router serves there. Raises `TargetUnreachable`."""
        try:
            self._link = link = await open_link(nursery, self._path, codec.Hello(codec.PROTOCOL, "control"))
            nursery.start_soon(self._hear, link)
            glance = msgspec.convert(await link.ask(codec.About()), codec.Glance)
        except PbxError as error:
            raise TargetUnreachable(f"{self._path}: {error}") from error
        if not glance.router:
            raise TargetUnreachable(f"{self._path}: no router serves this PBX")
        if self._options.whole:
            self._phones = dict.fromkeys(glance.sounds.names, ())

    async def ask(self, ask: Ask) -> Told:
        """Let a caller come, and lead him to the first action or to the end."""
        assert self._link is not None
        call = _Call(self._link, ask, self._options, *self._times)
        self._calls[ask.call_id] = call.hear
        try:
            await call.lead(self._phones)
        except PbxUnreachable as error:
            call.fails("closed", str(error))
        except PbxRefused as error:
            call.fails("refused", str(error))
        finally:
            del self._calls[ask.call_id]
            if not call.is_gone:
                self._link.tell(codec.HangUp(ask.call_id))
        return call.told

    async def close(self) -> None:
        """Let the connection go, when the last callers have hung up."""
        if self._link is not None:
            with trio.move_on_after(_GOODBYE_S, shield=True), suppress(PbxError):
                await self._link.ask(codec.About())  # answered after everything that was told before
            self._link.close()

    def servers(self) -> Sequence[Server]:
        """The PBX, and its router where that is known."""
        # In a house: DATA/pbx/NAME.sock, DATA/routers/NAME/lock.
        lock = self._path.absolute().parents[1] / "routers" / self._path.stem / "lock"
        return [Server(pids=(*self._router, *_listener(self._path)), lock=str(lock))]

    def compare(self, expected: Expected, told: Told) -> str | None:
        """What is wrong with a call: the PBX is told whole turns."""
        return expected.verdict(told, is_like)

    async def _hear(self, link: Link) -> None:
        def tell(message: codec.FromPbx) -> None:
            if isinstance(message, codec.Decided | codec.Happened | codec.Over):
                hear = self._calls.get(message.call_id)
                if hear is not None:
                    hear(message)

        await link.run(tell)
        for hear in self._calls.values():
            hear(None)


def _listener(path: Path) -> tuple[int, ...]:
    """Whoever listens there: a socket that was renamed cannot be found by its name."""
    try:
        with address_of(path) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(address)
            credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return ()
    return (int(_CREDENTIALS.unpack(credentials)[0]),)


def is_like(seen: Json, wanted: Json) -> bool:
    """Whether an action as the PBX was told it is this one: without what is not there."""
    return all(_listed(seen.get(name)) == value for name, value in wanted.items() if value is not None)


def disagreement(disposition: str, *, picked_up: bool, recorded_s: float, left: bool) -> str | None:
    """What a router's word on a call's end is at odds with, in the PBX's own records; None when both agree.

    `picked_up`: a phone was; `recorded_s`: the message; `left`: the caller hung up by himself.
    """
    if picked_up and disposition not in ("answered", "transferred"):
        return f"{disposition}, but a phone was picked up"
    if not picked_up and disposition in ("answered", "transferred"):
        return f"{disposition}, but no phone was picked up"
    if disposition == "voicemail" and recorded_s < 1:
        return f"voicemail, but {recorded_s:g} s were recorded"
    if disposition == "abandoned" and not left:
        return "abandoned, but the caller did not hang up"
    return None


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


class _Call:
    """One caller, and the phones that ring for him."""

    def __init__(self, link: Link, ask: Ask, options: Options, rings_s: float, talks_s: float) -> None:
        self.told = Told()
        self.is_gone = False
        """The caller is not on the line any more."""
        self._link = link
        self._ask = ask
        self._whole = options.whole
        self._chances: Chances = options.chances
        self._rings_s = rings_s
        self._talks_s = talks_s
        self._put, self._heard = trio.open_memory_channel[codec.FromPbx | None](_LONGEST_HEARD)
        self._actions: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []
        self._traces: list[Sequence[Json]] = []
        self._acting = trio.CancelScope()
        self._event: dict[str, Any] = {}
        self._acted_at: float | None = None
        self._beep = trio.Event()
        self._picked_up = False
        self._recorded_s = 0.0
        self._left = False
        self.told.actions, self.told.events, self.told.traces = self._actions, self._events, self._traces

    def hear(self, message: codec.FromPbx | None) -> None:
        """The PBX tells something of this call; None: it is gone."""
        self._put.send_nowait(message)

    def fails(self, error: str, detail: str = "") -> None:
        """The call has come to nothing."""
        self.told.error, self.told.detail = error, detail

    async def lead(self, phones: Mapping[str, tuple[()]]) -> None:
        """Until the call is over, or its first action is known."""
        ask = self._ask
        self.told.sent_at = perf_counter()
        self._link.tell(codec.Watch(ask.call_id))
        await self._link.ask(codec.Place(ask.did, ask.caller, ask.call_id, phones=phones))
        async with trio.open_nursery() as acts:
            while await self._takes(await self._heard.receive(), acts):
                pass
            acts.cancel_scope.cancel()

    async def _takes(self, message: codec.FromPbx | None, acts: trio.Nursery) -> bool:
        """Whether there is more to come."""
        match message:
            case codec.Decided(turn=turn):
                self._decided(msgspec.to_builtins(turn.action), turn.trace)
                if self._whole and self._actions[-1]["type"] != "end":
                    self._acting = trio.CancelScope()
                    acts.start_soon(self._acts, self._actions[-1], self._acting)
                return self._whole
            case codec.Happened(what=what, detail=detail):
                return self._happened(what, detail)
            case codec.Over(disposition=disposition):
                self._check(disposition)
                return False
            case _:
                self.fails("closed", "the simulated PBX has gone")
                return False

    def _decided(self, action: dict[str, Any], trace: Sequence[Json]) -> None:
        now = perf_counter()
        self._acting.cancel()
        if not self._actions:
            self.told.first_at = now
        else:
            self._events.append(self._event)
            if self._acted_at is not None:
                self.told.steps_s = (*self.told.steps_s, now - self._acted_at)
        self._actions.append(action)
        self._traces.append(trace)
        self._event = {"type": _BY_THEMSELVES.get(action["type"], "failed")}
        self._acted_at = None

    def _happened(self, what: str, detail: str | None) -> bool:
        match what:
            case "fallback":
                self.fails("no router", "the PBX's own fallback has taken the call")
                return False
            case "beep":
                self._beep.set()
            case "answered":
                self._picked_up = True
            case "recorded":
                self._recorded_s = float(detail or 0)
                if self._event["type"] == "recorded":
                    self._event["seconds"] = self._recorded_s
            case "hung_up" | "hung_up_on":
                self.is_gone = True
                self._left = self._left or what == "hung_up"
        return True

    def _check(self, disposition: str | None) -> None:
        """The router's word against the PBX's records."""
        if disposition is None:
            self.fails("router failed", "it gave the call up without a disposition")
            return
        if self._whole:
            self.told.outcome = outcome.of_disposition(disposition, self._actions)
            wrong = disagreement(disposition, picked_up=self._picked_up, recorded_s=self._recorded_s, left=self._left)
            if wrong is not None:
                self.fails("records differ", wrong)

    # --- what people do

    async def _acts(self, action: dict[str, Any], scope: trio.CancelScope) -> None:
        """Somebody does what was drawn, or nobody does anything."""
        with scope:
            drawn = self._chances.event(action, self._ask.number, len(self._events))
            # It may be too late for that, or the phone rings for somebody else; of the end whoever hears is told.
            with suppress(CallGone, PbxRefused, PbxUnreachable):
                await self._does(action, dict(drawn or {}))

    async def _does(self, action: dict[str, Any], event: dict[str, Any]) -> None:
        call_id = self._ask.call_id
        match action["type"], event.get("type"):
            case _, "caller_hung_up":
                await self._order(event, codec.HangUp(call_id))
            case "menu", "digits":
                await self._order(event, codec.Press(call_id, event["digits"]))
            case "ring" | "transfer", "answered" | "transferred":
                await trio.sleep(self._rings_s)
                await self._order(event, codec.PickUp(str(event.get("endpoint") or action.get("to")), call_id))
            case "ring" | "transfer", "busy" | "failed":
                await trio.sleep(self._rings_s)
                phones = [each["endpoint"] for each in action.get("endpoints", ())] or [action["to"]]
                if event["type"] == "busy":
                    event = {"type": outcome_of(dict.fromkeys(phones, "declined"), len(phones))}
                await self._order(event, *(codec.Decline(phone, call_id) for phone in phones))
            case "record", "recorded":
                await self._beep.wait()
                await self._order(event, codec.Speak(call_id, event["seconds"]), timed=False)
            case "talk", "conversation_ended":
                await trio.sleep(self._talks_s)
                await self._order(event, codec.PutDown(action["endpoint"]))

    async def _order(self, event: dict[str, Any], *orders: codec.Operation, timed: bool = True) -> None:
        """What somebody does is the event from now on, unless it could not be done."""
        before, self._event = self._event, event
        self._acted_at = perf_counter() if timed else None
        try:
            for order in orders:
                await self._link.ask(order)
        except PbxError:
            if self._event is event:
                self._event, self._acted_at = before, None
            raise

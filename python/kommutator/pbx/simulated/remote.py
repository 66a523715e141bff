"""The `Pbx` port over the socket of a simulated PBX that is a process of its own."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
import structlog
import trio

from kommutator.errors import CallGone, PbxError, PbxRefused, PbxUnreachable
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.link import Link, open_link
from kommutator.routing.conversation import Arrangement, Standing
from kommutator.routing.ports import Call, FloorSink
from kommutator.routing.turn import Event, Turn

PAUSES_S: Final = (0.05, 2.0)
"""Between tries to connect: the first, and the longest."""
_OCCUPIED_S: Final = 5.0
"""Between tries of a router whose place another has taken."""
_FETCH_DEADLINE_S: Final = 5.0
_FETCH_EVERY_S: Final = 60.0


class RemotePbx:
    """A router's connection to the simulated PBX at a socket; it connects again for ever.

    `lines` says whose phone each endpoint is. Recordings are brought into the folder `recordings` as `kt-NAME.wav`;
    without one they stay at the PBX.

    What a call's caller hears of a connection that ends is nothing: the PBX goes on, and the action is performed again, which
    continues it. Only a PBX that has died takes its calls with it: they end by the PBX's fault.
    """

    def __init__(
        self,
        socket: Path,
        lines: Mapping[str, Sequence[str]],
        *,
        recordings: Path | None = None,
        sounds: codec.Sounds | None = None,
    ) -> None:
        self._socket = socket
        self._lines = {endpoint: tuple(employees) for endpoint, employees in lines.items()}
        self._folder = recordings
        self._sounds = sounds
        self._router = uuid4().hex
        self._link: Link | None = None
        self._pbx: str | None = None
        self._waits = False
        self._moved = trio.Event()
        self._reached = trio.Event()
        self._found: frozenset[str] = frozenset()
        self._finding: set[str] = set()
        self._calls: dict[str, RemoteCall] = {}
        self._backs: dict[str, Callable[[str], None]] = {}
        self._floor: FloorSink | None = None
        self._begin: Callable[[RemoteCall], None] = lambda _: None
        self._log = structlog.get_logger().bind(pbx=str(socket))

    @property
    def connected(self) -> bool:
        """Whether the PBX is reached."""
        return self._link is not None

    def lines(self, lines: Mapping[str, Sequence[str]]) -> None:
        """Whose phone each endpoint is from now on. Does not wait."""
        self._lines = {endpoint: tuple(employees) for endpoint, employees in lines.items()}
        self._tell(codec.TellLines(tuple(self._lines)))

    def sounds(self, sounds: codec.Sounds) -> None:
        """What the PBX must know of the company from now on. Does not wait."""
        self._sounds = sounds
        self._tell(sounds)

    async def run(self, on_call: Callable[[Call], Awaitable[None]], floor: FloorSink) -> None:
        """Serve until cancelled. A PBX that is not there yet is waited for."""
        self._floor = floor

        async def serve(call: RemoteCall) -> None:
            try:
                await on_call(call)
            finally:
                self._calls.pop(call.call_id, None)

        async with trio.open_nursery() as nursery:

            def begin(call: RemoteCall) -> None:
                self._calls[call.call_id] = call
                nursery.start_soon(serve, call, name=f"call {call.call_id}")

            self._begin = begin
            nursery.start_soon(self._fetch_left)
            await self._stay_connected()

    async def found_calls(self) -> frozenset[str]:
        """The calls that were alive when the PBX was first reached; waits for that."""
        await self._reached.wait()
        return self._found

    async def epitaph(self, call_id: str, turn: Turn) -> Event:
        """How a call ended while nobody watched; the PBX's own fault when it was started anew and knows nothing of it."""
        while True:
            link = await self._connection()
            try:
                event: Event = await link.ask(codec.Epitaph(call_id, turn))
                return event
            except PbxUnreachable:
                continue

    async def call_back(self, call_id: str, endpoint: str, number: str, tell: Callable[[str], None]) -> str | None:
        """Call a number back from a phone. Raises `PbxUnreachable` when the connection is lost before there is an answer."""
        link = await self._connection()
        self._backs[call_id] = tell
        try:
            reason: str | None = await link.ask(codec.CallBack(call_id, endpoint, number))
            return reason
        finally:
            del self._backs[call_id]

    async def call_back_over(self, call_id: str) -> bool:
        """Wait for the end of a call back."""
        while True:
            link = await self._connection()
            try:
                there: bool = await link.ask(codec.CallBackOver(call_id))
            except PbxUnreachable:
                continue
            return there

    async def hang_up_call_back(self, call_id: str) -> None:
        """End a call back."""
        await (await self._connection()).ask(codec.HangUpCallBack(call_id))

    # --- the connection

    async def _stay_connected(self) -> None:
        pause_s = PAUSES_S[0]
        replaces = True
        while True:
            hello = codec.Hello(codec.PROTOCOL, "router", self._router, replaces)
            refused: str | None = None
            try:
                async with trio.open_nursery() as nursery:
                    link = await self._opened(nursery, hello)
                    if link is not None:
                        pause_s = PAUSES_S[0]
                        self._welcomed(link.welcome)
                        nursery.start_soon(self._introduce, link)
                        last_words = await link.run(self._told)
                        refused = last_words.reason if last_words is not None else None
                        replaces = last_words is None or last_words.code != "replaced"
                    nursery.cancel_scope.cancel()
            except* PbxError as group:
                self._log.error("the simulated pbx cannot be understood", reason=repr(group.exceptions[0]))
            finally:
                self._link = None
            if refused is not None:
                self._log.error("another router has taken the pbx", alarm="pbx", reason=refused)
            await trio.sleep(pause_s if replaces else _OCCUPIED_S)
            pause_s = min(2 * pause_s, PAUSES_S[1])

    async def _opened(self, nursery: trio.Nursery, hello: codec.Hello) -> Link | None:
        try:
            return await open_link(nursery, self._socket, hello)
        except PbxUnreachable as error:
            self._died(str(error))
        except PbxRefused as error:
            self._log.warning("the simulated pbx refuses", reason=str(error))
        return None

    def _welcomed(self, welcome: codec.Welcome) -> None:
        if self._pbx not in (None, welcome.instance):
            self._died("it was started anew")
        self._pbx = welcome.instance
        self._waits = False
        self._finding = set()

    async def _introduce(self, link: Link) -> None:
        """Tell the PBX what it must know, before anything else is asked."""
        try:
            if self._sounds is not None:
                await link.ask(self._sounds)
            await link.ask(codec.TellLines(tuple(self._lines)))
            self._link = link
            self._log.info("pbx connected", calls=len(self._calls))
            self._changed()
            await link.ask(codec.Serve())
        except PbxUnreachable:
            return  # whoever reads knows, too
        except PbxError as error:
            self._log.error("the simulated pbx could not be told", reason=str(error))
            link.close()

    def _died(self, reason: str) -> None:
        """The PBX is gone, and its calls with it; its phones cannot be rung."""
        if not self._waits:
            self._waits = True
            self._log.warning("waiting for the simulated pbx", reason=reason)
        if self._pbx is None:
            return
        self._log.error("the simulated pbx has died", alarm="pbx", calls=len(self._calls), reason=reason)
        self._pbx = None
        for call in self._calls.values():
            call.lost = True
        for endpoint in self._lines:
            self._on_line(endpoint, "unreachable")
        self._changed()

    def _changed(self) -> None:
        self._moved.set()
        self._moved = trio.Event()

    async def _connection(self, call: RemoteCall | None = None) -> Link:
        """The connection, as soon as there is one. Raises `PbxUnreachable` when the call's PBX has died."""
        while True:
            if call is not None and call.lost:
                raise PbxUnreachable(f"{call.call_id}: the simulated PBX has died, and the call with it")
            if self._link is not None and not self._link.over:
                return self._link
            await self._moved.wait()

    # --- what the PBX tells

    def _told(self, message: codec.FromPbx) -> None:
        match message:
            case codec.Came(call_id=call_id):
                self._finding.add(call_id)
                if call_id not in self._calls:
                    self._begin(RemoteCall(self, message))
            case codec.AllFound():
                if not self._reached.is_set():
                    self._found = frozenset(self._finding)
                    self._reached.set()
            case codec.CallBackIs(call_id=call_id, state=state):
                if call_id in self._backs:
                    self._backs[call_id](state)
            case codec.LineIs(endpoint=endpoint, line=line):
                self._on_line(endpoint, line)

    def _on_line(self, endpoint: str, line: str) -> None:
        for employee in self._lines.get(endpoint, ()):
            if self._floor is not None:
                self._floor.line(employee, line)

    def _tell(self, what: codec.Operation) -> None:
        if self._link is not None:
            self._link.tell(what)

    # --- recordings

    async def fetch(self, recording: str) -> None:
        """Bring a recording here now, if it can be in a few seconds; else it stays at the PBX and is brought later."""
        if self._folder is None:
            return
        with trio.move_on_after(_FETCH_DEADLINE_S):
            try:
                await self._fetch(recording)
            except (PbxError, OSError) as error:
                self._log.warning("a recording could not be fetched yet", recording=recording, reason=str(error))

    async def _fetch_left(self) -> None:
        """Bring what could not be brought when it was made, or when nobody was there to bring it."""
        while self._folder is not None:
            try:
                link = await self._connection()
                for recording in msgspec.convert(await link.ask(codec.Recordings()), list[str]):
                    await self._fetch(recording)
            except (PbxError, OSError) as error:
                self._log.warning("recordings could not be fetched", reason=str(error))
            with trio.move_on_after(_FETCH_EVERY_S):
                await self._moved.wait()

    async def _fetch(self, recording: str) -> None:
        assert self._folder is not None
        link = await self._connection()
        path = self._folder / f"kt-{recording}.wav"
        if path.name != Path(path.name).name:
            raise PbxRefused(f"`{recording}` is no name of a recording")
        if not path.exists():
            content = bytearray()
            while True:
                answer = await link.ask(codec.Fetch(recording, len(content)))
                piece = msgspec.convert(answer, codec.Piece)
                content += piece.sound
                if len(content) >= piece.size or not piece.sound:
                    break
            await trio.to_thread.run_sync(_keep, path, bytes(content))
        await link.ask(codec.Fetched(recording))


class RemoteCall:
    """The `Call` port."""

    takes_orders = True

    def __init__(self, pbx: RemotePbx, came: codec.Came) -> None:
        self.call_id = came.call_id
        self.did = came.did
        self.caller = came.caller
        self.saved_state = came.saved_state
        self.lost = False
        """The PBX has died, and the call with it."""
        self._pbx = pbx

    async def save(self, turn: Turn) -> None:
        """Keep the state with the call. Raises `CallGone`, and `PbxUnreachable` when the PBX has died."""
        await self._ask(codec.Save(self.call_id, turn))

    async def perform(self, turn: Turn) -> Event:
        """Perform the turn's action; the event that answers it: a fault of the PBX's when it has died."""
        try:
            event: Event = await self._ask(codec.Perform(self.call_id, turn))
        except CallGone:
            return {"type": "caller_hung_up"}
        except PbxUnreachable:
            return {"type": "fault", "whose": "pbx"}
        recording: Any = getattr(turn.action, "recording", None)
        if recording is not None and event.get("seconds") is not None:
            await self._pbx.fetch(recording)
        return event

    def pick_up(self, endpoint: str) -> None:
        """Let a phone that rings answer by itself."""
        self._pbx._tell(codec.AnswerItself(self.call_id, endpoint))

    async def arrangement(self) -> Arrangement | None:
        """What is kept with the call. Raises `CallGone`, and `PbxUnreachable` when the PBX has died."""
        return msgspec.convert(await self._ask(codec.Kept(self.call_id)), Arrangement | None)

    async def keep(self, arrangement: Arrangement) -> None:
        """Keep it with the call. Raises `CallGone`, and `PbxUnreachable` when the PBX has died."""
        await self._ask(codec.Keep(self.call_id, arrangement))

    async def converse(self, arrangement: Arrangement, seen: Standing, seconds: float | None) -> Standing:
        """Make the arrangement true; how its phones are. Raises `CallGone`, and `PbxUnreachable` when the PBX has died."""
        while True:
            link = await self._pbx._connection(self)
            try:
                answer = await link.ask(codec.Converse(self.call_id, arrangement, seen, seconds))
                return msgspec.convert(answer, Standing)
            except PbxUnreachable:
                # An `interrupt` may have been lost with the connection: look at once, and let it be looked at again.
                seconds = 0.0

    async def stop_ringing(self, keep: Sequence[str]) -> None:
        """Cancel the legs at other endpoints."""
        with suppress(CallGone, PbxUnreachable):
            await self._ask(codec.StopRinging(self.call_id, tuple(keep)))

    def interrupt(self) -> None:
        """Let `converse` return."""
        self._pbx._tell(codec.Interrupt(self.call_id))

    async def close(self, turn: Turn | None) -> None:
        """End what is left of the call."""
        try:
            await self._ask(codec.Close(self.call_id, turn))
        except (CallGone, PbxUnreachable):
            return

    async def _ask(self, what: codec.Operation) -> Any:
        while True:
            link = await self._pbx._connection(self)
            try:
                return await link.ask(what)
            except PbxUnreachable:
                continue


def _keep(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)

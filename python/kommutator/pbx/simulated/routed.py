"""The simulated PBX's side of a router's connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
import trio

from kommutator.errors import CallGone, PbxError, PbxRefused
from kommutator.pbx.simulated import call_back, codec, sound
from kommutator.pbx.simulated.call import SimulatedCall, gone
from kommutator.pbx.simulated.peer import Peer
from kommutator.pbx.simulated.world import Channel
from kommutator.routing.turn import End, Talk, Turn

if TYPE_CHECKING:
    from kommutator.pbx.simulated.host import PbxHost


class RouterSession:
    """One router, for as long as it is connected."""

    def __init__(self, host: PbxHost, peer: Peer[codec.ToPbx], instance: str) -> None:
        self._host = host
        self._peer = peer
        self._instance = instance
        self._serves = False
        self._waited: list[Channel] = []
        """Who came before the router was ready."""
        self._performed: dict[int, trio.CancelScope] = {}
        self._one_by_one: dict[str, trio.Lock] = {}
        self._over = trio.Event()
        self._log = structlog.get_logger().bind(pbx=host.name)

    async def run(self) -> None:
        """Serve until the router is gone; its calls stay as they are."""
        host = self._host
        host.take_router(self, self._instance)
        try:
            async with trio.open_nursery() as nursery:
                while (message := await self._peer.receive()) is not None:
                    match message:
                        case codec.Ask(id=number, what=codec.Perform() | codec.Converse() | codec.CallBack() as what):
                            nursery.start_soon(self._last, number, what, self._scope(number))
                        case codec.Ask(id=number, what=what):
                            await self._answer(number, what)
                        case codec.Drop(id=number):
                            if number in self._performed:
                                self._performed[number].cancel()
                nursery.cancel_scope.cancel()
        finally:
            if host.router is self:
                host.router = host.world.on_line = None
            self._over.set()

    async def replaced(self) -> None:
        """A newer router has come: end this connection, and wait until it has."""
        self._peer.post(codec.Refused("replaced", "a newer router has connected"))
        self._peer.finish()
        with trio.move_on_after(1):
            await self._over.wait()
        self._peer.cut()
        await self._over.wait()

    @property
    def in_hand(self) -> int:
        """How many actions are being performed."""
        return len(self._performed)

    def came(self, channel: Channel) -> None:
        """A caller has come. Before the router is ready for him he waits."""
        if self._serves:
            self._begin(channel)
        else:
            self._waited.append(channel)

    # --- questions

    async def _answer(self, number: int, what: codec.Operation) -> None:
        try:
            value = await self._do(what)
        except PbxError as error:
            self._peer.post(codec.Failure(number, error.code, str(error)))
        else:
            self._peer.post(codec.Answer(number, value))

    async def _do(self, what: codec.Operation) -> Any:
        host = self._host
        match what:
            case codec.TellLines(endpoints=endpoints):
                self._tell_lines(endpoints)
            case codec.Sounds():
                host.know(what)
            case codec.Serve():
                self._serve()
            case codec.Save(call_id=call_id, turn=turn):
                call = self._call(call_id)
                await call.save(turn)
                if isinstance(turn.action, Talk):
                    self._tell_decided(call.channel, turn)
            case codec.AnswerItself(call_id=call_id, endpoint=endpoint):
                self._call(call_id).pick_up(endpoint)
            case codec.StopRinging(call_id=call_id, keep=keep):
                await self._call(call_id).stop_ringing(keep)
            case codec.Kept(call_id=call_id):
                return await self._call(call_id).arrangement()
            case codec.Keep(call_id=call_id, arrangement=arrangement):
                await self._call(call_id).keep(arrangement)
            case codec.Interrupt(call_id=call_id):
                self._call(call_id).interrupt()
            case codec.HangUpCallBack(call_id=call_id):
                call_back.hang_up(host.world, call_id)
            case codec.Close(call_id=call_id, turn=turn):
                await self._close(call_id, turn)
            case codec.Epitaph(call_id=call_id, turn=turn):
                known = call_id in host.world.channels or any(each.call_id == call_id for each in host.world.past)
                return gone(host.world, turn) if known else {"type": "fault", "whose": "pbx"}
            case codec.Recordings():
                return [name for name in host.world.messages if name not in host.fetched]
            case codec.Fetch(recording=recording, offset=offset):
                seconds = host.world.messages.get(recording)
                if seconds is None:
                    raise PbxRefused(f"there is no recording {recording}")
                return codec.Piece(sound.piece(seconds, max(0, offset), codec.CHUNK), sound.size(seconds))
            case codec.Fetched(recording=recording):
                host.fetched[recording] = None
            case _:
                raise PbxRefused("that is not for a router to ask")
        return None

    def _scope(self, number: int) -> trio.CancelScope:
        scope = self._performed[number] = trio.CancelScope()
        return scope

    async def _last(
        self,
        number: int,
        what: codec.Perform | codec.Converse | codec.CallBack | codec.CallBackOver,
        scope: trio.CancelScope,
    ) -> None:
        """Do what lasts: of one call one after the other, since what was dropped may still be at its end."""
        log = self._log.bind(call=what.call_id)
        lock = self._one_by_one.setdefault(what.call_id, trio.Lock())
        try:
            with scope:
                async with lock:
                    value = await self._do_lasting(what)
                self._peer.post(codec.Answer(number, value))
        except PbxError as error:
            self._peer.post(codec.Failure(number, error.code, str(error)))
        except Exception:
            log.exception("an action failed in our code")
            self._peer.post(codec.Failure(number, PbxRefused.code, "the simulated PBX has failed"))
        finally:
            del self._performed[number]
            if what.call_id not in self._host.calls:
                self._one_by_one.pop(what.call_id, None)

    async def _do_lasting(self, what: codec.Perform | codec.Converse | codec.CallBack | codec.CallBackOver) -> Any:
        match what:
            case codec.Perform(call_id=call_id, turn=turn):
                call = self._call(call_id)
                self._tell_decided(call.channel, turn)
                return await call.perform(turn)
            case codec.Converse(call_id=call_id, arrangement=arrangement, seen=seen, seconds=seconds):
                return await self._call(call_id).converse(arrangement, seen, seconds)
            case codec.CallBack(call_id=call_id, endpoint=endpoint, number=number):

                def tell(state: str) -> None:
                    self._peer.post(codec.CallBackIs(call_id, state))

                return await call_back.call_back(self._host.world, call_id, endpoint, number, tell)
            case codec.CallBackOver(call_id=call_id):
                return await call_back.over(self._host.world, call_id)

    async def _close(self, call_id: str, turn: Turn | None) -> None:
        host = self._host
        call = host.calls.pop(call_id, None)
        self._one_by_one.pop(call_id, None)
        if call is None:
            raise CallGone(f"{call_id}: there is no such call")
        if turn is not None:
            self._tell_decided(call.channel, turn)
        await call.close(turn)
        action = turn.action if turn is not None else None
        told = (action.disposition, action.fault) if isinstance(action, End) else (None, None)
        host.tell(codec.Over(host.agenda.now_ms(), call_id, *told), call_id)

    def _call(self, call_id: str) -> SimulatedCall:
        call = self._host.calls.get(call_id)
        if call is None:
            raise CallGone(f"{call_id}: there is no such call")
        return call

    # --- what is told unasked

    def _serve(self) -> None:
        self._serves = True
        # Whoever has hung up before the router was ready has called all the same: his call has an end in the ledger.
        for channel in self._waited:
            if channel.gone_ms is not None:
                self._begin(channel)
        self._waited.clear()
        for channel in list(self._host.world.channels.values()):
            if channel.routed:
                self._begin(channel)
        self._peer.post(codec.AllFound())

    def _begin(self, channel: Channel) -> None:
        if channel.call_id not in self._host.calls:
            self._host.calls[channel.call_id] = SimulatedCall(self._host.world, channel)
        self._peer.post(codec.Came(channel.call_id, channel.did, channel.caller, channel.saved_state))

    def _tell_lines(self, endpoints: tuple[str, ...]) -> None:
        world = self._host.world
        watched = frozenset(endpoints)

        def tell(endpoint: str) -> None:
            if endpoint in watched:
                self._peer.post(codec.LineIs(endpoint, world.line(endpoint)))

        world.on_line = tell
        for endpoint in endpoints:
            world.expect(endpoint)
            tell(endpoint)

    def _tell_decided(self, channel: Channel, turn: Turn) -> None:
        """Tell those who watch, once a turn, however often it is taken."""
        host = self._host
        if channel.told < turn.sequence:
            channel.told = turn.sequence
            host.tell(codec.Decided(host.agenda.now_ms(), channel.call_id, turn), channel.call_id)

"""The simulated PBX's side of a control connection: callers placed by hand, phones picked up by hand, and those who watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, cast

from kommutator.errors import CallGone, PbxError, PbxRefused
from kommutator.pbx.simulated import codec, hearing
from kommutator.pbx.simulated.behaviour import CallerScript, PhoneScript
from kommutator.pbx.simulated.peer import Peer
from kommutator.pbx.simulated.world import Channel

if TYPE_CHECKING:
    from kommutator.pbx.simulated.host import PbxHost

WATCHED: Final = 2048
"""Messages that may wait for a watcher; what happens beyond is counted and left out."""
_KEYS: Final = frozenset("0123456789*#")
_MOST_KEYS: Final = 64


class ControlSession:
    """One client, for as long as it is connected."""

    def __init__(self, host: PbxHost, peer: Peer[codec.ToPbx]) -> None:
        self._host = host
        self._peer = peer
        self._all = False
        self._watched: set[str] = set()
        self._missed = 0

    async def run(self) -> None:
        """Serve until the client is gone."""
        try:
            while (message := await self._peer.receive()) is not None:
                if isinstance(message, codec.Ask):
                    self._answer(message.id, message.what)
        finally:
            self._host.forget(self)

    def tell(self, told: codec.Told, call_id: str) -> None:
        """Something has happened to a call."""
        if not self._all and call_id not in self._watched:
            return
        if isinstance(told, codec.Over):
            self._watched.discard(call_id)
        if self._peer.waiting >= WATCHED:
            self._missed += 1
            return
        if self._missed:
            self._peer.post(codec.Missed(self._missed))
            self._missed = 0
        self._peer.post(told)

    def _answer(self, number: int, what: codec.Operation) -> None:
        try:
            value = self._do(what)
        except PbxError as error:
            self._peer.post(codec.Failure(number, error.code, str(error)))
        else:
            self._peer.post(codec.Answer(number, value))

    def _do(self, what: codec.Operation) -> Any:
        host, world = self._host, self._host.world
        match what:
            case codec.Place():
                phones = {endpoint: PhoneScript(acts) for endpoint, acts in what.phones.items()}
                return host.place(what.call_id, what.did, what.caller, CallerScript(what.acts), phones)
            case codec.Press(call_id=call_id, keys=keys):
                if not _KEYS.issuperset(keys) or len(keys) > _MOST_KEYS:
                    raise PbxRefused(f"`{keys[:_MOST_KEYS]}` are no keys of a phone")
                world.press(self._channel(call_id), keys)
            case codec.Speak(call_id=call_id, seconds=seconds):
                if not world.speak(self._channel(call_id), max(0.0, seconds)):
                    raise PbxRefused(f"{call_id}: nothing is being recorded")
            case codec.HangUp(call_id=call_id):
                world.hang_up(self._channel(call_id), "hung_up")
            case codec.Callers():
                return [self._caller(channel) for channel in world.channels.values()]
            case codec.Phones():
                return [self._phone(endpoint) for endpoint in world.endpoints()]
            case codec.Story(call_id=call_id):
                return hearing.story(world, call_id)
            case codec.Behave(endpoint=endpoint, acts=acts):
                world.behave(endpoint, None if acts is None else PhoneScript(acts))
            case codec.PickUp(endpoint=endpoint, call_id=call_of):
                if not world.pick_up(endpoint, call_of):
                    raise PbxRefused(f"{endpoint}: there is nothing to answer")
            case codec.Decline(endpoint=endpoint, call_id=call_of):
                if not world.decline(endpoint, call_of):
                    raise PbxRefused(f"{endpoint}: it does not ring")
            case codec.PutDown(endpoint=endpoint):
                if not world.put_down(endpoint):
                    raise PbxRefused(f"{endpoint}: nobody talks on it")
            case codec.HoldKey(endpoint=endpoint, held=held):
                world.press_hold(endpoint, held)
            case codec.Watch(call_id=None):
                self._all = True
                host.watch(self)
            case codec.Watch(call_id=str(call_id)):
                self._watched.add(call_id)
                host.watch(self)
            case codec.Traffic(calls_per_minute=rate, callers=callers, seed=seed):
                host.traffic.set(rate, callers, seed)
            case codec.About():
                return self._standing()
            case _:
                raise PbxRefused("that is for a router to ask")
        return None

    def _channel(self, call_id: str) -> Channel:
        channel = self._host.channel(call_id)
        if channel is None:
            raise CallGone(f"{call_id}: the caller is not on the line")
        return channel

    def _caller(self, channel: Channel) -> codec.CallerThere:
        talks_with = next((leg.endpoint for leg in channel.legs.values() if leg.up), None)
        return codec.CallerThere(
            channel.call_id, channel.did, channel.caller, channel.came_ms, talks_with, channel.fallback
        )

    def _phone(self, endpoint: str) -> codec.PhoneThere:
        world = self._host.world
        legs = sorted((leg for leg in world.legs_at(endpoint) if leg.rang), key=lambda leg: not leg.up)
        leg = legs[0] if legs else None
        script = world.script_of(endpoint)
        return codec.PhoneThere(
            endpoint,
            cast("Literal['idle', 'ringing', 'busy', 'unreachable']", world.line(endpoint)),
            self._host.sounds.names.get(endpoint),
            leg.call_id if leg else None,
            leg.channel.caller if leg else None,
            (leg.answered_ms or leg.began_ms) if leg else None,
            script is not None and script.by_hand,
            hearing.phone_hears(leg) if leg else None,
            leg is not None and leg.up and leg.channel.held_by_phone,
        )

    def _standing(self) -> codec.Glance:
        host = self._host
        return codec.Glance(
            host.sounds,
            host.router is not None,
            host.on_the_line,
            host.router.in_hand if host.router is not None else 0,
            host.came,
            host.fallbacks,
            host.traffic.left_out,
            host.traffic.calls_per_minute,
        )

"""The `Pbx` port over ARI: new calls, calls found alive, line states, and what is left by calls that are over."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
import trio

from kommutator.errors import PbxError, PbxProtocolError
from kommutator.pbx.ari import codec, requests
from kommutator.pbx.ari.call import AriCall
from kommutator.pbx.ari.call_back import CallBack
from kommutator.pbx.ari.codec import Channel, Event, Request
from kommutator.pbx.ari.devices import Devices
from kommutator.pbx.ari.inbox import Inbox
from kommutator.pbx.ari.names import GIVEN, bridge_id, is_ours, parse_bridge, parse_leg
from kommutator.pbx.ari.recordings import Recordings
from kommutator.pbx.ari.session import Session
from kommutator.pbx.asterisk import STATE, DialStrings, Sounds, recording_name
from kommutator.routing.conversation import Party
from kommutator.routing.doings import CALL_BACK
from kommutator.routing.ports import Call, FloorSink
from kommutator.routing.turn import Event as CallEvent
from kommutator.routing.turn import Record, Turn

_TIDY_AT_ONCE = 4096
_NUMBER = re.compile(r"\+[0-9]{3,15}")
_FETCH_EVERY_S = 60.0


@dataclass(frozen=True)
class AriSettings:
    """How to reach Asterisk, and how it is used."""

    url: str
    """`http://host:8088`, with or without `/ari`."""
    user: str
    password: str
    recordings: Path
    """The folder into which recordings are fetched."""
    application: str = "kommutator"
    """The name in the dialplan's `Stasis(…)`."""
    trunk: str = "PJSIP/{number}@trunk"
    """How an E.164 number is dialled."""
    silence_s: int = 5
    """So much silence ends a recording."""


class AriPbx:
    """One Asterisk. `lines` says whose phone each endpoint is."""

    def __init__(self, settings: AriSettings, sounds: Sounds, lines: Mapping[str, Sequence[str]]) -> None:
        self._settings = settings
        self._sounds = sounds
        self._lines = lines
        self._device_states: dict[str, str] = {}
        """As Asterisk last told."""
        self._to_watch = trio.Event()
        self._session = Session(settings, self._on_event, self._reconcile)
        self._recordings = Recordings(self._session, settings.recordings)
        self._dial_strings = DialStrings(settings.trunk)
        self._calls: dict[str, AriCall] = {}
        self._given: dict[str, str] = {}
        self._backs: dict[str, CallBack] = {}
        self._pairs: dict[str, tuple[str, str]] = {}
        """The legs of each call back in which both talk: when one ends, so does the other."""
        self._pair_over = trio.Event()
        self._devices = Devices()
        self._look_in, self._look_out = trio.open_memory_channel[str](_TIDY_AT_ONCE)
        self._found: frozenset[str] = frozenset()
        self._looked = trio.Event()
        self._tidy_in, self._tidy_out = trio.open_memory_channel[Request](_TIDY_AT_ONCE)
        self._begin: Callable[[AriCall], None] = lambda _: None
        self._floor: FloorSink | None = None
        self._log = structlog.get_logger().bind(pbx=settings.url)

    @property
    def connected(self) -> bool:
        """Whether Asterisk is reached at this moment, and its calls and ours have been brought together."""
        return self._session.connected

    def lines(self, lines: Mapping[str, Sequence[str]]) -> None:
        """From now on these people's phones are at these endpoints. What is known of their lines is told at once; new
        devices are watched as soon as Asterisk is reached."""
        new = [device for device in lines if device not in self._lines]
        moved = [device for device in lines if device not in new and list(lines[device]) != list(self._lines[device])]
        self._lines = {device: tuple(people) for device, people in lines.items()}
        for device in moved:
            if device in self._device_states:
                self._on_device(codec.Device(device, self._device_states[device]))
        if new:
            self._to_watch.set()

    @property
    def session(self) -> Session:
        """The connection."""
        return self._session

    async def run(self, on_call: Callable[[Call], Awaitable[None]], floor: FloorSink) -> None:
        """Serve calls until cancelled. Raises `PbxRefused` when Asterisk refuses the very first connection."""
        self._floor = floor

        async def serve(call: AriCall) -> None:
            try:
                await on_call(call)
            finally:
                self._calls.pop(call.call_id, None)

        async with trio.open_nursery() as nursery:

            def begin(call: AriCall) -> None:
                self._calls[call.call_id] = call
                nursery.start_soon(serve, call, name=f"call {call.call_id}")

            self._begin = begin
            nursery.start_soon(self._tidy)
            nursery.start_soon(self._fetch_left)
            nursery.start_soon(self._watch_new_lines)
            nursery.start_soon(self._look_again)
            await self._session.run()

    async def found_calls(self) -> frozenset[str]:
        """The calls that were alive when Asterisk was first reached; waits for that."""
        await self._looked.wait()
        return self._found

    async def epitaph(self, call_id: str, turn: Turn) -> CallEvent:
        """How a call ended while nobody watched: by its stored recording when it was leaving a message."""
        if isinstance(turn.action, Record):
            name = recording_name(turn.action.recording)
            try:
                stored = self._recordings.seconds(name) is not None
                if stored or (await self._session.request(requests.get_stored_recording(name))).ok:
                    return {"type": "caller_hung_up", "seconds": await self._recordings.fetch(name)}
            except PbxError as error:
                self._log.warning("the length of a message is not known", call=call_id, reason=str(error))
        return {"type": "caller_hung_up"}

    async def call_back(self, call_id: str, endpoint: str, number: str, tell: Callable[[str], None]) -> str | None:
        """Call a number back from a phone."""
        application = self._settings.application
        back = CallBack(self._session, application, self._dial_strings, call_id, endpoint, number, self._later)
        self._backs[call_id] = back

        def tell_and_pair(state: str) -> None:
            if state == "talking":
                self._pairs[call_id] = (back.employee_leg, back.client_leg)
            tell(state)

        try:
            return await back.run(tell_and_pair)
        finally:
            del self._backs[call_id]

    async def call_back_over(self, call_id: str) -> bool:
        """Wait until one of both has hung up."""
        await self._looked.wait()
        there = call_id in self._pairs
        while call_id in self._pairs:
            await self._pair_over.wait()
        return there

    async def hang_up_call_back(self, call_id: str) -> None:
        """Hang both up."""
        for leg in self._pairs.get(call_id, ()):
            await self._ask(requests.hang_up(leg, "normal"))

    # --- events

    def _on_event(self, event: Event) -> None:
        match event:
            case codec.StasisStart(channel=channel):
                self._on_start(event, channel)
            case codec.StasisEnd(channel=channel) | codec.ChannelDestroyed(channel=channel):
                self._on_end(event, channel)
            case codec.ChannelHangupRequest(channel=channel):
                call = self._calls.get(channel.id)
                if call is not None:
                    call.inbox.caller_gone()
            case codec.Dial(peer=channel):
                self._post(channel.id, event)
            case codec.ChannelDtmfReceived(channel=channel) | codec.ChannelHold(channel=channel):
                self._post(channel.id, event)
            case codec.ChannelTransfer(referred_by=codec.ReferredBy(source_channel=channel)):
                self._post(channel.id, event)
            case codec.ChannelStateChange(channel=channel) | codec.ChannelUnhold(channel=channel):
                self._post(channel.id, event)
            case codec.PlaybackFinished(playback=playback):
                self._post(playback.target_uri.removeprefix("channel:"), event)
            case codec.RecordingFinished(recording=recording) | codec.RecordingFailed(recording=recording):
                self._post(recording.target_uri.removeprefix("channel:"), event)
            case codec.DeviceStateChanged(device_state=device):
                self._on_device(device)
            case codec.ApplicationReplaced():
                self._log.error("another router has connected under this application's name")

    def _on_start(self, event: codec.StasisStart, channel: Channel) -> None:
        leg = parse_leg(channel.id)
        if leg is None and not is_ours(channel.id):
            if channel.id not in self._calls:
                self._begin(self._call(channel, event.args))
        elif leg is not None and self._inbox_of(leg[0]) is not None:
            self._post(channel.id, event)
        else:
            self._later(requests.hang_up(channel.id, "normal"))

    def _on_end(self, event: Event, channel: Channel) -> None:
        call = self._calls.get(channel.id)
        if call is not None:
            call.inbox.caller_gone()
        else:
            self._post(channel.id, event)
        if isinstance(event, codec.ChannelDestroyed):
            device = self._devices.settled(channel.id)
            if device is not None:
                self._look_later(device)
        for call_id, pair in [pair for pair in self._pairs.items() if channel.id in pair[1]]:
            self._unpair(call_id)
            self._later(requests.hang_up(pair[0] if channel.id == pair[1] else pair[1], "normal"))
            self._later(requests.destroy_bridge(bridge_id(call_id)))
        for caller, leg in [pair for pair in self._given.items() if channel.id in pair]:
            del self._given[caller]
            self._later(requests.hang_up(leg if channel.id == caller else caller, "normal"))
            self._later(requests.destroy_bridge(bridge_id(caller)))

    def _unpair(self, call_id: str) -> None:
        del self._pairs[call_id]
        self._pair_over.set()
        self._pair_over = trio.Event()

    def _release(self, channel: str) -> None:
        """This leg has won, or was never there."""
        device = self._devices.settled(channel)
        if device is not None:
            self._on_device(codec.Device(device, self._device_states[device]))

    def _post(self, channel: str, event: Event) -> None:
        leg = parse_leg(channel)
        call_id = leg[0] if leg else channel
        inbox = self._inbox_of(call_id)
        if inbox is not None:
            inbox.post(event)

    def _dialled(self, extension: str) -> Party | None:
        """Whom a phone means that dials so: one of our phones by its name, or an E.164 number beyond the trunk."""
        for endpoint, people in self._lines.items():
            if endpoint.rpartition("/")[2] == extension:
                return Party(endpoint, people[0] if len(people) == 1 else None)
        return Party(extension) if _NUMBER.fullmatch(extension) else None

    def _inbox_of(self, call_id: str) -> Inbox | None:
        owner = self._calls.get(call_id) or self._backs.get(call_id)
        return None if owner is None else owner.inbox

    def _on_device(self, device: codec.Device) -> None:
        self._device_states[device.name] = device.state
        line = self._devices.line(device.name, device.state)
        for employee in self._lines.get(device.name, ()):
            if self._floor is not None and line is not None:
                self._floor.line(employee, line)

    def _call(self, channel: Channel, args: Sequence[str], saved_state: str | None = None) -> AriCall:
        return AriCall(
            self._session,
            channel,
            args[0] if args and args[0] else channel.dialplan.exten,
            self._sounds,
            self._recordings,
            self._settings.application,
            self._dial_strings,
            self._settings.silence_s,
            self._give_away,
            self._devices.withhold,
            self._release,
            self._dialled,
            saved_state,
        )

    # --- after a connection is made

    async def _reconcile(self) -> None:
        """Bring what we believe and what Asterisk has together, after every connect, before the session is ready."""
        application = self._settings.application
        await self._ask(requests.filter_events(application, codec.EVENT_TYPES))
        await self._watch_lines()
        listed = await self._ask(requests.list_channels())
        channels = [codec.decode_channel(value) for value in listed.decode() or []]
        legs: dict[str, list[Channel]] = {}
        alive: dict[str, Channel] = {}
        for channel in channels:
            leg = parse_leg(channel.id)
            if leg is not None or is_ours(channel.id):
                legs.setdefault(leg[0] if leg else "", []).append(channel)
            elif channel.dialplan.app_name == "Stasis" and channel.dialplan.app_data.split(",")[0] == application:
                alive[channel.id] = channel
        for call_id, call in list(self._calls.items()):
            if call_id in alive:
                call.found(alive[call_id].up, legs.get(call_id, []))
            elif (await self._ask(requests.get_channel(call_id))).status == 404:
                call.inbox.caller_gone()
        for channel in alive.values():
            if channel.id not in self._calls:
                await self._take_over(channel, legs.get(channel.id, []))
        for back in self._backs.values():
            back.inbox.ask_resync()
        await self._end_orphans(legs)
        if not self._looked.is_set():
            self._found = frozenset(self._calls)
            self._looked.set()
        self._log.info("pbx reconciled", calls=len(self._calls), legs=sum(map(len, legs.values())))

    async def _take_over(self, channel: Channel, legs: Sequence[Channel]) -> None:
        """A channel in our application that this router does not know: a call of an earlier router, or one that has
        just come.
        """
        await self._ask(requests.subscribe(self._settings.application, [f"channel:{channel.id}"]))
        given = await self._variable(channel.id, GIVEN)
        if given is not None:
            if any(leg.id == given for leg in legs):
                self._given[channel.id] = given
            else:
                self._later(requests.hang_up(channel.id, "normal"))
            return
        state = await self._variable(channel.id, STATE)
        if channel.id in self._calls:
            return
        call = self._call(channel, channel.dialplan.app_data.split(",")[1:], state)
        call.found(channel.up, legs)
        for leg in legs:
            await self._ask(requests.subscribe(self._settings.application, [f"channel:{leg.id}"]))
        self._begin(call)

    async def _end_orphans(self, legs: Mapping[str, Sequence[Channel]]) -> None:
        """End legs and bridges whose caller has gone."""
        bridges = await self._ask(requests.list_bridges())
        members = {bridge["id"]: bridge.get("channels", []) for bridge in bridges.decode() or []} if bridges.ok else {}
        for call_id, own in legs.items():
            if call_id.startswith(CALL_BACK) and call_id not in self._backs:
                up = [leg.id for leg in own if leg.up and leg.id in members.get(bridge_id(call_id), [])]
                if len(up) == 2:
                    self._pairs[call_id] = (up[0], up[1])
                    await self._ask(requests.subscribe(self._settings.application, [f"channel:{leg}" for leg in up]))
        for call_id in [call_id for call_id in self._pairs if len(legs.get(call_id, ())) < 2]:
            self._unpair(call_id)
        known = (*self._calls, *self._given, *self._backs, *self._pairs)
        for call_id, orphans in legs.items():
            if call_id not in known:
                for leg in orphans:
                    await self._ask(requests.hang_up(leg.id, "normal"))
        for bridge in members:
            owner = parse_bridge(bridge)
            if owner is not None and owner not in known:
                await self._ask(requests.destroy_bridge(bridge))

    async def _watch_lines(self) -> None:
        self._devices.forget()
        if not self._lines:
            return
        sources = [f"deviceState:{device}" for device in self._lines]
        subscribed = await self._ask(requests.subscribe(self._settings.application, sources))
        if not subscribed.ok:
            raise PbxProtocolError(f"device states cannot be subscribed: {subscribed.status} {subscribed.reason}")
        for device in self._lines:
            await self._look_at(device)

    async def _look_at(self, device: str) -> None:
        state = await self._ask(requests.device_state(device))
        if state.ok:
            self._on_device(codec.Device(device, str(state.decode().get("state"))))

    def _look_later(self, device: str) -> None:
        try:
            self._look_in.send_nowait(device)
        except trio.WouldBlock:
            self._log.error("too many devices to look at; left for their next change", device=device)

    async def _look_again(self) -> None:
        async for device in self._look_out:
            try:
                # Asterisk (22) tells that a channel is gone before it works out the device's state anew. Without another
                # channel, that it is free is on its way; with one, nothing may be.
                listed = await self._ask(requests.list_channels())
                channels = [codec.decode_channel(value) for value in listed.decode() or []]
                if any(channel.name.startswith(f"{device}-") for channel in channels):
                    await self._look_at(device)
            except PbxError as error:
                self._log.warning("a device could not be looked at", device=device, reason=str(error))

    async def _watch_new_lines(self) -> None:
        """After a change of the lines; a connection made meanwhile has watched them already, and again does no harm."""
        while True:
            await self._to_watch.wait()
            self._to_watch = trio.Event()
            await self._session.ready()
            try:
                await self._watch_lines()
            except PbxError as error:
                self._log.error("new phones cannot be watched until the next connection", reason=str(error))

    async def _variable(self, channel: str, name: str) -> str | None:
        response = await self._ask(requests.get_variable(channel, name))
        return (response.decode().get("value") or None) if response.ok else None

    async def _ask(self, request: Request) -> codec.Response:
        return await self._session.request(request)

    # --- what is over

    async def _fetch_left(self) -> None:
        """Bring the recordings that could not be fetched when they were made, or that nobody was there to fetch."""
        while True:
            await self._session.ready()
            try:
                await self._recordings.fetch_left()
            except PbxError as error:
                self._log.warning("recordings could not be fetched", reason=str(error))
            await trio.sleep(_FETCH_EVERY_S)

    def _give_away(self, caller: str, leg: str) -> None:
        """The caller was transferred to this leg: end one when the other ends."""
        self._given[caller] = leg

    def _later(self, request: Request) -> None:
        try:
            self._tidy_in.send_nowait(request)
        except trio.WouldBlock:
            self._log.error("too much to tidy up; left for the next connection", request=request.uri)

    async def _tidy(self) -> None:
        async for request in self._tidy_out:
            try:
                await self._session.request(request)
            except PbxError as error:
                self._log.warning("could not tidy up", request=request.uri, reason=str(error))

"""One live call at Asterisk: each action of the engine translated into what the PBX must do, and back into one event.

Every action can be performed again for the same turn and continues where the PBX is. That one path serves a router that
was killed and started again, another router, and a connection that broke and was restored.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec
import structlog
import trio

from kommutator.errors import CallGone, PbxRefused, PbxTimeout, PbxUnreachable
from kommutator.pbx.ari import codec, requests
from kommutator.pbx.ari.codec import Channel
from kommutator.pbx.ari.conversation import Conversations
from kommutator.pbx.ari.inbox import Inbox, PickUp, Post, Resync
from kommutator.pbx.ari.legs import Leg, Legs
from kommutator.pbx.ari.line import CallerLine
from kommutator.pbx.ari.names import (
    GIVEN,
    TALK,
    bridge_id,
    playback_id,
    private_bridge_id,
)
from kommutator.pbx.ari.recordings import Recordings
from kommutator.pbx.ari.session import Session
from kommutator.pbx.asterisk import STATE, WITHHELD, DialStrings, Sounds, recording_name
from kommutator.routing.answers import ended_of, is_complete, outcome_of
from kommutator.routing.conversation import Arrangement, Party, Standing
from kommutator.routing.turn import (
    End,
    Event,
    FindHistory,
    FindOwner,
    HangUp,
    Menu,
    Play,
    Record,
    Ring,
    Transfer,
    Turn,
    Wait,
)

_T = TypeVar("_T")
_TRIES = 4
"""How often an action is begun again because Asterisk did not answer a request in time."""
_LAST_WORDS_S = 2.0
"""How long to wait for a recording to be closed after its caller has hung up."""
_HANG_UP_REASONS = frozenset({"normal", "busy", "congestion", "no_answer", "rejected", "unallocated"})


class AriCall:
    """The `Call` port over ARI."""

    takes_orders = True

    def __init__(
        self,
        session: Session,
        channel: Channel,
        did: str,
        sounds: Sounds,
        recordings: Recordings,
        application: str,
        dial_strings: DialStrings,
        silence_s: int,
        given_away: Callable[[str, str], None],
        withhold: Callable[[str, str], None],
        release: Callable[[str], None],
        dialled: Callable[[str], Party | None],
        saved_state: str | None = None,
    ) -> None:
        self.call_id = channel.id
        self.did = did
        self.caller = None if channel.caller.number.lower() in WITHHELD else channel.caller.number
        self.saved_state = saved_state
        self.inbox = Inbox()
        self._session = session
        self._sounds = sounds
        self._recordings = recordings
        self._silence_s = silence_s
        self._given_away = given_away
        self._line = CallerLine(session, self.inbox, channel.id, channel.up)
        self._legs = Legs(self._line, application, dial_strings, withhold, release, dialled)
        self._conversations = Conversations(self._line, self._legs)
        self._sequence = -1
        self._deadline = math.inf
        self._playing: str | None = None
        self._found: tuple[bool, Sequence[Channel]] | None = None
        self._hung_up = False
        """The caller's channel has been told its end: of two causes, Asterisk would give the caller the second."""
        self._log = structlog.get_logger().bind(call=channel.id)

    def found(self, up: bool, legs: Sequence[Channel]) -> None:
        """The PBX was looked at after nobody had watched for a while: the caller's channel lives, with these legs."""
        self._found = (up, legs)
        self.inbox.ask_resync()

    # --- the port

    async def save(self, turn: Turn) -> None:
        """Keep the state in a channel variable."""
        for attempt in range(_TRIES):
            try:
                if not await self._is_saved(turn):
                    await self._stop_playing()
                    await self._line.tell(requests.set_variable(self.call_id, STATE, turn.state))
                return
            except PbxUnreachable:
                await self._session.ready()
            except PbxTimeout:
                if attempt == _TRIES - 1:
                    raise

    async def _is_saved(self, turn: Turn) -> bool:
        """Whether the channel of a call just taken over keeps this turn already.

        Setting a variable would wait for the end of what plays or records there, and stop every other call's requests
        meanwhile.
        """
        if self.saved_state is None or self._found is None:
            return False
        if self.saved_state == turn.state:
            return True
        if isinstance(turn.action, Record) and await self._is_recording(recording_name(turn.action.recording)):
            return True
        return await self._line.is_playing(playback_id(self.call_id, turn.sequence))

    async def perform(self, turn: Turn) -> Event:
        """Perform the turn's action; the event that answers it."""
        if turn.sequence != self._sequence:
            self._sequence = turn.sequence
            seconds = getattr(turn.action, "seconds", None)
            self._deadline = math.inf if seconds is None else trio.current_time() + seconds
            self._legs.forget_ended()
        try:
            return await self._steadily(partial(self._perform, turn))
        except CallGone:
            return await self._last_words(turn)
        except PbxRefused as error:
            self._log.error("pbx refused a command", reason=str(error))
            return {"type": "fault", "whose": "pbx"}
        except PbxTimeout as error:
            self._log.error("pbx does not answer", reason=str(error))
            return {"type": "fault", "whose": "pbx"}

    async def _steadily(self, part: Callable[[bool], Awaitable[_T]]) -> _T:
        """Do a part of the call, and again from where the PBX is whenever it was out of sight; the part is told whether
        it may have been begun before. Raises `CallGone`, `PbxRefused`, `PbxTimeout`.
        """
        timeouts = 0
        resumed = self.saved_state is not None and self._found is not None
        look = False
        while True:
            try:
                if look:
                    await self._session.ready()
                    await self._look()
                await self._adopt_found()
                return await part(resumed)
            except PbxTimeout:
                timeouts += 1
                if timeouts >= _TRIES:
                    raise
            except (Resync, PbxUnreachable):
                pass
            look = resumed = True

    def pick_up(self, endpoint: str) -> None:
        """Ring the phone anew, asking it to answer by itself."""
        self.inbox.post(PickUp(endpoint))

    async def arrangement(self) -> Arrangement | None:
        """What was kept in a channel variable; nobody can have kept anything in a call that began here."""
        if self.saved_state is None:
            return None
        kept: Arrangement | None = None
        value = await self._steadily(lambda _: self._line.variable(TALK))
        if value is not None:
            try:
                kept = msgspec.json.decode(value, type=Arrangement)
            except msgspec.DecodeError as error:
                self._log.error("an arrangement cannot be read", reason=str(error))
        self._conversations.taken_up(kept)
        return kept

    async def keep(self, arrangement: Arrangement) -> None:
        """Keep the arrangement in a channel variable."""
        value = msgspec.json.encode(arrangement).decode()

        async def tell(_: bool) -> None:
            await self._line.tell(requests.set_variable(self.call_id, TALK, value))

        await self._steadily(tell)

    async def converse(self, arrangement: Arrangement, seen: Standing, seconds: float | None) -> Standing:
        """Make the arrangement true; how its phones are then, or when something changes."""
        if arrangement.sequence != self._sequence:
            self._sequence, self._deadline = arrangement.sequence, math.inf
            self._legs.forget_ended()
        until = math.inf if seconds is None else trio.current_time() + seconds

        async def part(_: bool) -> Standing:
            done = await self._conversations.arrange(arrangement)
            while True:
                now = self._conversations.standing(arrangement)
                if done or now != seen:
                    return now
                event = await self.inbox.get(until, interruptible=True)
                if event is None:
                    return now
                await self._legs.take(event)

        try:
            return await self._steadily(part)
        except CallGone:
            await self._best_effort(lambda: self._legs.cancel_all("normal"))
            raise

    async def stop_ringing(self, keep: Sequence[str]) -> None:
        """Cancel the legs at other endpoints."""
        await self._best_effort(lambda: self._legs.cancel_beyond(keep))

    def interrupt(self) -> None:
        """Let `converse` return."""
        self.inbox.interrupt()

    async def close(self, turn: Turn | None) -> None:
        """End what is left of the call, or leave the caller with whom he was transferred to."""
        action = turn.action if turn is not None else None
        leg = self._legs.answered()
        if isinstance(action, End) and action.disposition == "transferred" and leg is not None and not self.inbox.gone:
            await self._best_effort(lambda: self._give_away(leg))
            return
        await self._best_effort(lambda: self._hang_up_all("normal"))

    # --- actions

    async def _perform(self, turn: Turn, resumed: bool) -> Event:
        action = turn.action
        if self._playing not in (None, playback_id(self.call_id, turn.sequence)):
            await self._stop_playing()
        if len(self._legs) and not isinstance(action, Ring | Transfer):
            await self._legs.cancel_all("normal")
        match action:
            case Play():
                await self._play(turn, [action.prompt], resumed)
                return {"type": "played"}
            case Menu():
                return await self._menu(turn, action, resumed)
            case Ring():
                return await self._ring(turn, action, resumed)
            case Wait():
                return await self._wait(turn, action, resumed)
            case Record():
                return await self._record(turn, action, resumed)
            case Transfer():
                return await self._transfer(turn, action, resumed)
            case HangUp():
                return await self._hang_up(turn, action, resumed)
            case FindOwner() | FindHistory():
                while True:
                    await self.inbox.get()
            case _:
                raise PbxRefused(f"the action {type(action).__name__} is none of the PBX")

    async def _play(self, turn: Turn, prompts: Sequence[str], resumed: bool) -> None:
        """Play prompts to their end."""
        if await self._begin_play(turn, prompts, resumed):
            while not self._is_end_of_play(await self.inbox.get(), turn):
                pass

    async def _begin_play(self, turn: Turn, prompts: Sequence[str], resumed: bool) -> bool:
        """Begin to play, unless the turn's prompts play already or have been played; whether they are playing now."""
        playback = playback_id(self.call_id, turn.sequence)
        if resumed:
            if await self._line.is_playing(playback):
                self._playing = playback
                return True
            if await self._line.was_started(turn.sequence):
                return False
        self._playing = playback
        await self._line.play(turn.sequence, playback, [self._sounds.media(prompt, turn.state) for prompt in prompts])
        return True

    def _is_end_of_play(self, event: Post | None, turn: Turn) -> bool:
        if not isinstance(event, codec.PlaybackFinished):
            return False
        if event.playback.id != playback_id(self.call_id, turn.sequence):
            return False
        if event.playback.state == "failed":
            self._log.error("a prompt could not be played", sequence=turn.sequence)
        self._playing = None
        return True

    async def _stop_playing(self) -> None:
        playback, self._playing = self._playing, None
        if playback is not None:
            await self._line.ask(requests.stop_playback(playback))

    async def _menu(self, turn: Turn, action: Menu, resumed: bool) -> Event:
        prompts = [prompt for prompt in (action.notice, action.prompt) if prompt is not None]
        playing = await self._begin_play(turn, prompts, resumed)
        until = math.inf if playing else trio.current_time() + action.seconds
        entered = ""
        while True:
            event = await self.inbox.get(until)
            if event is None:
                return {"type": "digits", "digits": entered} if entered else {"type": "no_input"}
            if isinstance(event, codec.ChannelDtmfReceived):
                entered += event.digit
                if playing:
                    playing = False
                    until = trio.current_time() + action.seconds
                    await self._stop_playing()
                if is_complete(entered, action.digits):
                    return {"type": "digits", "digits": entered}
            elif playing and self._is_end_of_play(event, turn):
                playing = False
                until = trio.current_time() + action.seconds

    async def _ring(self, turn: Turn, action: Ring, resumed: bool) -> Event:
        begun = resumed and await self._line.was_started(turn.sequence)
        legs = self._legs
        await legs.ring_exactly([each.endpoint for each in action.endpoints], turn.sequence, already_begun=begun)
        if not begun:
            await self._line.tell(self._line.mark_started(turn.sequence))
        winner = await self._answer_of_legs(action.music)
        if winner is not None:
            return {"type": "answered", "endpoint": winner.endpoint, "ended": ended_of(legs.ended)}
        ended = {each.endpoint: legs.ended[each.endpoint] for each in action.endpoints if each.endpoint in legs.ended}
        return {"type": outcome_of(ended, len(action.endpoints)), "ended": ended_of(ended)}

    async def _answer_of_legs(self, music: str | None) -> Leg | None:
        """Let the legs ring until one answers (the others are cancelled), all have ended, or the time is up."""
        while True:
            winner = self._legs.answered()
            if winner is not None:
                self._legs.release(winner.channel)
                await self._legs.cancel_all("answered_elsewhere", keep=winner)
                return winner
            if not len(self._legs):
                return None
            if not self._legs.heard:
                await self._line.hear_ringing(music)
            event = await self.inbox.get(self._deadline)
            if event is None:
                return None
            await self._legs.take(event)

    async def _wait(self, turn: Turn, action: Wait, resumed: bool) -> Event:
        announce = [] if action.announce is None else [action.announce]
        announcing = bool(announce) and await self._begin_play(turn, announce, resumed)
        while True:
            if not announcing:
                await self._line.hear_music(action.music)
            event = await self.inbox.get(self._deadline)
            if event is None:
                return {"type": "waited"}
            if announcing and self._is_end_of_play(event, turn):
                announcing = False

    async def _record(self, turn: Turn, action: Record, resumed: bool) -> Event:
        name = recording_name(action.recording)
        if not (resumed and await self._recording_exists(name)):
            if action.prompt is not None:
                await self._play(turn, [action.prompt], resumed)
            await self._line.hear_nothing()
            await self._line.answer()
            longest_s = max(1, math.ceil(action.seconds))
            await self._line.tell(requests.record(self.call_id, name, longest_s, self._silence_s))
        elif not await self._is_recording(name):
            return {"type": "recorded", "seconds": await self._recordings.fetch(name)}
        while True:
            event = await self.inbox.get()
            match event:
                case codec.RecordingFinished(recording=recording) if recording.name == name:
                    return {"type": "recorded", "seconds": await self._recordings.fetch(name, recording.duration)}
                case codec.RecordingFailed(recording=recording) if recording.name == name:
                    self._log.error("recording failed", reason=recording.cause)
                    return {"type": "fault", "whose": "pbx"}

    async def _is_recording(self, name: str) -> bool:
        return (await self._line.ask(requests.get_live_recording(name))).ok

    async def _recording_exists(self, name: str) -> bool:
        return (
            self._recordings.seconds(name) is not None
            or await self._is_recording(name)
            or (await self._line.ask(requests.get_stored_recording(name))).ok
        )

    async def _transfer(self, turn: Turn, action: Transfer, resumed: bool) -> Event:
        begun = resumed and await self._line.was_started(turn.sequence)
        await self._legs.ring_exactly([action.to], turn.sequence, already_begun=begun)
        if not begun:
            await self._line.tell(self._line.mark_started(turn.sequence))
        winner = await self._answer_of_legs(None)
        if winner is None:
            await self._legs.cancel_all("normal")
            return {"type": "failed", "ended": ended_of(self._legs.ended)}
        await self._legs.connect(winner)
        return {"type": "transferred"}

    async def _hang_up(self, turn: Turn, action: HangUp, resumed: bool) -> Event:
        if action.prompt is not None:
            await self._play(turn, [action.prompt], resumed)
        await self._hang_up_all(action.cause if action.cause in _HANG_UP_REASONS else "normal")
        return {"type": "hung_up"}

    # --- endings

    async def _last_words(self, turn: Turn) -> Event:
        """The caller has hung up: his legs stop ringing at once; a message he was leaving keeps its length."""
        await self._best_effort(lambda: self._legs.cancel_all("normal"))
        if not isinstance(turn.action, Record):
            return {"type": "caller_hung_up"}
        name = recording_name(turn.action.recording)
        duration: int | None = None
        until = trio.current_time() + _LAST_WORDS_S
        try:
            while await self._is_recording(name):
                event = await self.inbox.get(until, even_gone=True)
                if event is None:
                    break
                if isinstance(event, codec.RecordingFinished | codec.RecordingFailed) and event.recording.name == name:
                    duration = event.recording.duration
                    break
            if await self._recording_exists(name):
                return {"type": "caller_hung_up", "seconds": await self._recordings.fetch(name, duration)}
        except (Resync, PbxUnreachable, PbxTimeout) as error:
            self._log.warning("the length of a message is not known", reason=str(error))
        return {"type": "caller_hung_up"} if duration is None else {"type": "caller_hung_up", "seconds": duration}

    async def _hang_up_all(self, reason: str) -> None:
        if not (self.inbox.gone or self._hung_up):
            await self._line.ask(requests.hang_up(self.call_id, reason))
            self._hung_up = True
        await self._legs.cancel_all("normal")
        await self._line.ask(requests.destroy_bridge(bridge_id(self.call_id)))
        if not self._conversations.plain:
            await self._line.ask(requests.destroy_bridge(private_bridge_id(self.call_id)))

    async def _give_away(self, leg: Leg) -> None:
        await self._line.tell(requests.set_variable(self.call_id, GIVEN, leg.channel))
        self._given_away(self.call_id, leg.channel)

    async def _best_effort(self, part: Callable[[], Awaitable[None]]) -> None:
        """What must not fail a call that is over; whatever is missed here is found again as an orphan on the next
        connection.
        """
        try:
            await part()
        except (PbxUnreachable, PbxTimeout, CallGone) as error:
            self._log.warning("not everything of the call could be ended", reason=str(error))

    async def _look(self) -> None:
        """Look at the PBX for this call alone, unless the adapter has just done it for all."""
        if self._found is not None:
            return
        listed = await self._line.ask(requests.list_channels())
        channels = [codec.decode_channel(value) for value in listed.decode() or []]
        own = [channel for channel in channels if channel.id == self.call_id]
        if not own:
            self.inbox.caller_gone()
        self._found = (bool(own) and own[0].up, [c for c in channels if c.id.startswith(f"kt~{self.call_id}~")])

    async def _adopt_found(self) -> None:
        if self._found is not None:
            (up, legs), self._found = self._found, None
            self.inbox.resynced()
            self._line.taken_over(up)
            self._conversations.forget_places()
            await self._legs.adopt(legs)

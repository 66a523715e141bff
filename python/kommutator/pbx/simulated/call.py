"""One live call at the simulated PBX: each action of the engine translated, and back into one event."""

from __future__ import annotations

from collections.abc import Sequence

from kommutator.errors import CallGone, PbxRefused
from kommutator.pbx.simulated import conversation
from kommutator.pbx.simulated.world import Channel, Inbox, Leg, World
from kommutator.routing.answers import ended_of, is_complete, outcome_of
from kommutator.routing.conversation import Arrangement, Standing
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


class SimulatedCall:
    """The `Call` port."""

    takes_orders = True

    def __init__(self, world: World, channel: Channel) -> None:
        self.call_id = channel.call_id
        self.did = channel.did
        self.caller = channel.caller
        self.saved_state = channel.saved_state
        self._world = world
        self._agenda = world.agenda
        self._channel = channel
        self._inbox = channel.inbox = Inbox()
        self._sequence = -1
        self._deadline_ms: int | None = None
        self._interrupted = False

    @property
    def channel(self) -> Channel:
        """The caller's."""
        return self._channel

    async def save(self, turn: Turn) -> None:
        """Keep the state with the channel."""
        self._here()
        self._channel.saved_state = turn.state

    async def perform(self, turn: Turn) -> Event:
        """Perform the turn's action; the event that answers it."""
        try:
            self._here()
            if turn.sequence != self._sequence:
                self._sequence = turn.sequence
                seconds = getattr(turn.action, "seconds", None)
                self._deadline_ms = None if seconds is None else self._agenda.now_ms() + round(seconds * 1000)
            return await self._perform(turn)
        except CallGone:
            return self._last_words(turn)

    def pick_up(self, endpoint: str) -> None:
        """The phone answers by itself."""
        if endpoint in self._channel.legs:
            self._world.pick_up(endpoint)

    async def arrangement(self) -> Arrangement | None:
        """What was kept with the channel."""
        return self._channel.arrangement

    async def keep(self, arrangement: Arrangement) -> None:
        """Keep the arrangement with the channel."""
        self._here()
        self._channel.arrangement = arrangement

    async def converse(self, arrangement: Arrangement, seen: Standing, seconds: float | None) -> Standing:
        """Make the arrangement true; how its phones are then, or when something changes."""
        channel = self._channel
        until_ms = None if seconds is None else self._agenda.now_ms() + round(seconds * 1000)
        try:
            self._here()
            self._world.begin(channel, arrangement.sequence, "talk")
            done = conversation.arrange(self._world, channel, arrangement)
            now = conversation.standing(channel, arrangement)
            while not done and now == seen and not self._interrupted:
                if until_ms is not None and self._agenda.now_ms() >= until_ms:
                    break
                await self._next(until_ms)
                now = conversation.standing(channel, arrangement)
        except CallGone:
            self._world.cancel(channel)
            raise
        self._interrupted = False
        return now

    async def stop_ringing(self, keep: Sequence[str]) -> None:
        """Cancel the legs at other endpoints."""
        for endpoint in list(self._channel.legs.keys() - set(keep)):
            self._world.cancel_one(self._channel, endpoint)

    def interrupt(self) -> None:
        """Let `converse` return."""
        self._interrupted = True
        self._inbox.post()

    async def close(self, turn: Turn | None) -> None:
        """End what is left of the call, or leave the caller with whom he was transferred to."""
        channel = self._channel
        transferred = turn is not None and isinstance(turn.action, End) and turn.action.disposition == "transferred"
        channel.inbox = None
        if transferred and channel.gone_ms is None and self._answered() is not None:
            channel.given_away = True
            return
        self._world.cancel(channel)
        self._world.hang_up(channel, "hung_up_on")

    # --- actions

    async def _perform(self, turn: Turn) -> Event:
        action = turn.action
        if not isinstance(action, Ring | Transfer):
            self._world.cancel(self._channel)
        first = self._world.begin(self._channel, turn.sequence, turn.kind, getattr(action, "music", None))
        match action:
            case Play():
                await self._play(action.prompt, first)
                return {"type": "played"}
            case Menu():
                return await self._menu(action, first)
            case Ring():
                return await self._ring(action, first)
            case Wait():
                if action.announce is not None and first:
                    self._world.play(self._channel, action.announce)
                while not self._is_time_up():
                    await self._next(self._deadline_ms)
                return {"type": "waited"}
            case Record():
                return await self._record(action, first)
            case Transfer():
                return await self._transfer(action, first)
            case FindOwner() | FindHistory():
                while True:
                    await self._next(None)
            case HangUp():
                await self._play(action.prompt, first)
                self._world.hang_up(self._channel, "hung_up_on")
                return {"type": "hung_up"}
            case _:
                raise PbxRefused(f"the action {type(action).__name__} is none of the PBX")

    async def _play(self, prompt: str | None, first: bool) -> None:
        """Play a prompt to its end."""
        channel = self._channel
        if first and prompt is not None:
            self._world.play(channel, prompt)
        while channel.hears_until_ms > self._agenda.now_ms():
            await self._next(channel.hears_until_ms)

    async def _menu(self, action: Menu, first: bool) -> Event:
        channel = self._channel
        if first:
            for prompt in (action.notice, action.prompt):
                if prompt is not None:
                    self._world.play(channel, prompt)
        until_ms = max(channel.hears_until_ms, self._agenda.now_ms()) + round(action.seconds * 1000)
        entered = ""
        while self._agenda.now_ms() < until_ms:
            key = await self._next(until_ms)
            if key is not None:
                if channel.hears_until_ms > self._agenda.now_ms():
                    channel.hears_until_ms = self._agenda.now_ms()
                    until_ms = channel.hears_until_ms + round(action.seconds * 1000)
                entered += key
                if is_complete(entered, action.digits):
                    break
        return {"type": "digits", "digits": entered} if entered else {"type": "no_input"}

    async def _ring(self, action: Ring, first: bool) -> Event:
        endpoints = [each.endpoint for each in action.endpoints]
        winner = await self._answer_of(endpoints, first)
        if winner is not None:
            return {"type": "answered", "endpoint": winner}
        ended = {endpoint: cause for endpoint, cause in self._channel.ended.items() if endpoint in endpoints}
        return {"type": outcome_of(ended, len(endpoints)), "ended": ended_of(ended)}

    async def _answer_of(self, endpoints: list[str], first: bool) -> str | None:
        """Make exactly these ring, until one answers (the others are cancelled), all have ended, or the time is up.

        Who has answered and put the phone down before anybody looked has answered.
        """
        channel = self._channel
        for endpoint in list(channel.legs):
            if endpoint not in endpoints:
                self._world.cancel_one(channel, endpoint)
        if first:
            for endpoint in endpoints:
                if endpoint not in channel.legs:
                    self._world.ring(channel, endpoint)
        while True:
            winner = self._answered()
            if winner is not None:
                self._world.cancel(channel, keep=winner)
                return winner.endpoint
            for endpoint, outcome in channel.ended.items():
                if outcome == "answered" and endpoint in endpoints:
                    self._world.cancel(channel)
                    return endpoint
            if not channel.legs or self._is_time_up():
                return None
            await self._next(self._deadline_ms)

    async def _record(self, action: Record, first: bool) -> Event:
        channel, messages = self._channel, self._world.messages
        if channel.message is None:
            await self._play(action.prompt, first)
            self._world.record(channel, action.recording, action.seconds)
        while action.recording not in messages:
            await self._next(None)
        return {"type": "recorded", "seconds": messages[action.recording]}

    async def _transfer(self, action: Transfer, first: bool) -> Event:
        if await self._answer_of([action.to], first) is not None:
            return {"type": "transferred"}
        self._world.cancel(self._channel)
        return {"type": "failed"}

    def _last_words(self, turn: Turn) -> Event:
        """The caller has hung up: his phones stop ringing; a message he was leaving keeps its length."""
        self._world.cancel(self._channel)
        return gone(self._world, turn)

    # --- inside

    def _answered(self) -> Leg | None:
        return next((leg for leg in self._channel.legs.values() if leg.up), None)

    def _is_time_up(self) -> bool:
        return self._deadline_ms is not None and self._agenda.now_ms() >= self._deadline_ms

    async def _next(self, until_ms: int | None) -> str | None:
        """The next thing that happens to the call, at the latest then: a key, or None. Raises `CallGone`."""
        alarm = self._agenda.at(until_ms, self._inbox.post) if until_ms is not None else None
        try:
            key = await self._inbox.get()
        finally:
            if alarm is not None:
                alarm.drop()
        self._here()
        return key

    def _here(self) -> None:
        """Raise `CallGone` when the caller is not on the line any more."""
        if self._channel.gone_ms is not None:
            raise CallGone(f"{self.call_id}: the caller has hung up")


def gone(world: World, turn: Turn) -> Event:
    """How a call ended whose caller has hung up."""
    if isinstance(turn.action, Record) and turn.action.recording in world.messages:
        return {"type": "caller_hung_up", "seconds": world.messages[turn.action.recording]}
    return {"type": "caller_hung_up"}

"""What exists in the simulated PBX, whether a router watches or not: callers' channels, their legs, messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, MutableSequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from kommutator.pbx.simulated.agenda import Agenda, Entry
from kommutator.pbx.simulated.behaviour import CallerAct, CallerScript, PhoneAct, PhoneScript
from kommutator.routing.conversation import Arrangement, Audio

SILENCE_S: Final = 5.0
"""So much silence ends a message."""
LISTENS_S: Final = 1.0
"""So long a caller listens to a menu before the first key."""
BETWEEN_KEYS_S: Final = 0.3


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of the PBX's log."""

    at_ms: int
    call_id: str
    what: str
    """Of the caller: `came`, `fallback` (the PBX itself takes him), `hears`, `pressed`, `beep`, `recorded`, `hung_up`,
    `hung_up_on`; of a leg: `rings`, `answered`, `phone_hung_up`, `busy`, `declined`, `unavailable`, `cancelled`; of a
    conversation: `audio`."""
    endpoint: str | None = None
    detail: str | None = None
    """A prompt's id, a key, a message's seconds, or who hears whom."""


@dataclass(slots=True, eq=False)
class Leg:
    """One ringing of one phone, from its beginning to its end."""

    channel: Channel
    endpoint: str
    began_ms: int
    rang: bool = False
    """False for a phone that was busy or could not be reached."""
    answered_ms: int | None = None
    ended_ms: int | None = None
    outcome: str | None = None
    """`busy`, `declined`, `unavailable`, `cancelled`, or `answered` when a conversation has ended."""

    @property
    def call_id(self) -> str:
        """Of the call that rings."""
        return self.channel.call_id

    @property
    def up(self) -> bool:
        """Whether it was answered, and goes on."""
        return self.answered_ms is not None and self.ended_ms is None


@dataclass(slots=True)
class Message:
    """A message that is being recorded."""

    name: str
    began_ms: int
    longest_s: float


@dataclass(slots=True)
class Channel:
    """A caller's channel, and what hangs on it."""

    call_id: str
    did: str
    caller: str | None
    script: CallerScript
    came_ms: int
    gone_ms: int | None = None
    saved_state: str | None = None
    given_away: bool = False
    """Talks with whom a transfer gave it to, and is no router's concern any more."""
    told: int = -1
    """The sequence of the last turn that those who watch were told."""
    fallback: bool = False
    """Taken by the PBX itself, since no router was there."""
    phones: dict[str, PhoneScript] = field(default_factory=dict)
    """What phones do when this call rings them, whatever they do otherwise."""
    begun: int = -1
    """The sequence of the last turn whose action was begun."""
    doing: str = ""
    """The kind of that action."""
    music: str | None = None
    """What that action lets him hear while he waits, if not the ringing."""
    act: CallerAct | None = None
    """What the caller does during that action."""
    hears_until_ms: int = 0
    """When the prompts of that action come to their end."""
    legs: dict[str, Leg] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)
    """How legs ended during that action."""
    message: Message | None = None
    inbox: Inbox | None = None
    """Of the router that watches."""
    intends: list[Entry] = field(default_factory=list)
    """What the caller is about to do."""
    arrangement: Arrangement | None = None
    """The last that a router has kept here."""
    audio: Audio | None = None
    """Who hears whom in the conversation."""
    called: int = 0
    """The number of the conversation's last calling of a phone."""
    held_by_phone: bool = False
    """By a key of the operator's phone."""

    @property
    def routed(self) -> bool:
        """Whether the call is a router's concern."""
        return not self.given_away and not self.fallback


class Inbox:
    """What a router has not looked at yet. A post is a key pressed, or None when something else has changed."""

    def __init__(self) -> None:
        self._posts: list[str | None] = []
        self._some = trio.Event()

    def post(self, key: str | None = None) -> None:
        """Something has changed."""
        self._posts.append(key)
        self._some.set()

    async def get(self) -> str | None:
        """The next post."""
        await self._some.wait()
        post = self._posts.pop(0)
        if not self._posts:
            self._some = trio.Event()
        return post


class World:
    """The PBX without its router.

    `prompts` gives each prompt's seconds, `phones` how phones behave: one that is not named does what `unnamed` says, each
    time it is rung. `watch` is told everything as it happens. Of what is over the last `kept` of each kind are known; None:
    all, for runs that end.
    """

    def __init__(
        self,
        agenda: Agenda,
        prompts: Mapping[str, float],
        phones: Mapping[str, PhoneScript],
        watch: Callable[[Happening], None] | None = None,
        *,
        unnamed: Callable[[], PhoneAct] = PhoneAct,
        kept: int | None = None,
    ) -> None:
        self.agenda = agenda
        self.channels: dict[str, Channel] = {}
        """The callers on the line."""
        self.past: MutableSequence[Channel] = deque(maxlen=kept) if kept else []
        """The callers who have gone, in that order."""
        self.legs: MutableSequence[Leg] = deque(maxlen=kept) if kept else []
        """Every leg there ever was, in the order of their beginnings."""
        self.log: MutableSequence[Happening] = deque(maxlen=kept) if kept else []
        self.messages: dict[str, float] = {}
        """Seconds of each message by its name."""
        self.on_line: Callable[[str], None] | None = None
        """Told the endpoint whose line has changed: the router that watches."""
        self._prompts = prompts
        self._phones = dict(phones)
        self._watch = watch
        self._unnamed = unnamed
        self._kept = kept
        self._on_phone: dict[str, list[Leg]] = {}

    # --- callers

    def come(self, call_id: str, did: str, caller: str | None, script: CallerScript) -> Channel:
        """A caller comes."""
        channel = Channel(call_id, did, caller, script, self.agenda.now_ms())
        self.channels[call_id] = channel
        self.note(call_id, "came")
        return channel

    def begin(self, channel: Channel, sequence: int, action: str, music: str | None = None) -> bool:
        """The action of a turn begins, and the caller does what he does then. False when it had been begun before."""
        if channel.begun == sequence:
            return False
        self._forget_intentions(channel)
        channel.begun, channel.doing, channel.music = sequence, action, music
        channel.ended.clear()
        channel.message = None
        channel.hears_until_ms = self.agenda.now_ms()
        channel.audio, channel.called, channel.held_by_phone = None, 0, False
        channel.act = act = channel.script.next(action)
        if act is not None:
            for place, key in enumerate(act.press):
                self._intend(channel, LISTENS_S + place * BETWEEN_KEYS_S, partial(self._press, channel, key))
            if act.hang_up_after is not None:
                self._intend(channel, act.hang_up_after, partial(self.hang_up, channel, "hung_up"))
        return True

    def hang_up(self, channel: Channel, how: str) -> None:
        """The caller's channel ends: he has `hung_up`, or was `hung_up_on`. His legs stay for the router to end."""
        if channel.gone_ms is not None:
            return
        self._forget_intentions(channel)
        self._finish_message(channel)
        channel.gone_ms = self.agenda.now_ms()
        self.note(channel.call_id, how)
        del self.channels[channel.call_id]
        if self._kept == len(self.past):
            self.cancel(self.past[0])
        self.past.append(channel)
        if channel.given_away:
            self.cancel(channel)
        self._tell(channel)

    def play(self, channel: Channel, prompt: str) -> None:
        """Let the caller hear a prompt, after those before."""
        channel.hears_until_ms += round(self._prompts[prompt] * 1000)
        self.note(channel.call_id, "hears", detail=prompt)

    def record(self, channel: Channel, name: str, longest_s: float) -> None:
        """Begin to record, with a beep.

        The caller speaks and ends the message in his way; silence or the longest time end it too.
        """
        channel.message = Message(name, self.agenda.now_ms(), longest_s)
        self.note(channel.call_id, "beep")
        act = channel.act or CallerAct("record")
        if act.end == "hang_up":
            self._intend(channel, act.speak, partial(self.hang_up, channel, "hung_up"))
        until_s = act.speak if act.end == "hash" else act.speak + SILENCE_S
        self._intend(channel, min(until_s, longest_s), partial(self._end_message, channel))

    # --- legs

    def ring(self, channel: Channel, endpoint: str) -> None:
        """Call a phone."""
        leg = Leg(channel, endpoint, self.agenda.now_ms())
        phone = channel.phones.get(endpoint) or self._phones.get(endpoint)
        act = PhoneAct("busy") if self._in_use(endpoint) else phone.next() if phone else self._unnamed()
        channel.legs[endpoint] = leg
        self.legs.append(leg)
        self._on_phone.setdefault(endpoint, []).append(leg)
        match act.does:
            case "busy":
                self.agenda.after(0, partial(self._end_leg, channel, leg, "busy"))
            case "unreachable":
                self.agenda.after(0, partial(self._end_leg, channel, leg, "unavailable"))
            case _:
                leg.rang = True
                self.note(channel.call_id, "rings", endpoint)
                self._line_changed(endpoint)
        if act.does == "decline":
            self.agenda.after(act.after, partial(self._end_leg, channel, leg, "declined"))
        elif act.does == "answer":
            self.agenda.after(act.after, partial(self._answer, channel, leg, act))

    def cancel(self, channel: Channel, keep: Leg | None = None) -> None:
        """End a caller's legs, but for one."""
        for leg in list(channel.legs.values()):
            if leg is not keep:
                self._end_leg(channel, leg, "cancelled")

    def cancel_one(self, channel: Channel, endpoint: str) -> None:
        """End one of a caller's legs."""
        self._end_leg(channel, channel.legs[endpoint], "cancelled")

    def press_hold(self, endpoint: str, held: bool) -> None:
        """Put the caller on hold by a key of the phone, or take him back."""
        for leg in self._on_phone.get(endpoint, ()):
            if leg.up:
                leg.channel.held_by_phone = held
                self._tell(leg.channel)

    def note_audio(self, channel: Channel) -> None:
        """Who hears whom has changed."""
        audio = channel.audio
        if audio is not None:
            detail = f"client {audio.client}, operator {audio.operator}, guest {audio.guest}"
            self.note(channel.call_id, "audio", detail=detail)

    def line(self, endpoint: str) -> str:
        """The line's state: `idle`, `ringing`, `busy` or `unreachable`."""
        if endpoint in self._phones and self._phones[endpoint].unreachable:
            return "unreachable"
        if self._in_use(endpoint):
            return "busy"
        return "ringing" if any(leg.rang for leg in self._on_phone.get(endpoint, ())) else "idle"

    @property
    def quiet(self) -> bool:
        """Whether nobody is on any line."""
        return not self.channels and not any(self._on_phone.values())

    # --- by hand

    def behave(self, endpoint: str, script: PhoneScript | None) -> None:
        """What a phone does from now on when it is rung; None: what unnamed phones do."""
        if script is None:
            self._phones.pop(endpoint, None)
        else:
            self._phones[endpoint] = script
        self.expect(endpoint)
        self._line_changed(endpoint)

    def expect(self, endpoint: str) -> None:
        """There is such a phone, though nobody has rung it."""
        self._on_phone.setdefault(endpoint, [])

    def endpoints(self) -> list[str]:
        """Every phone that was ever rung, or told how to behave."""
        return sorted({*self._phones, *self._on_phone})

    def script_of(self, endpoint: str) -> PhoneScript | None:
        """What a phone was told to do."""
        return self._phones.get(endpoint)

    def legs_at(self, endpoint: str) -> list[Leg]:
        """The legs on a phone: of the call it talks with, and of those that ring it."""
        return list(self._on_phone.get(endpoint, ()))

    def pick_up(self, endpoint: str, call_id: str | None = None) -> bool:
        """Somebody answers the phone, if it rings and nobody talks on it. False when there is nothing to answer."""
        leg = self._ringing(endpoint, call_id)
        if leg is None or self._in_use(endpoint):
            return False
        self._answer(leg.channel, leg, PhoneAct("answer"))
        return True

    def decline(self, endpoint: str, call_id: str | None = None) -> bool:
        """Somebody declines the call. False when nothing rings."""
        leg = self._ringing(endpoint, call_id)
        if leg is None:
            return False
        self._end_leg(leg.channel, leg, "declined")
        return True

    def put_down(self, endpoint: str) -> bool:
        """Somebody ends the conversation on the phone, or refuses what rings it. False when there is neither."""
        legs = sorted(self.legs_at(endpoint), key=lambda leg: not leg.up)
        if not legs:
            return False
        self._end_leg(legs[0].channel, legs[0], "answered" if legs[0].up else "declined")
        return True

    def press(self, channel: Channel, keys: str) -> None:
        """The caller presses keys, one after the other, the first at once."""
        for place, key in enumerate(keys):
            # No intention of a script's, which a new action would make him forget.
            self.agenda.after(place * BETWEEN_KEYS_S, partial(self._press, channel, key))

    def speak(self, channel: Channel, seconds: float) -> bool:
        """The caller speaks into the message that is being recorded; silence after it ends the message. False when nothing
        is being recorded."""
        message = channel.message
        if message is None or message.name in self.messages:
            return False
        self._forget_intentions(channel)
        lasted_s = (self.agenda.now_ms() - message.began_ms) / 1000
        channel.act = CallerAct("record", speak=lasted_s + seconds)
        until_s = min(seconds + SILENCE_S, message.longest_s - lasted_s)
        self._intend(channel, until_s, partial(self._end_message, channel))
        return True

    # --- inside

    def _ringing(self, endpoint: str, call_id: str | None) -> Leg | None:
        legs = (leg for leg in self.legs_at(endpoint) if leg.rang and not leg.up)
        return next((leg for leg in legs if call_id in (None, leg.call_id)), None)

    def _in_use(self, endpoint: str) -> bool:
        return any(leg.up for leg in self._on_phone.get(endpoint, ()))

    def _press(self, channel: Channel, key: str) -> None:
        if channel.gone_ms is not None:
            return
        self.note(channel.call_id, "pressed", detail=key)
        self._tell(channel, key)

    def _answer(self, channel: Channel, leg: Leg, act: PhoneAct) -> None:
        if leg.ended_ms is not None:
            return
        leg.answered_ms = self.agenda.now_ms()
        self.note(channel.call_id, "answered", leg.endpoint)
        self._line_changed(leg.endpoint)
        self._tell(channel)
        if act.talks is not None:
            self.agenda.after(act.talks, partial(self._end_leg, channel, leg, "answered"))

    def _end_leg(self, channel: Channel, leg: Leg, outcome: str) -> None:
        if leg.ended_ms is not None:
            return
        was_up = leg.up
        leg.ended_ms = self.agenda.now_ms()
        leg.outcome = "answered" if was_up else outcome
        del channel.legs[leg.endpoint]
        self._on_phone[leg.endpoint].remove(leg)
        if outcome != "cancelled":
            channel.ended[leg.endpoint] = outcome
        if not was_up or outcome == "answered":
            self.note(channel.call_id, "phone_hung_up" if was_up else outcome, leg.endpoint)
        if leg.rang:
            self._line_changed(leg.endpoint)
        if channel.given_away:
            self.hang_up(channel, "hung_up_on")
        self._tell(channel)

    def _end_message(self, channel: Channel) -> None:
        self._finish_message(channel)
        self._tell(channel)

    def _finish_message(self, channel: Channel) -> None:
        message = channel.message
        if message is None or message.name in self.messages:
            return
        speech_s = channel.act.speak if channel.act is not None else 0
        lasted_s = (self.agenda.now_ms() - message.began_ms) / 1000
        seconds = min(speech_s, lasted_s, message.longest_s)
        self.messages[message.name] = seconds
        if self._kept is not None and len(self.messages) > self._kept:
            del self.messages[next(iter(self.messages))]
        self.note(channel.call_id, "recorded", detail=f"{seconds:g}")

    def _intend(self, channel: Channel, after_s: float, what: Callable[[], None]) -> None:
        channel.intends.append(self.agenda.after(after_s, what))

    def _forget_intentions(self, channel: Channel) -> None:
        for entry in channel.intends:
            entry.drop()
        channel.intends.clear()

    def _line_changed(self, endpoint: str) -> None:
        """A line's state travels by itself, after what changed it."""

        def tell() -> None:
            if self.on_line is not None:
                self.on_line(endpoint)

        self.agenda.after(0, tell)

    def _tell(self, channel: Channel, key: str | None = None) -> None:
        if channel.inbox is not None:
            channel.inbox.post(key)

    def note(self, call_id: str, what: str, endpoint: str | None = None, detail: str | None = None) -> None:
        """Write a line of the log, and tell whoever watches."""
        happening = Happening(self.agenda.now_ms(), call_id, what, endpoint, detail)
        self.log.append(happening)
        if self._watch is not None:
            self._watch(happening)

"""The simulated PBX's language on its socket, without any I/O: bytes in, messages out, and back.

One JSON object a line, in UTF-8, at most 1 MiB long. A client greets first (`Hello`), and is answered by `Welcome` or
`Refused`. Then it asks (`Ask`, with a number of its own) and is answered by `Answer` or `Failure` of that number, in any
order; `Drop` takes a question back. What is told unasked has no number. Keys that a reader does not know are passed over, so
fields may be added within one version of the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from kommutator.errors import PbxProtocolError
from kommutator.pbx.simulated.behaviour import CallerAct, PhoneAct
from kommutator.routing.conversation import Arrangement, Standing
from kommutator.routing.turn import Turn

PROTOCOL: Final = 1
LONGEST_LINE: Final = 1 << 20
"""Bytes of one message; a peer that sends more is cut off."""
CHUNK: Final = 64 * 1024
"""Bytes of sound in one message."""


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="is"):
    """What every message has in common: it says what it is."""


# --- the greeting


class Hello(Message, frozen=True, tag="hello"):
    """A client's first message."""

    protocol: int
    role: Literal["router", "control"]
    instance: str = ""
    """Of a router: the same for one process's life, whatever becomes of its connections."""
    replaces: bool = True
    """Whether this router takes the place of one that is connected."""


class Welcome(Message, frozen=True, tag="welcome"):
    """The PBX takes the client."""

    protocol: int
    pbx: str
    instance: str
    """Another one: the PBX was started anew, and every call of before is lost."""


class Refused(Message, frozen=True, tag="refused"):
    """The PBX does not take the client, or takes it no longer; the connection ends."""

    code: Literal["protocol", "occupied", "replaced", "too_many"]
    reason: str


# --- what a router asks


class TellLines(Message, frozen=True, tag="tell_lines"):
    """Tell the state of these endpoints now, and whenever it changes."""

    endpoints: tuple[str, ...]


class Sounds(Message, frozen=True, tag="sounds"):
    """What the PBX must know of the company: what prompts sound like, and who is who."""

    seconds: Mapping[str, float] = {}
    """By prompt. One that is not named lasts 3 s."""
    says: Mapping[str, str] = {}
    """What prompts say, by prompt: for those who watch."""
    names: Mapping[str, str] = {}
    """Whose phones the endpoints are."""
    numbers: tuple[str, ...] = ()
    """The company's own: callers that come by themselves dial them."""
    schemes: Mapping[str, str] = {}
    """Of each of these numbers, the scheme that it begins with."""
    timezone: str = "UTC"


class Serve(Message, frozen=True, tag="serve"):
    """Tell every call that is there, then each that comes."""


class Save(Message, frozen=True, tag="save"):
    """Keep the turn's state with the call."""

    call_id: str
    turn: Turn


class Perform(Message, frozen=True, tag="perform"):
    """Perform the turn's action; the answer is its event. When it is dropped, the legs stay as they are."""

    call_id: str
    turn: Turn


class Close(Message, frozen=True, tag="close"):
    """End what is left of the call."""

    call_id: str
    turn: Turn | None


class Epitaph(Message, frozen=True, tag="epitaph"):
    """How did a call end while nobody watched? The answer is an event."""

    call_id: str
    turn: Turn


class AnswerItself(Message, frozen=True, tag="answer_itself"):
    """Let a phone that rings for the call answer by itself."""

    call_id: str
    endpoint: str


class StopRinging(Message, frozen=True, tag="stop_ringing"):
    """Cancel the call's legs at all endpoints but these."""

    call_id: str
    keep: tuple[str, ...]


class Kept(Message, frozen=True, tag="kept"):
    """What arrangement is kept with the call? The answer is an `Arrangement`, or nothing."""

    call_id: str


class Keep(Message, frozen=True, tag="keep"):
    """Keep the arrangement with the call."""

    call_id: str
    arrangement: Arrangement


class Converse(Message, frozen=True, tag="converse"):
    """Make the arrangement true. The answer is a `Standing`, as the port's `converse` returns it."""

    call_id: str
    arrangement: Arrangement
    seen: Standing
    seconds: float | None


class Interrupt(Message, frozen=True, tag="interrupt"):
    """Let `Converse` be answered."""

    call_id: str


class CallBack(Message, frozen=True, tag="call_back"):
    """Call a number back from a phone. The answer is why nobody talked; `CallBackIs` tells how it goes."""

    call_id: str
    endpoint: str
    number: str


class CallBackOver(Message, frozen=True, tag="call_back_over"):
    """When is this call back over? The answer, whether there was one, comes then."""

    call_id: str


class HangUpCallBack(Message, frozen=True, tag="hang_up_call_back"):
    """End a call back."""

    call_id: str


class Recordings(Message, frozen=True, tag="recordings"):
    """Which recordings have not been fetched? The answer is their names."""


class Fetch(Message, frozen=True, tag="fetch"):
    """A piece of a recording's sound. The answer is a `Piece`."""

    recording: str
    offset: int


class Fetched(Message, frozen=True, tag="fetched"):
    """The recording is in the router's folder."""

    recording: str


# --- what a control connection asks


class Place(Message, frozen=True, tag="place"):
    """Let a caller come. The answer is the call's id."""

    did: str
    caller: str | None = None
    call_id: str | None = None
    """Without it, one is made."""
    acts: tuple[CallerAct, ...] = ()
    """What he does; a caller without acts waits to be told."""
    phones: Mapping[str, tuple[PhoneAct, ...]] = {}
    """What phones do when this call rings them, whatever they do otherwise."""


class Press(Message, frozen=True, tag="press"):
    """The caller presses keys, one after the other."""

    call_id: str
    keys: str


class Speak(Message, frozen=True, tag="speak"):
    """The caller speaks for so long into the message that is being recorded."""

    call_id: str
    seconds: float


class HangUp(Message, frozen=True, tag="hang_up"):
    """The caller hangs up."""

    call_id: str


class Callers(Message, frozen=True, tag="callers"):
    """Who is on the line? The answer is a list of `CallerThere`."""


class Phones(Message, frozen=True, tag="phones"):
    """What are the phones doing? The answer is a list of `PhoneThere`: every phone that the PBX has heard of."""


class Story(Message, frozen=True, tag="story"):
    """What does a caller hear, and what has happened to him? The answer is a `CallStory`, also of those who have gone, as long
    as the PBX remembers them."""

    call_id: str


class Behave(Message, frozen=True, tag="behave"):
    """What a phone does from now on when it is rung: `acts` in turn (the last one stays), nothing by itself when they are
    empty, and what phones do by default when they are None."""

    endpoint: str
    acts: tuple[PhoneAct, ...] | None = None


class PickUp(Message, frozen=True, tag="pick_up"):
    """Somebody picks the phone up that rings."""

    endpoint: str
    call_id: str | None = None
    """Which call, when several ring it."""


class Decline(Message, frozen=True, tag="decline"):
    """Somebody declines the call that rings the phone."""

    endpoint: str
    call_id: str | None = None


class PutDown(Message, frozen=True, tag="put_down"):
    """Somebody ends the conversation on the phone, or refuses what rings it."""

    endpoint: str


class HoldKey(Message, frozen=True, tag="hold_key"):
    """Somebody presses the hold key of the phone, or takes the caller back."""

    endpoint: str
    held: bool


class Watch(Message, frozen=True, tag="watch"):
    """Tell everything that happens from now on: to one call, or to all."""

    call_id: str | None = None


class Traffic(Message, frozen=True, tag="traffic"):
    """Callers that come by themselves: how many, and with which numbers (none: made up)."""

    calls_per_minute: float
    callers: tuple[str, ...] = ()
    seed: int | None = None


class About(Message, frozen=True, tag="about"):
    """What is known of the company, and how much has happened? The answer is a `Glance`."""


RouterOperation = (
    TellLines | Sounds | Serve | Save | Perform | AnswerItself | StopRinging | Kept | Keep | Converse | Interrupt | CallBack | Close
    | CallBackOver | HangUpCallBack | Epitaph | Recordings | Fetch | Fetched
)  # fmt: skip
ControlOperation = (
    Place | Press | Speak | HangUp | Callers | Phones | Story | Behave | PickUp | Decline | PutDown | HoldKey | Watch | Traffic
    | About
)  # fmt: skip
Operation = RouterOperation | ControlOperation


class Ask(Message, frozen=True, tag="ask"):
    """A question, or an order."""

    id: int
    what: Operation


class Drop(Message, frozen=True, tag="drop"):
    """The question is taken back. It is not answered any more."""

    id: int


# --- what the PBX answers


class Answer(Message, frozen=True, tag="answer"):
    """The answer to a question."""

    id: int
    value: Any = None


class Failure(Message, frozen=True, tag="failure"):
    """A question that could not be answered, an order that could not be carried out."""

    id: int
    code: str
    """`call_gone`: the caller is not on the line; `pbx_refused`: the reason says why."""
    reason: str


class Piece(msgspec.Struct, frozen=True):
    """A piece of a recording."""

    sound: bytes
    size: int
    """Bytes of the whole."""


CallerHears = Literal["nothing", "prompt", "menu", "music", "ringing", "beep", "somebody", "gone"]
"""`menu`: the prompt is over, and keys are waited for; `beep`: he is being recorded; `gone`: he is not on the line."""
PhoneHears = Literal["client", "guest", "operator", "ringing", "music", "nothing"]
"""The parties are those of `routing.conversation`."""


class CallerThere(msgspec.Struct, frozen=True):
    """A caller on the line."""

    call_id: str
    did: str
    caller: str | None
    came_ms: int
    talks_with: str | None
    fallback: bool
    """Taken by the PBX itself, since no router was there."""


class PhoneThere(msgspec.Struct, frozen=True):
    """A phone."""

    endpoint: str
    line: Literal["idle", "ringing", "busy", "unreachable"]
    name: str | None
    call_id: str | None
    """Of the call that rings it, or that it talks with."""
    caller: str | None
    since_ms: int | None
    by_hand: bool
    """Whether it does nothing by itself."""
    hears: PhoneHears | None = None
    """Of a phone on which somebody talks."""
    held: bool = False
    """Whether its hold key is pressed."""


class Glance(msgspec.Struct, frozen=True):
    """The PBX at a glance."""

    sounds: Sounds
    router: bool
    """Whether one is connected."""
    calls: int
    """Callers on the line."""
    in_hand: int
    """Those of them for whom the router has an action performed now."""
    came: int
    """Callers since the PBX began."""
    fallbacks: int
    """Those of them that no router was there for."""
    not_placed: int
    """Callers by themselves who were left out because the PBX was full."""
    calls_per_minute: float


# --- what the PBX tells unasked


class Came(Message, frozen=True, tag="came"):
    """To a router: a call is there."""

    call_id: str
    did: str
    caller: str | None
    saved_state: str | None = None


class AllFound(Message, frozen=True, tag="all_found"):
    """To a router: every call that was alive when it came has been told."""


class CallBackIs(Message, frozen=True, tag="call_back_is"):
    """To a router: how a call back goes: `ringing`, `calling`, `talking`."""

    call_id: str
    state: str


class LineIs(Message, frozen=True, tag="line_is"):
    """To a router: the state of an endpoint's line."""

    endpoint: str
    line: str


class Happened(Message, frozen=True, tag="happened"):
    """To those who watch: one line of the PBX's log; the words are those of `world.Happening`."""

    at_ms: int
    call_id: str
    what: str
    endpoint: str | None = None
    detail: str | None = None


class Decided(Message, frozen=True, tag="decided"):
    """To those who watch: the router's turn of a call."""

    at_ms: int
    call_id: str
    turn: Turn


class Over(Message, frozen=True, tag="over"):
    """To those who watch: the router has done with the call. It names no disposition when the router failed."""

    at_ms: int
    call_id: str
    disposition: str | None
    fault: str | None


class Missed(Message, frozen=True, tag="missed"):
    """To those who watch, and were too slow: so many messages were left out here."""

    count: int


ToPbx = Hello | Ask | Drop
FromPbx = (
    Welcome | Refused | Answer | Failure | Came | AllFound | CallBackIs | LineIs | Happened | Decided | Over | Missed
)  # fmt: skip


class CallStory(msgspec.Struct, frozen=True):
    """A caller, whether he is still there or not."""

    call_id: str
    did: str
    caller: str | None
    came_ms: int
    gone_ms: int | None
    hears: CallerHears
    talks_with: str | None
    happened: tuple[Happened, ...]
    """From his coming on, as far as the PBX remembers."""


Told = Happened | Decided | Over | Missed
"""What a watcher is told."""

M = TypeVar("M")
_encoder = msgspec.json.Encoder()


def encode(message: Message) -> bytes:
    """A message's line. Raises `PbxProtocolError` when it is too long to be taken."""
    line = _encoder.encode(message) + b"\n"
    if len(line) > LONGEST_LINE:
        raise PbxProtocolError(f"a message of {len(line)} bytes is too long")
    return line


class Incoming(Generic[M]):
    """Reads messages of one kind (`ToPbx`, `FromPbx`) out of bytes, however they are cut."""

    def __init__(self, kind: Any) -> None:
        self._decoder: msgspec.json.Decoder[M] = msgspec.json.Decoder(kind)
        self._rest = bytearray()

    def feed(self, content: bytes) -> list[M]:
        """The messages that these bytes complete. Raises `PbxProtocolError` for what is no message; nothing can be read
        after it."""
        messages = []
        begin = 0
        looked = len(self._rest)
        self._rest += content
        while (end := self._rest.find(b"\n", max(looked, begin))) >= 0:
            messages.append(self._message(bytes(self._rest[begin:end])))
            begin = end + 1
        del self._rest[:begin]
        if len(self._rest) >= LONGEST_LINE:
            raise PbxProtocolError(f"a message of more than {LONGEST_LINE} bytes")
        return messages

    def _message(self, line: bytes) -> M:
        if len(line) >= LONGEST_LINE:
            raise PbxProtocolError(f"a message of {len(line)} bytes")
        try:
            return self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise PbxProtocolError(f"no message: {error}") from error

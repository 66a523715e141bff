"""What every part of a call by FastAGI needs: the caller's channel, and what the caller hears."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
import trio

from kommutator.errors import CallGone, PbxRefused
from kommutator.pbx.agi.codec import Reply
from kommutator.pbx.agi.questions import is_alive
from kommutator.pbx.agi.recordings import Recordings
from kommutator.pbx.agi.session import QUICK_S, Session
from kommutator.pbx.asterisk import DialStrings, Sounds

OVER = "KOMMUTATOR_OVER"
"""Channel variable: the call is over; the dialplan is not to ask again."""
DID = "KOMMUTATOR_DID"
"""Channel variable: the number dialled, of a call by steps."""
ALL_KEYS = "0123456789*#ABCD"
_LONGEST_PROMPT_S = 1800.0


@dataclass(frozen=True, slots=True)
class House:
    """What calls have in common."""

    sounds: Sounds
    recordings: Recordings
    dial_strings: DialStrings
    silence_s: int
    leg_context: str
    """Where in the dialplan a phone goes that answers, before it is connected."""
    look: Callable[[Session], Awaitable[None]]
    """Look at the lines of employees by this connection, where the last look was too long ago."""
    dials: Callable[[Sequence[str], bool], None]
    """These endpoints are being dialled by us from now on, or no longer."""


class CallerLine:
    """The caller's side of a call."""

    def __init__(self, session: Session, sounds: Sounds, call_id: str) -> None:
        self.session = session
        self._sounds = sounds
        self._up = False
        self._music: str | None = None
        self._log = structlog.get_logger().bind(call=call_id)

    def taken_over(self, session: Session) -> None:
        """Another connection; what the caller hears is not known."""
        self.session = session
        self._up = False
        self._music = None

    async def tell(self, words: str, *arguments: str, seconds: float = QUICK_S) -> Reply:
        """A command that must succeed. Raises `CallGone`, `PbxRefused`, `PbxUnreachable`, `PbxTimeout`."""
        reply = await self.session.command(words, *arguments, seconds=seconds)
        if reply.code == 511:
            raise CallGone("the caller has hung up")
        if reply.code != 200:
            raise PbxRefused(f"{words}: {reply.code} {reply.text}")
        return reply

    async def must_be_there(self) -> None:
        """After a result that may mean a hang-up. Raises `CallGone`."""
        if not await is_alive(self.session):
            raise CallGone("the caller has hung up")

    async def set(self, name: str, value: str) -> None:
        """Set a variable of the caller's channel."""
        await self.tell("SET VARIABLE", name, value)

    async def answer(self) -> None:
        """Answer the call, once, and without waiting for speech as AGI's own ANSWER does."""
        if not self._up:
            await self.tell("EXEC", "Answer", "0,i")
            self._up = True

    async def hear_music(self, music: str | None) -> None:
        """Let the caller hear music on hold of this class; None: the default class."""
        wanted = music or "default"
        if self._music != wanted:
            await self.hear_nothing()
            await self.answer()
            await self.tell("SET MUSIC ON", wanted)
            self._music = wanted

    async def hear_nothing(self) -> None:
        """End the music."""
        if self._music is not None:
            self._music = None
            await self.tell("SET MUSIC OFF")

    async def play(self, prompt: str, state: str, keys: str = "") -> str:
        """Play a prompt to its end, or until one of these keys; the key."""
        await self.hear_nothing()
        await self.answer()
        path = self._sounds.media(prompt, state).removeprefix("sound:")
        reply = await self.tell("STREAM FILE", path, keys, seconds=_LONGEST_PROMPT_S)
        if reply.number < 0:
            await self.must_be_there()
            self._log.error("a prompt could not be played", prompt=prompt, path=path)
        return chr(reply.number) if reply.number > 0 else ""

    async def listen(self, seconds: float) -> None:
        """Let the caller hear what he hears for so long, without a command: that could not be ended at once. Raises
        `CallGone`, `PbxUnreachable`."""
        with trio.move_on_after(seconds):
            await self.session.gone()
            await self.must_be_there()

    async def key(self, seconds: float) -> str:
        """Wait for a key so long; empty when none came."""
        reply = await self.tell("WAIT FOR DIGIT", str(max(1, round(seconds * 1000))), seconds=seconds + QUICK_S)
        if reply.number < 0:
            await self.must_be_there()
        pressed = chr(reply.number) if reply.number > 0 else ""
        return pressed if pressed in ALL_KEYS else ""

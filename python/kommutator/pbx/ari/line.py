"""What every part of one call needs of the PBX: the caller's channel, requests about it, and what the caller hears."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence

import trio

from kommutator.errors import CallGone, PbxError, PbxRefused
from kommutator.pbx.ari import requests
from kommutator.pbx.ari.codec import Request, Response
from kommutator.pbx.ari.inbox import Inbox
from kommutator.pbx.ari.session import Session
from kommutator.pbx.asterisk import STARTED


async def together(parts: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Run parts at once and wait for all; raises the first `PbxError` when any failed."""
    failures: list[PbxError] = []

    async def guarded(part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        except PbxError as error:
            failures.append(error)

    async with trio.open_nursery() as nursery:
        for part in parts:
            nursery.start_soon(guarded, part)
    if failures:
        raise failures[0]


class CallerLine:
    """The caller's side of a call."""

    def __init__(self, session: Session, inbox: Inbox, channel: str, up: bool) -> None:
        self.channel = channel
        self.inbox = inbox
        self._session = session
        self._up = up
        self._hears: str | None = None
        self._hears_unknown = False

    def taken_over(self, up: bool) -> None:
        """Nothing is known any more about what the caller hears."""
        self._up = up
        self._hears = None
        self._hears_unknown = True

    async def ask(self, request: Request) -> Response:
        """Make a request, whatever its answer."""
        return await self._session.request(request)

    async def ask_in_order(self, *wanted: Request) -> list[Response]:
        """Make requests one after another, whatever their answers."""
        return await self._session.in_order(wanted)

    async def tell(self, *wanted: Request) -> list[Response]:
        """Make requests about the caller's channel, in this order, that must succeed. Raises `CallGone` or
        `PbxRefused`.
        """
        responses = await self._session.in_order(wanted)
        for request, response in zip(wanted, responses, strict=True):
            if not response.ok:
                await self._refused(request, response)
        return responses

    async def _refused(self, request: Request, response: Response) -> None:
        place = f"{request.method} {request.uri}: {response.status} {response.reason}"
        if response.status == 404 or self.inbox.gone:
            raise CallGone(place)
        if (await self.ask(requests.get_channel(self.channel))).status == 404:
            raise CallGone(place)
        raise PbxRefused(f"{place} {response.body.decode(errors='replace')}")

    async def variable(self, name: str) -> str | None:
        """A variable of the caller's channel."""
        response = await self.ask(requests.get_variable(self.channel, name))
        value = response.decode().get("value") if response.ok else None
        return value if isinstance(value, str) and value else None

    async def was_started(self, sequence: int) -> bool:
        """Whether the turn's action had been begun before the last look at the PBX."""
        return await self.variable(STARTED) == str(sequence)

    def mark_started(self, sequence: int) -> Request:
        """Note that the turn's action is begun: sent just before it, for it would wait for the end of a playback."""
        return requests.set_variable(self.channel, STARTED, str(sequence))

    async def answer(self) -> None:
        """Answer the call, once."""
        if not self._up:
            await self.tell(requests.answer(self.channel))
            self._up = True

    async def open_media(self) -> None:
        """Let the caller hear a leg's early media before the call is answered."""
        if not self._up:
            await self.tell(requests.indicate_progress(self.channel))

    async def hear_ringing(self, music: str | None) -> None:
        """Let the caller hear the ringing tone, or music of the class named."""
        if music is not None:
            await self.hear_music(music)
        elif self._hears != "ringing" or self._hears_unknown:
            await self.hear_nothing()
            self._hears = "ringing"
            await self.tell(requests.start_ringback(self.channel))

    async def hear_music(self, music: str | None) -> None:
        """Let the caller hear music on hold."""
        wanted = f"music {music or ''}"
        if self._hears != wanted or self._hears_unknown:
            await self.hear_nothing()
            await self.answer()
            self._hears = wanted
            await self.tell(requests.start_music(self.channel, music))

    async def hear_nothing(self) -> None:
        """End the tone or the music."""
        if self._hears == "ringing" or (self._hears_unknown and self._up):
            await self.ask(requests.stop_ringback(self.channel))
        if (self._hears or "").startswith("music") or (self._hears_unknown and self._up):
            await self.ask(requests.stop_music(self.channel))
        self._hears = None
        self._hears_unknown = False

    async def play(self, sequence: int, playback: str, media: Sequence[str]) -> None:
        """Answer, and begin to play; the turn counts as begun then."""
        await self.hear_nothing()
        await self.answer()
        await self.tell(self.mark_started(sequence), requests.play(self.channel, playback, media))

    async def is_playing(self, playback: str) -> bool:
        """Whether a playback is under way."""
        return (await self.ask(requests.get_playback(playback))).ok

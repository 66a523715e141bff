"""A hand on the simulated PBX: places callers, picks phones up, and watches. For trio; `control_asyncio` is its like."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
import trio

from kommutator.errors import PbxError
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.behaviour import PhoneAct
from kommutator.pbx.simulated.link import Link, open_link

HEARD: Final = 4096
"""Messages that may wait to be looked at; what comes beyond is counted as `Missed`."""


class PbxControl:
    """A control connection. Every method raises `PbxUnreachable` when the PBX has gone, `PbxRefused` with its reason, and
    `CallGone` for a caller who is not on the line."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._put, self._told = trio.open_memory_channel[codec.Told](HEARD)
        self._missed = 0

    async def place(self, place: codec.Place) -> str:
        """Let a caller come; the call's id."""
        return str(await self._link.ask(place))

    async def press(self, call_id: str, keys: str) -> None:
        """The caller presses keys."""
        await self._link.ask(codec.Press(call_id, keys))

    async def speak(self, call_id: str, seconds: float) -> None:
        """The caller speaks for so long into the message that is being recorded."""
        await self._link.ask(codec.Speak(call_id, seconds))

    async def hang_up(self, call_id: str) -> None:
        """The caller hangs up."""
        await self._link.ask(codec.HangUp(call_id))

    async def callers(self) -> list[codec.CallerThere]:
        """Who is on the line."""
        return msgspec.convert(await self._link.ask(codec.Callers()), list[codec.CallerThere])

    async def phones(self) -> list[codec.PhoneThere]:
        """What the phones are doing."""
        return msgspec.convert(await self._link.ask(codec.Phones()), list[codec.PhoneThere])

    async def behave(self, endpoint: str, acts: Sequence[PhoneAct] | None) -> None:
        """What a phone does from now on: see `codec.Behave`."""
        await self._link.ask(codec.Behave(endpoint, None if acts is None else tuple(acts)))

    async def pick_up(self, endpoint: str, call_id: str | None = None) -> None:
        """Somebody picks the ringing phone up."""
        await self._link.ask(codec.PickUp(endpoint, call_id))

    async def decline(self, endpoint: str, call_id: str | None = None) -> None:
        """Somebody declines the call that rings the phone."""
        await self._link.ask(codec.Decline(endpoint, call_id))

    async def put_down(self, endpoint: str) -> None:
        """Somebody ends the conversation on the phone, or refuses what rings it."""
        await self._link.ask(codec.PutDown(endpoint))

    async def hold_key(self, endpoint: str, held: bool) -> None:
        """Somebody presses the hold key of the phone, or takes the caller back."""
        await self._link.ask(codec.HoldKey(endpoint, held))

    async def traffic(self, calls_per_minute: float, callers: Sequence[str] = (), seed: int | None = None) -> None:
        """So many callers come by themselves from now on."""
        await self._link.ask(codec.Traffic(calls_per_minute, tuple(callers), seed))

    async def about(self) -> codec.Glance:
        """The PBX at a glance."""
        return msgspec.convert(await self._link.ask(codec.About()), codec.Glance)

    async def watch(self, call_id: str | None = None) -> None:
        """Have everything told that happens from now on, to one call or to all; `told` returns it."""
        await self._link.ask(codec.Watch(call_id))

    async def told(self) -> codec.Told:
        """The next thing that was told. Raises `trio.EndOfChannel` when the connection has ended."""
        return await self._told.receive()

    def _hear(self, message: codec.FromPbx) -> None:
        if not isinstance(message, codec.Happened | codec.Decided | codec.Over | codec.Missed):
            return
        if isinstance(message, codec.Missed):
            self._missed += message.count
        try:
            if self._missed:
                self._put.send_nowait(codec.Missed(self._missed))
                self._missed = 0
            if not isinstance(message, codec.Missed):
                self._put.send_nowait(message)
        except trio.WouldBlock:
            self._missed += 1

    async def _run(self) -> None:
        with self._put:
            await self._link.run(self._hear)


@asynccontextmanager
async def control_of(socket: Path) -> AsyncIterator[PbxControl]:
    """A hand on the PBX at this socket, while the context lasts. Raises `PbxError` when it is not there or refuses."""
    failures: list[BaseException] = []
    async with trio.open_nursery() as nursery:
        try:
            link = await open_link(nursery, socket, codec.Hello(codec.PROTOCOL, "control"))
            control = PbxControl(link)
            nursery.start_soon(control._run)
            yield control
        except (PbxError, trio.EndOfChannel) as error:
            # Not through the nursery, which would wrap it.
            failures.append(error)
        finally:
            nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]

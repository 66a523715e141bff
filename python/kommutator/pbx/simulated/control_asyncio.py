"""A hand on the simulated PBX for asyncio: for a page of virtual phones. What can be asked and is told stands in `codec`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec

from kommutator.errors import CallGone, PbxProtocolError, PbxRefused, PbxUnreachable
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.codec import ControlOperation, FromPbx, Told
from kommutator.pbx.simulated.peer import address_of

HEARD: Final = 4096
"""Messages that may wait to be looked at; what comes beyond is counted as `Missed`."""
_GREETING_S: Final = 5.0
_READ: Final = 65536


class AsyncPbxControl:
    """A control connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming: codec.Incoming[FromPbx] = codec.Incoming(codec.FromPbx)
        self._read: list[FromPbx] = []
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._told: asyncio.Queue[Told | None] = asyncio.Queue()
        self._missed = 0
        self._over = False

    async def ask(self, what: ControlOperation, kind: Any = None) -> Any:
        """The answer to an operation, as a value of `kind`: `list[codec.PhoneThere]` for `codec.Phones()`, and so on.

        Raises `PbxUnreachable` when the PBX has gone, `PbxRefused` with its reason, and `CallGone`.
        """
        if self._over:
            raise PbxUnreachable("the simulated PBX is not connected")
        number = next(self._numbers)
        future = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(codec.encode(codec.Ask(number, what)))
            value = await future
        finally:
            del self._asked[number]
        return value if kind is None else msgspec.convert(value, kind)

    async def told(self) -> Told:
        """The next thing that was told, after a `codec.Watch`. Raises `PbxUnreachable` when the connection has ended."""
        told = await self._told.get()
        if told is None:
            self._told.put_nowait(None)
            raise PbxUnreachable("the connection to the simulated PBX has ended")
        return told

    async def _greet(self) -> None:
        self._writer.write(codec.encode(codec.Hello(codec.PROTOCOL, "control")))
        match await self._next():
            case codec.Welcome(protocol=codec.PROTOCOL):
                return
            case codec.Refused(reason=reason):
                raise PbxRefused(reason)
            case None:
                raise PbxUnreachable("the simulated PBX hung up before it greeted")
            case _:
                raise PbxProtocolError("the simulated PBX did not greet as it should")

    async def _run(self) -> None:
        try:
            while (message := await self._next()) is not None:
                match message:
                    case codec.Answer(id=number, value=value):
                        self._settle(number, value)
                    case codec.Failure(id=number, code=code, reason=reason):
                        self._settle(number, CallGone(reason) if code == CallGone.code else PbxRefused(reason))
                    case codec.Happened() | codec.Decided() | codec.Over() | codec.Missed():
                        self._hear(message)
                    case _:
                        continue
        finally:
            self._over = True
            for number in self._asked:
                self._settle(number, PbxUnreachable("the connection to the simulated PBX has ended"))
            self._told.put_nowait(None)

    def _settle(self, number: int, outcome: Any) -> None:
        future = self._asked.get(number)
        if future is None or future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    def _hear(self, told: Told) -> None:
        if isinstance(told, codec.Missed):
            self._missed += told.count
            return
        if self._told.qsize() >= HEARD:
            self._missed += 1
            return
        if self._missed:
            self._told.put_nowait(codec.Missed(self._missed))
            self._missed = 0
        self._told.put_nowait(told)

    async def _next(self) -> FromPbx | None:
        while not self._read:
            try:
                content = await self._reader.read(_READ)
            except ConnectionError:
                return None
            if not content:
                return None
            self._read = self._incoming.feed(content)
        return self._read.pop(0)


@asynccontextmanager
async def control_of(socket: Path) -> AsyncIterator[AsyncPbxControl]:
    """A hand on the PBX at this socket, while the context lasts. Raises `PbxError` when it is not there or refuses."""
    try:
        with address_of(socket) as address:
            reader, writer = await asyncio.open_unix_connection(address)
    except OSError as error:
        raise PbxUnreachable(f"{socket}: no simulated PBX is there ({error.strerror})") from error
    control = AsyncPbxControl(reader, writer)
    try:
        try:
            async with asyncio.timeout(_GREETING_S):
                await control._greet()
        except TimeoutError as error:
            raise PbxUnreachable("the simulated PBX does not answer") from error
        running = asyncio.create_task(control._run())
        try:
            yield control
        finally:
            running.cancel()
            await asyncio.wait([running])
    finally:
        writer.close()

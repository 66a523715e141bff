"""One end of a connection of the simulated PBX: messages in, one by one; messages out, through a bounded queue."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import trio

from kommutator.errors import PbxUnreachable
from kommutator.pbx.simulated.codec import Incoming, Message, encode

WAITING: Final = 4096
"""Messages on their way out; a peer that does not take them is cut off."""
_READ: Final = 65536
_LONGEST_ADDRESS: Final = 107
"""unix(7): 108 bytes with the zero."""

M = TypeVar("M")


class Peer(Generic[M]):
    """The other end, which sends messages of one kind."""

    def __init__(self, stream: trio.SocketStream, kind: Any) -> None:
        self._stream = stream
        self._incoming: Incoming[M] = Incoming(kind)
        self._read: deque[M] = deque()
        self._out, self._queued = trio.open_memory_channel[bytes](WAITING)
        self._broken = trio.Event()

    @property
    def waiting(self) -> int:
        """How many messages are on their way out."""
        return self._out.statistics().current_buffer_used

    def post(self, message: Message) -> None:
        """Send a message, after those before. Never waits; a peer that does not take what it is sent is cut off. Raises
        `PbxProtocolError` for a message that is too long."""
        line = encode(message)
        try:
            self._out.send_nowait(line)
        except (trio.WouldBlock, trio.ClosedResourceError, trio.BrokenResourceError):
            self.cut()

    def cut(self) -> None:
        """End the connection, whatever is on its way."""
        self._broken.set()

    def finish(self) -> None:
        """End the connection when everything is sent."""
        self._out.close()

    async def run(self) -> None:
        """Send until the connection ends. Whoever reads sees the end of it by then."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send, nursery.cancel_scope)
                await self._broken.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._broken.set()
            self._out.close()
            # At once: whoever waits for bytes wakes with `ClosedResourceError`.
            await trio.aclose_forcefully(self._stream)

    async def receive(self) -> M | None:
        """The next message; None when the connection has ended. Raises `PbxProtocolError` for what is no message."""
        while not self._read:
            try:
                content = await self._stream.receive_some(_READ)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return None
            if not content:
                return None
            self._read.extend(self._incoming.feed(content))
        return self._read.popleft()

    async def _send(self, scope: trio.CancelScope) -> None:
        try:
            async for line in self._queued:
                lines = bytearray(line)
                while len(lines) < _READ:
                    try:
                        lines += self._queued.receive_nowait()
                    except (trio.WouldBlock, trio.EndOfChannel):
                        break
                await self._stream.send_all(lines)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        scope.cancel()


async def connect(socket: Path, kind: Any) -> Peer[Any]:
    """A connection to the PBX at this socket. Raises `PbxUnreachable` when none is there."""
    stream = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    try:
        with address_of(socket) as address:
            await stream.connect(address)
    except OSError as error:
        stream.close()
        raise PbxUnreachable(f"{socket}: no simulated PBX is there ({error.strerror})") from error
    except BaseException:
        stream.close()
        raise
    return Peer(trio.SocketStream(stream), kind)


@contextmanager
def address_of(socket: Path) -> Iterator[str]:
    """The address of a socket's file, by a shorter way while this lasts when the path is longer than addresses may be.

    Raises `FileNotFoundError` when its folder is not there.
    """
    path = str(socket)
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield path
        return
    folder = os.open(socket.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{socket.name}"
    finally:
        os.close(folder)

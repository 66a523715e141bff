"""A client's side of a connection to the simulated PBX: questions with numbers, and their answers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import trio

from kommutator.errors import CallGone, PbxProtocolError, PbxRefused, PbxUnreachable
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.codec import FromPbx, Operation
from kommutator.pbx.simulated.peer import Peer, connect

_GREETING_S = 5.0


class Link:
    """A connection that was welcomed."""

    def __init__(self, peer: Peer[FromPbx], welcome: codec.Welcome) -> None:
        self.welcome = welcome
        self._peer = peer
        self._numbers = count(1)
        self._asked: dict[int, _Asked] = {}
        self.over = False
        """Whether the connection has ended."""

    async def ask(self, what: Operation) -> Any:
        """The answer to a question; it is taken back when this is cancelled.

        Raises `CallGone`, `PbxRefused`, and `PbxUnreachable` when the connection ends before there is an answer.
        """
        if self.over:
            raise PbxUnreachable("the simulated PBX is not connected")
        number = next(self._numbers)
        asked = self._asked[number] = _Asked()
        try:
            self._peer.post(codec.Ask(number, what))
            await asked.done.wait()
        except trio.Cancelled:
            if not self.over:
                self._peer.post(codec.Drop(number))
            raise
        finally:
            del self._asked[number]
        match asked.answer:
            case codec.Answer(value=value):
                return value
            case codec.Failure(code="call_gone", reason=reason):
                raise CallGone(reason)
            case codec.Failure(reason=reason):
                raise PbxRefused(reason)
            case _:
                raise PbxUnreachable("the connection to the simulated PBX has ended")

    def tell(self, what: Operation) -> None:
        """Ask without waiting; whether it was answered is not known."""
        if not self.over:
            self._peer.post(codec.Ask(next(self._numbers), what))

    def close(self) -> None:
        """End the connection."""
        self._peer.cut()

    async def run(self, on_told: Callable[[FromPbx], None]) -> codec.Refused | None:
        """Read until the connection ends; returns the PBX's reason when it gave one. Raises `PbxProtocolError`."""
        try:
            while True:
                message = await self._peer.receive()
                match message:
                    case codec.Answer(id=number) | codec.Failure(id=number):
                        asked = self._asked.get(number)
                        if asked is not None:
                            asked.answer = message
                            asked.done.set()
                    case codec.Refused() | None:
                        return message
                    case _:
                        on_told(message)
        finally:
            self.over = True
            self._peer.cut()
            for asked in self._asked.values():
                asked.done.set()


class _Asked:
    """A question that waits."""

    __slots__ = ("answer", "done")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.answer: codec.Answer | codec.Failure | None = None


async def open_link(nursery: trio.Nursery, socket: Path, hello: codec.Hello) -> Link:
    """A connection to the PBX at this socket; its `run` has to be called. The nursery sends for it until it is closed.

    Raises `PbxUnreachable` when no PBX is there, `PbxRefused` when it does not take us, and `PbxProtocolError`.
    """
    peer: Peer[FromPbx] = await connect(socket, codec.FromPbx)
    nursery.start_soon(peer.run)
    try:
        peer.post(hello)
        with trio.move_on_after(_GREETING_S):
            return Link(peer, _welcomed(await peer.receive()))
        raise PbxUnreachable("the simulated PBX does not answer")
    except BaseException:
        peer.cut()
        raise


def _welcomed(message: FromPbx | None) -> codec.Welcome:
    match message:
        case codec.Welcome(protocol=codec.PROTOCOL):
            return message
        case codec.Welcome(protocol=other):
            raise PbxRefused(f"the simulated PBX speaks version {other} of the protocol, not {codec.PROTOCOL}")
        case codec.Refused(reason=reason):
            raise PbxRefused(reason)
        case None:
            raise PbxUnreachable("the simulated PBX hung up before it greeted")
        case _:
            raise PbxProtocolError("the simulated PBX did not greet")

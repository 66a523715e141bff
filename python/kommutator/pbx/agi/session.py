"""One connection of Asterisk: commands out, one at a time, and their replies in."""

from __future__ import annotations

from collections import deque

import structlog
import trio

from kommutator.errors import CallGone, PbxProtocolError, PbxTimeout, PbxUnreachable
from kommutator.pbx.agi import codec
from kommutator.pbx.agi.codec import Environment, Reply

QUICK_S = 30.0
"""How long a command may take that waits for nobody; only a PBX that is about to die takes so long."""
GREETING_S = 5.0
"""How long a connection may take to say which call it is about."""
_CHUNK = 16_384

_AGAIN_S = 0.1
_INTERRUPTIBLE = ("STREAM FILE", "NOOP")
"""What is over soon when another command comes; everything else takes its time."""


class Pending:
    """A command that was sent."""

    __slots__ = ("_settled", "interruptible", "reply", "silent")

    def __init__(self, words: str) -> None:
        self.interruptible = words.startswith(_INTERRUPTIBLE)
        self.silent = words.startswith("STREAM FILE")
        """Asterisk does not answer it when another command cuts it short (`handle_streamfile`)."""
        self.reply: Reply | None = None
        self._settled = trio.Event()

    @property
    def is_over(self) -> bool:
        """Whether nothing more can come of it."""
        return self._settled.is_set()

    def settle(self, reply: Reply | None) -> None:
        """It was answered; with None, it never will be."""
        self.reply = reply
        self._settled.set()

    async def over(self) -> None:
        """Wait until nothing more can come of it."""
        await self._settled.wait()


class Session:
    """A connection. `run` reads it; commands may be given from its greeting to its end."""

    def __init__(self, stream: trio.abc.Stream, peer: str) -> None:
        self._stream = stream
        self._decoder = codec.Decoder()
        self._pending: deque[Pending] = deque()
        self._greeted = trio.Event()
        self._ended = trio.Event()
        self._sending = trio.Lock()
        self._environment: Environment | None = None
        self.hung_up = False
        """The caller has gone; the connection may still be there."""
        self.closed = False
        self._log = structlog.get_logger().bind(pbx=peer)

    async def run(self) -> None:
        """Read until the end of the connection."""
        try:
            while data := await self._stream.receive_some(_CHUNK):
                for message in self._decoder.feed(bytes(data)):
                    self._take(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except PbxProtocolError as error:
            self._log.error("a connection was broken off", code=error.code, reason=str(error))
        finally:
            self._end()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await self._stream.aclose()

    async def greeting(self) -> Environment:
        """What the connection begins with. Raises `PbxTimeout`, `PbxUnreachable`."""
        with trio.move_on_after(GREETING_S) as waiting:
            await self._greeted.wait()
        if waiting.cancelled_caught:
            raise PbxTimeout(f"a connection said nothing of its call within {GREETING_S:g} s")
        if self._environment is None:
            raise PbxUnreachable("a connection ended before it said anything of its call")
        return self._environment

    async def gone(self) -> None:
        """Wait until the caller or the connection is gone."""
        await self._ended.wait()

    async def close(self) -> None:
        """End the connection; the dialplan goes on."""
        self._end()
        await self._stream.aclose()

    async def command(self, words: str, *arguments: str, even_gone: bool = False, seconds: float = QUICK_S) -> Reply:
        """Give a command and wait for its reply. What goes on is interrupted, or awaited where that cannot be.

        `even_gone`: it is one for a caller who has gone, too. Raises `CallGone`, `PbxUnreachable`, `PbxTimeout`.
        """
        return await self.reply_of(await self.begin(words, *arguments, even_gone=even_gone), seconds=seconds)

    async def begin(self, words: str, *arguments: str, even_gone: bool = False) -> Pending:
        """Give a command and do not wait for its reply. Raises `CallGone`, `PbxUnreachable`, `PbxTimeout`."""
        line = codec.command(words, *arguments)
        await self._make_idle()
        self._must_be_there(even_gone=even_gone)
        return await self._send(words, line)

    async def reply_of(self, pending: Pending, *, seconds: float = float("inf")) -> Reply:
        """The reply to a command. Raises `CallGone`, `PbxUnreachable`, `PbxTimeout`."""
        with trio.move_on_after(seconds) as waiting:
            await pending.over()
        if waiting.cancelled_caught:
            raise PbxTimeout(f"a command was not answered within {seconds:g} s")
        if pending.reply is None:
            self._must_be_there(even_gone=False)
            raise PbxUnreachable("the connection ended before a command was answered")
        return pending.reply

    async def _make_idle(self) -> None:
        """No command goes on any more.

        Asterisk reads commands through a buffer and waits at the socket: one that came together with the one before is not
        seen until more comes. So what interrupts is sent again until everything is answered, with growing pauses. Raises
        `PbxTimeout` when that is not ended within `QUICK_S`.
        """
        pause, until = _AGAIN_S, trio.current_time() + QUICK_S
        while self._pending and not self.closed:
            last = self._pending[-1]
            if not self._pending[0].interruptible:
                await last.over()
                until = trio.current_time() + QUICK_S
                continue
            if trio.current_time() >= until:
                raise PbxTimeout(f"what went on was not ended within {QUICK_S:g} s")
            with trio.move_on_after(pause):
                await (await self._send("NOOP", codec.command("NOOP"))).over()
            pause *= 2

    async def _send(self, words: str, line: bytes) -> Pending:
        pending = Pending(words)
        async with self._sending:
            if self.closed:
                pending.settle(None)
                return pending
            self._pending.append(pending)
            try:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + QUICK_S) as sending:
                    await self._stream.send_all(line)
                if sending.cancelled_caught:
                    self._end()  # Asterisk would take half of a command and the next one for one
            except (trio.BrokenResourceError, trio.ClosedResourceError, trio.BusyResourceError):
                self._end()
        return pending

    def _must_be_there(self, *, even_gone: bool) -> None:
        if self.hung_up and not even_gone:
            raise CallGone("the caller has hung up")
        if self.closed:
            raise PbxUnreachable("the connection has ended")

    def _take(self, message: codec.Message) -> None:
        match message:
            case Environment():
                self._environment = message
                self._greeted.set()
            case codec.HungUp():
                self.hung_up = True
                self._ended.set()
            case Reply():
                self._answered(message)

    def _answered(self, reply: Reply) -> None:
        if not self._pending:
            raise PbxProtocolError("a reply came to no command")
        first = self._pending.popleft()
        if first.silent and self._pending and reply.code == 200 and reply.endpos is None:
            first.settle(None)
            first = self._pending.popleft()
        first.settle(reply)

    def _end(self) -> None:
        self.closed = True
        self._greeted.set()
        self._ended.set()
        while self._pending:
            self._pending.popleft().settle(None)

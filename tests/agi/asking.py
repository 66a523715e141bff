"""The side of Asterisk, for what a real one does not do: strange connections, and thousands a second."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from kommutator import Engine
from kommutator.app.document import NoLookups, lines_of
from kommutator.app.process import SystemClock
from kommutator.company.reader import load
from kommutator.pbx.agi.adapter import AgiPbx, AgiSettings
from kommutator.routing.ledger import FileJournal
from kommutator.routing.loop import Router
from kommutator.routing.orders import OrderDesk


class Prompts:
    """Prompts that nobody plays."""

    def media(self, prompt: str, state: str) -> str:
        """A place that there is not."""
        return f"sound:/nowhere/{prompt}"


class House:
    """A router in this process, and where it listens."""

    def __init__(self, router: Router, orders: OrderDesk, pbx: AgiPbx, streams: AsyncExitStack) -> None:
        self.router = router
        self.orders = orders
        self.pbx = pbx
        self._streams = streams

    async def connect(self) -> trio.SocketStream:
        """One connection more."""
        return await self._streams.enter_async_context(await trio.open_tcp_stream("127.0.0.1", self.pbx.port))


@asynccontextmanager
async def house(company: Path, folder: Path, **settings: Any) -> AsyncIterator[House]:
    """A router that is asked."""
    loaded = load(company)
    engine, clock = Engine.of(loaded), SystemClock()
    known = {"sources": ("127.0.0.1",), "shared": folder / "shared", "recordings": folder / "recordings", **settings}
    pbx = AgiPbx(AgiSettings("127.0.0.1", 0, **known), Prompts(), lines_of(loaded))
    journal = FileJournal(folder)
    router = Router(engine, pbx, journal, NoLookups(), clock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        nursery.start_soon(router.run)
        while not pbx.connected:
            await trio.sleep(0.01)
        async with AsyncExitStack() as streams:
            yield House(router, OrderDesk(router, engine, None, clock, lambda employee: None), pbx, streams)
        nursery.cancel_scope.cancel()
    journal.close()


class Asking:
    """A channel of a connection: it greets, and answers commands as `answer` says (None: not yet)."""

    def __init__(self, stream: trio.SocketStream, answer: Callable[[str], str | None] | None = None) -> None:
        self.stream = stream
        self.commands: list[str] = []
        self._answer = answer or usual
        self._rest = b""

    async def greet(self, call: str, script: str = "call", *arguments: str, number: str = "+74957770001") -> None:
        """Say which call it is."""
        given = "".join(f"agi_arg_{place}: {value}\n" for place, value in enumerate(arguments, 1))
        channel = f"agi_uniqueid: {call}\nagi_channel: PJSIP/trunk-{call}\nagi_extension: {number}\n"
        text = f"agi_network: yes\nagi_network_script: {script}\n{channel}{given}\n"
        await self.stream.send_all(text.encode())

    async def run(self, until: str = "\0") -> str:
        """Answer to the end of the connection, or to a command that begins so; that is the last, and not answered."""
        while data := await self.stream.receive_some(65_536):
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self.commands.append(line.decode())
                if self.commands[-1].startswith(until):
                    return self.commands[-1]
                answer = self._answer(self.commands[-1])
                if answer is not None:
                    await self.say(answer)
        return ""

    async def say(self, line: str) -> None:
        """A reply, or what comes by itself."""
        await self.stream.send_all(f"{line}\n".encode())


def usual(command: str) -> str:
    """How a channel answers at which nothing happens: questions by nothing, as many as were asked."""
    if command.startswith("GET FULL VARIABLE"):
        return f"200 result=1 ({'|' * command.count('|')})"
    if command.startswith("STREAM FILE"):
        return "200 result=0 endpos=8000"
    return "200 result=0" if command.startswith("EXEC") else "200 result=1"

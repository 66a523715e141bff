"""A run: generators in processes of their own, so that nothing here delays a call; what they tell is folded as it comes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import msgspec
import trio

from kommutator.errors import GeneratorFailed, LoadFailed
from kommutator.load.measure import Meter, Usage
from kommutator.load.result import Result
from kommutator.load.tally import Done, Failed, Message, Part, Ready
from kommutator.load.target import Server
from kommutator.load.worker import LENGTH, Go, Job

_BEGIN_S: Final = 0.2
"""From the word to go to the first moment: all generators have it by then."""
_READY_S: Final = 120.0
_STOP_S: Final = 10.0
_END_S: Final = 2.0
_LOOK_S: Final = 0.5


class Run:
    """One run. `servers` are measured; `on_look` is called twice a second, while it runs."""

    def __init__(
        self, jobs: Sequence[Job], servers: Sequence[Server], on_look: Callable[[Run], None] | None = None
    ) -> None:
        self._jobs = jobs
        self._servers = servers
        self._on_look = on_look
        self.result = Result(jobs[0].width_s, len(jobs), jobs[0].check)
        self.usage: Usage | None = None
        self.begin: float | None = None
        """`time.perf_counter()` of the run's beginning."""
        self._stopping = trio.Event()

    def stop(self) -> None:
        """End it before its time: calls that are open are given up."""
        self._stopping.set()

    async def run(self) -> None:
        """Run to the end. Raises `LoadFailed` for what a generator says, and `GeneratorFailed` for one that ends without a word."""
        generators: list[_Generator] = []
        try:
            for job in self._jobs:
                generators.append(await _Generator.begin(job))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_stopped, generators, nursery.cancel_scope)
                with trio.move_on_after(_READY_S) as scope:
                    for generator in generators:
                        await generator.ready()
                if scope.cancelled_caught:
                    raise GeneratorFailed(f"a generator is not ready after {_READY_S:g} s")
                meter = Meter(self._servers)
                self.begin = time.perf_counter() + _BEGIN_S
                go = Go(self.begin, time.time_ns() // 1_000_000 + round(_BEGIN_S * 1000))
                for generator in generators:
                    await generator.tell(go)
                async with trio.open_nursery() as hearing:
                    for place, generator in enumerate(generators):
                        hearing.start_soon(self._hear, place, generator)
                    nursery.start_soon(self._look, meter)
                self.usage = meter.read()
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                for generator in generators:
                    await generator.end()

    async def _until_stopped(self, generators: Sequence[_Generator], scope: trio.CancelScope) -> None:
        await self._stopping.wait()
        for generator in generators:
            await generator.stop()
        await trio.sleep(_STOP_S)
        scope.cancel()

    async def _hear(self, place: int, generator: _Generator) -> None:
        while True:
            message = await generator.hear()
            if isinstance(message, Part):
                self.result.add(place, message)
            elif isinstance(message, Done):
                self.result.abandoned += message.abandoned
                return
            else:
                raise _failed(message)

    async def _look(self, meter: Meter) -> None:
        while True:
            self.usage = meter.read()
            if self._on_look is not None:
                self._on_look(self)
            await trio.sleep(_LOOK_S)


class _Generator:
    """A process that makes calls."""

    def __init__(self, process: trio.Process, job: Job) -> None:
        self._process = process
        self._job = job
        self._read = bytearray()
        self._decode: Callable[[bytes], Message] = msgspec.msgpack.Decoder(Message).decode

    @classmethod
    async def begin(cls, job: Job) -> _Generator:
        """Begin one."""
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "kommutator.load.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,  # ^C is for whoever reports; their end comes with that of their input
        )
        generator = cls(process, job)
        await generator.tell(job)
        return generator

    async def ready(self) -> None:
        """Wait until it is."""
        message = await self.hear()
        if not isinstance(message, Ready):
            raise _failed(message)

    async def tell(self, message: Job | Go) -> None:
        """Tell it something."""
        encoded = msgspec.msgpack.encode(message)
        assert self._process.stdin is not None
        with suppress(trio.BrokenResourceError):  # why it ended is in what it says, or does not say
            await self._process.stdin.send_all(LENGTH.pack(len(encoded)) + encoded)

    async def hear(self) -> Message | None:
        """What it says next; None at its end."""
        read = self._read
        assert self._process.stdout is not None
        while len(read) < LENGTH.size or len(read) < LENGTH.size + LENGTH.unpack_from(read)[0]:
            data = await self._process.stdout.receive_some(1 << 20)
            if not data:
                return None
            read += data
        (length,) = LENGTH.unpack_from(read)
        message: Message = self._decode(bytes(read[LENGTH.size : LENGTH.size + length]))
        del read[: LENGTH.size + length]
        return message

    async def stop(self) -> None:
        """Tell it to end."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()

    async def end(self) -> None:
        """See that it ends."""
        await self.stop()
        with trio.move_on_after(_END_S):
            await self._process.wait()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._process.stdout is not None:
            await self._process.stdout.aclose()


def _failed(message: Message | None) -> Exception:
    if isinstance(message, Failed):
        return LoadFailed(message.message)
    return GeneratorFailed("a process that makes calls ended without a report; standard error says why")

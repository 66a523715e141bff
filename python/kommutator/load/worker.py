"""A process that makes calls: `python -m kommutator.load.worker`, begun by `kommutator.load.run`.

It reads its job from standard input, says that it is ready, waits for the word to go, and tells every half second what it
counted. When its input ends, it stops. The terminal and its ^C are its parent's.
"""

from __future__ import annotations

import gc
import os
import signal
import struct
import sys
from typing import Final

import msgspec
import trio

from kommutator.company import load
from kommutator.errors import KommutatorError
from kommutator.load.arrivals import Arrivals, Call, Callers, calls
from kommutator.load.generator import Generator
from kommutator.load.reference import Reference
from kommutator.load.tally import Done, Failed, Message, Ready, Tally
from kommutator.load.target import Options
from kommutator.load.targets import make

LENGTH: Final = struct.Struct("<I")
"""Before each message: its bytes."""
_EVERY_S: Final = 0.5


class Job(msgspec.Struct, frozen=True):
    """What a generator does."""

    address: str
    options: Options
    arrivals: Arrivals
    callers: Callers
    seed: int
    run: str
    """How the ids of this run's calls begin."""
    place: int
    of: int
    """Which of so many generators it is, from 0."""
    width_s: float
    """Of an interval that is told."""
    most_open: int
    check: bool
    """Whether answers are held against an engine on `options.company`."""
    at_ms: int | None = None
    """What time it is said to be when the run begins; None: that of the clock."""
    as_of_ledger: bool = False
    """Calls of a ledger are said to come when they came: for targets that take a time."""


class Go(msgspec.Struct, frozen=True):
    """The word to begin."""

    begin: float
    """`time.perf_counter()`, which all processes of a machine share on Linux."""
    at_ms: int


class _Clock:
    """What calls are told of the time: a ledger's, or the run's."""

    def __init__(self, begin_ms: int, as_of_ledger: bool) -> None:
        self._begin_ms = begin_ms
        self._as_of_ledger = as_of_ledger

    def at_ms(self, call: Call) -> int:
        """When the call comes, UTC."""
        if self._as_of_ledger and call.at_ms is not None:
            return call.at_ms
        return self._begin_ms + int(call.due_s * 1000)


def main() -> None:
    """Work."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    trio.run(_work)


async def _work() -> None:
    words = _Words()
    job = msgspec.msgpack.decode(await words.hear() or b"", type=Job)
    try:
        company = job.options.company
        reference = Reference(load(company)) if job.check and company is not None else None
        target = make(job.address, job.options)
        async with trio.open_nursery() as nursery:
            await target.open(nursery)
            await words.say(Ready())
            heard = await words.hear()
            if heard is not None:
                go = msgspec.msgpack.decode(heard, type=Go)
                # The engine and the document live as long as the process: nothing of them is to be looked through
                gc.collect()
                gc.freeze()
                tally = Tally(job.width_s)
                generator = Generator(
                    target,
                    tally,
                    _Clock(go.at_ms if job.at_ms is None else job.at_ms, job.as_of_ledger),
                    run=job.run,
                    deadline_s=job.options.deadline_s,
                    most_open=job.most_open,
                    reference=reference,
                    whole=job.options.whole,
                )
                await _generate(job, go, generator, tally, words)
            await target.close()
            nursery.cancel_scope.cancel()
    except* KommutatorError as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        await words.say(Failed(str(first)))


async def _generate(job: Job, go: Go, generator: Generator, tally: Tally, words: _Words) -> None:
    spent = _processor_s()
    async with trio.open_nursery() as nursery:

        async def tell() -> None:
            while True:
                await trio.sleep(_EVERY_S)
                await words.say(tally.take(generator.open, _processor_s() - spent))

        async def until_told() -> None:
            await words.hear()
            nursery.cancel_scope.cancel()

        nursery.start_soon(tell)
        nursery.start_soon(until_told)
        await generator.run(calls(job.arrivals, job.callers, job.seed, job.place, job.of), go.begin)
        nursery.cancel_scope.cancel()
    await words.say(tally.take(0, _processor_s() - spent))
    await words.say(Done(generator.open))


def _processor_s() -> float:
    taken = os.times()
    return taken.user + taken.system


class _Words:
    """Messages to and from the parent."""

    def __init__(self) -> None:
        self._in = trio.lowlevel.FdStream(os.dup(0))
        self._out = trio.lowlevel.FdStream(os.dup(1))
        os.dup2(2, 1)  # what anybody prints is no message
        self._read = bytearray()
        self._encode = msgspec.msgpack.Encoder().encode

    async def hear(self) -> bytes | None:
        """The parent's next message; None at the end."""
        while len(self._read) < LENGTH.size or len(self._read) < LENGTH.size + LENGTH.unpack_from(self._read)[0]:
            data = await self._in.receive_some(65536)
            if not data:
                return None
            self._read += data
        (length,) = LENGTH.unpack_from(self._read)
        message = bytes(self._read[LENGTH.size : LENGTH.size + length])
        del self._read[: LENGTH.size + length]
        return message

    async def say(self, message: Message) -> None:
        """Tell the parent; nothing when it is gone."""
        encoded = self._encode(message)
        try:
            await self._out.send_all(LENGTH.pack(len(encoded)) + encoded)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            sys.exit(1)


if __name__ == "__main__":
    main()

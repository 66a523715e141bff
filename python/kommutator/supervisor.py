"""Keeps processes running: starts them in order, hears when they are ready, starts again what dies, stops all in order.

A child tells readiness and status by the protocol of sd_notify(3) to a socket of the supervisor; by the sender's
credentials, which the kernel fills in, nobody else can speak for it. It holds the reading end of a pipe (`LIFELINE`)
whose end tells it that the supervisor is gone, however it went. The next supervisor of the same folder waits for
children that are still on their way out, and ends by force those that stay; it knows them by pid and start time.

The children's table is a value, and so is what shows their lives: the `Screen`.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import trio

from kommutator import processes
from kommutator.errors import DataFolderBusy
from kommutator.lifeline import LIFELINE

State = Literal["waiting", "starting", "ready", "pausing", "failing", "stopping", "stopped"]
"""`pausing`: dead, and started again soon; `failing`: it has never served in several starts, and is tried slowly."""

_CREDENTIALS = struct.Struct("3i")
"""pid, uid and gid of a datagram's sender (unix(7), SCM_CREDENTIALS)."""
_LONGEST_LINE = 64 * 1024
"""Bytes; a longer line is shown in pieces."""
_LAST_WORDS_S = 1.0
_LOCK, _RECORD = "up.lock", "up.json"
_NOT_THEIRS = frozenset({"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", LIFELINE})
"""What the supervisor's own supervisor has told the supervisor."""


@dataclass(frozen=True, slots=True)
class Child:
    """A process to keep."""

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    """It is first started when these are ready, and these are stopped when it has ended."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient the supervisor is, in seconds."""

    first_pause_s: float = 0.2
    longest_pause_s: float = 30.0
    """The pause before a dead child's next start doubles from the first to the longest."""
    stable_s: float = 30.0
    """Who lived so long begins with the first pause again."""
    vain_starts: int = 5
    """After so many starts in a row without ever being ready, a child is failing: the pause is the longest."""
    order_s: float = 15.0
    """A child does not wait longer for those before it: routers route without a database, too."""
    stop_s: float = 10.0
    """From SIGTERM to SIGKILL."""
    leftover_s: float = 25.0
    """How long children of a killed supervisor may take to end by themselves."""


class Screen(Protocol):
    """Where people, or machines, see it. Nothing here may block."""

    def line(self, name: str, line: bytes) -> None:
        """A line that a child has written."""

    def changed(self, name: str, state: State, text: str, *, loud: bool = False) -> None:
        """A child is in another state, or says something else of it; `loud` needs somebody's attention."""

    def told(self, text: str, *, loud: bool = False) -> None:
        """The supervisor itself has something to say."""

    def all_ready(self) -> None:
        """For the first time, all children serve."""


@dataclass(slots=True)
class _Kept:
    child: Child
    pid: int = 0
    since: float = 0.0
    ready: bool = False
    """In this life."""
    served: trio.Event = field(default_factory=trio.Event)
    """It has been ready once."""
    stop: trio.Event = field(default_factory=trio.Event)
    ended: trio.Event = field(default_factory=trio.Event)


class Supervisor:
    """Keeps the children of one data folder. `environ` is theirs, less what the supervisor sets itself."""

    def __init__(
        self,
        children: Sequence[Child],
        data: Path,
        screen: Screen,
        environ: Mapping[str, str],
        pace: Pace = Pace(),
    ) -> None:
        self._kept = {child.name: _Kept(child) for child in children}
        unknown = {name for child in children for name in child.after} - self._kept.keys()
        if unknown or len(self._kept) != len(children):
            raise ValueError(f"names of children: doubled, or after unknown ones: {sorted(unknown)}")
        self._data = data
        self._screen = screen
        self._environ = dict(environ)
        self._pace = pace
        self._killing = trio.Event()
        self._lifeline = -1
        self._warned = False

    async def run(self) -> None:
        """Keep the children until SIGTERM, SIGINT or SIGHUP, then stop them in order. A second SIGINT kills them.

        Raises `DataFolderBusy` when another supervisor has the folder.
        """
        with self._the_only_one(), trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            self._lifeline, held = os.pipe()
            try:
                if await self._end_leftovers(signals):
                    await self._keep_all(signals)
                    with suppress(OSError):
                        (self._data / _RECORD).unlink()
            finally:
                os.close(held)
                os.close(self._lifeline)

    async def _keep_all(self, signals: AsyncIterator[int]) -> None:
        async with trio.open_nursery() as nursery:
            for kept in self._kept.values():
                nursery.start_soon(self._keep, kept)
            async with trio.open_nursery() as beside:
                beside.start_soon(self._await_all)
                number = await anext(signals)
                beside.cancel_scope.cancel()
            self._screen.told(f"{signal.Signals(number).name}: stopping")
            for kept in self._kept.values():
                nursery.start_soon(self._stop_in_turn, kept)
            async with trio.open_nursery() as beside:
                beside.start_soon(self._kill_when_told, signals)
                for kept in self._kept.values():
                    await kept.ended.wait()
                beside.cancel_scope.cancel()

    async def _await_all(self) -> None:
        for kept in self._kept.values():
            await kept.served.wait()
        self._screen.all_ready()

    async def _stop_in_turn(self, kept: _Kept) -> None:
        for other in self._kept.values():
            if kept.child.name in other.child.after:
                await other.ended.wait()
        kept.stop.set()

    async def _kill_when_told(self, signals: AsyncIterator[int]) -> None:
        async for number in signals:
            if number == signal.SIGINT:
                self._screen.told("SIGINT again: killing", loud=True)
                self._killing.set()
                for kept in self._kept.values():
                    kept.stop.set()

    # --- one child

    async def _keep(self, kept: _Kept) -> None:
        try:
            if await self._turn_of(kept):
                await self._live_and_live_again(kept)
        finally:
            kept.ended.set()
            self._screen.changed(kept.child.name, "stopped", "")

    async def _turn_of(self, kept: _Kept) -> bool:
        """Wait for those before it, not for ever; False when it is to be stopped meanwhile."""
        before = [self._kept[name] for name in kept.child.after]
        if any(not other.served.is_set() for other in before):
            self._screen.changed(kept.child.name, "waiting", f"for {', '.join(kept.child.after)}")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_then_cancel, kept.stop, nursery.cancel_scope)
            with trio.move_on_after(self._pace.order_s):
                for other in before:
                    await other.served.wait()
            nursery.cancel_scope.cancel()
        return not kept.stop.is_set()

    async def _live_and_live_again(self, kept: _Kept) -> None:
        pace, name = self._pace, kept.child.name
        pause_s, vain = pace.first_pause_s, 0
        while not kept.stop.is_set():
            end = await self._life(kept)
            if kept.stop.is_set():
                return
            lived_s = trio.current_time() - kept.since
            vain = 0 if kept.ready else vain + 1
            if lived_s >= pace.stable_s:
                pause_s = pace.first_pause_s
            if vain >= pace.vain_starts:
                pause_s = pace.longest_pause_s
                text = f"failed {vain} times in a row at its start, {end}; tried again every {pause_s:g} s"
                self._screen.changed(name, "failing", text, loud=True)
            else:
                text = f"{end} after {lived_s:.1f} s; started again in {pause_s:g} s"
                self._screen.changed(name, "pausing", text, loud=True)
            with trio.move_on_after(pause_s):
                await kept.stop.wait()
            pause_s = min(2 * pause_s, pace.longest_pause_s)

    async def _life(self, kept: _Kept) -> str:
        """One life of the process; how it ended, in words."""
        kept.since, kept.ready = trio.current_time(), False
        self._screen.changed(kept.child.name, "starting", "")
        with _listening() as (address, ear):
            environ = {key: value for key, value in self._environ.items() if key not in _NOT_THEIRS}
            environ |= {"NOTIFY_SOCKET": address, LIFELINE: str(self._lifeline), "PYTHONUNBUFFERED": "1"}
            try:
                process = await trio.lowlevel.open_process(
                    kept.child.command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=environ,
                    pass_fds=(self._lifeline,),
                    start_new_session=True,  # a ^C at the terminal is for the supervisor, which stops all in order
                )
            except OSError as error:
                return f"cannot be started: {error}"
            kept.pid = process.pid
            self._record()
            assert process.stdout is not None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear, kept, ear)
                nursery.start_soon(self._stop_when_told, kept, process)
                read = trio.Event()
                nursery.start_soon(self._read, kept, process.stdout, read)
                code = await process.wait()
                kept.pid = 0
                with trio.move_on_after(_LAST_WORDS_S):  # a process of its own may hold the pipe, and live on
                    await read.wait()
                nursery.cancel_scope.cancel()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    async def _hear(self, kept: _Kept, ear: trio.socket.SocketType) -> None:
        while True:
            words, ancillary, _flags, _sender = await ear.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
            if _user(ancillary) != os.geteuid():
                continue
            said = dict(line.partition("=")[::2] for line in words.decode(errors="replace").splitlines())
            text = said.get("STATUS", "")
            if said.get("READY") == "1" and not kept.ready:
                kept.ready = True
                kept.served.set()
                after = f"after {trio.current_time() - kept.since:.1f} s"
                self._screen.changed(kept.child.name, "ready", f"{after}: {text}" if text else after)
            elif text and not kept.stop.is_set():
                self._screen.changed(kept.child.name, "ready" if kept.ready else "starting", text)

    async def _read(self, kept: _Kept, output: trio.abc.ReceiveStream, done: trio.Event) -> None:
        begun = b""
        async with output:
            async for chunk in output:
                *lines, begun = (begun + chunk).split(b"\n")
                if len(begun) > _LONGEST_LINE:
                    lines, begun = [*lines, begun], b""
                for line in lines:
                    self._screen.line(kept.child.name, line)
        if begun:
            self._screen.line(kept.child.name, begun)
        done.set()

    async def _stop_when_told(self, kept: _Kept, process: trio.Process) -> None:
        await kept.stop.wait()
        self._screen.changed(kept.child.name, "stopping", "")
        process.terminate()
        with trio.move_on_after(self._pace.stop_s):
            await self._killing.wait()
        if not self._killing.is_set():
            text = f"has not stopped within {self._pace.stop_s:g} s: killed"
            self._screen.changed(kept.child.name, "stopping", text, loud=True)
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    # --- the folder

    @contextmanager
    def _the_only_one(self) -> Iterator[None]:
        """Hold the folder. A folder that takes no file at all does not keep the children from being kept."""
        try:
            self._data.mkdir(parents=True, exist_ok=True)
            lock = processes.hold(self._data / _LOCK)
        except OSError as error:
            self._screen.told(f"{self._data} cannot be written: {error.strerror}", loud=True)
            yield
            return
        if lock is None:
            pid = (self._data / _LOCK).read_text(errors="replace").strip() or "unknown"
            raise DataFolderBusy(f"`up` runs already on {self._data}, as process {pid}")
        try:
            with suppress(OSError):  # a full disk: only the pid is not told
                os.ftruncate(lock, 0)
                os.write(lock, f"{os.getpid()}\n".encode())
            yield
        finally:
            os.close(lock)

    def _record(self) -> None:
        """Write down who lives, for the next supervisor."""
        living = {kept.child.name: [kept.pid, processes.started(kept.pid)] for kept in self._kept.values() if kept.pid}
        part = self._data / f"{_RECORD}.new"
        try:
            part.write_text(json.dumps(living))
            part.replace(self._data / _RECORD)
        except OSError as error:
            if not self._warned:
                self._screen.told(f"{part}: {error.strerror}", loud=True)
            self._warned = True

    async def _end_leftovers(self, signals: AsyncIterator[int]) -> bool:
        """See children of a killed supervisor out; False when told to stop meanwhile."""
        async with trio.open_nursery() as nursery:
            seen_out = False

            async def see_out() -> None:
                nonlocal seen_out
                await self._see_out()
                seen_out = True
                nursery.cancel_scope.cancel()

            nursery.start_soon(see_out)
            await anext(signals)
            nursery.cancel_scope.cancel()
        return seen_out

    async def _see_out(self) -> None:
        try:
            living = json.loads((self._data / _RECORD).read_text())
            there = {
                name: pid for name, (pid, started) in living.items() if started and processes.started(pid) == started
            }
        except (OSError, ValueError, TypeError, AttributeError):
            return
        if there:
            self._screen.told(f"waiting for what a killed `up` has left: {', '.join(sorted(there))}")
        with trio.move_on_after(self._pace.leftover_s):
            for pid in there.values():
                await _gone(pid)
        for name, pid in there.items():
            if processes.started(pid) == living[name][1]:
                self._screen.told(f"{name}, process {pid} of a killed `up`, is killed", loud=True)
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                await _gone(pid)


async def _then_cancel(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


@contextmanager
def _listening() -> Iterator[tuple[str, trio.socket.SocketType]]:
    """A socket for one life of a child, and its address as `NOTIFY_SOCKET` writes it."""
    ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        name = f"kommutator-{secrets.token_hex(8)}"
        ear.bind(b"\0" + name.encode())  # unix(7): in no folder, and gone with its owner
        yield f"@{name}", trio.socket.from_stdlib_socket(ear)
    finally:
        ear.close()


def _user(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """Who sent a datagram, as the kernel says: the name of an abstract socket is open to everybody."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            _pid, user, _group = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
            return int(user)
    return None


async def _gone(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    with processes.end_of(pid) as descriptor:
        if descriptor is not None:
            await trio.lowlevel.wait_readable(descriptor)

"""What a server takes of its machine: processor and memory of the processes that listen, their children with them."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psutil

from kommutator.load.target import Server


class Usage(msgspec.Struct):
    """What was measured of a server."""

    pids: list[int]
    """Whom it was measured of: those that were there at the beginning, and their children."""
    processor_s: float = 0.0
    memory_bytes: int = 0
    """Resident, of all of them, when it was looked at last."""
    most_memory_bytes: int = 0
    programs: list[str] = []
    """What they are called: program and process, as in `asterisk 4711`."""


class Meter:
    """Looks at processes from time to time; those that end keep what they took."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._servers = servers
        self._roots: list[int] = []
        self._before: dict[tuple[int, float], float] = {}
        self._last: dict[tuple[int, float], float] = {}
        self._usage = Usage([])
        self._begin_with(sorted({pid for server in servers for pid in _pids(server)}))
        self._usage.most_memory_bytes = self._usage.memory_bytes

    def read(self) -> Usage | None:
        """What was taken since the meter was made; None when nobody of this machine is measured."""
        if any(server.routers for server in self._servers):
            self._begin_with(_routers(self._roots) - set(self._roots))
        if not self._roots:
            return None
        memory_bytes = 0
        for key, (taken_s, memory) in self._look():
            self._last[key] = taken_s
            memory_bytes += memory
        usage = self._usage
        # What a new process had taken when it was first seen, it took for us.
        usage.processor_s = sum(taken_s - self._before.get(key, 0.0) for key, taken_s in self._last.items())
        if memory_bytes:
            usage.memory_bytes = memory_bytes
        usage.most_memory_bytes = max(usage.most_memory_bytes, memory_bytes)
        return usage

    def _begin_with(self, pids: Iterable[int]) -> None:
        """Measure these from now on: what they have taken until now they took for others."""
        for pid in sorted(pids):
            self._roots.append(pid)
            self._usage.pids.append(pid)
            with contextlib.suppress(psutil.Error):
                self._usage.programs.append(f"{_name(psutil.Process(pid))} {pid}")
            for key, (taken_s, memory) in self._look([pid]):
                if key not in self._last:
                    self._before[key] = self._last[key] = taken_s
                    self._usage.memory_bytes += memory

    def _look(self, roots: Iterable[int] | None = None) -> Iterator[tuple[tuple[int, float], tuple[float, int]]]:
        """Each process, by its id and start, with the processor's seconds that it has taken and its memory."""
        seen: set[int] = set()
        for root in self._roots if roots is None else roots:
            for process in _family(root):
                with contextlib.suppress(psutil.Error):
                    if process.pid not in seen:
                        seen.add(process.pid)
                        taken = process.cpu_times()
                        yield (
                            (process.pid, process.create_time()),
                            (taken.user + taken.system, process.memory_info().rss),
                        )


def _family(pid: int) -> Iterable[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _pids(server: Server) -> set[int]:
    found = set(server.pids)
    for kind, address in (("tcp", server.tcp), ("udp", server.udp)):
        if address is not None:
            found |= set(_listening(kind, *address))
    if server.lock is not None:
        found |= _holders(Path(server.lock))
    if server.unix is not None:
        path = str(Path(server.unix).absolute())
        found |= {each.pid for each in _sockets("unix") if each.laddr == path and each.pid is not None}
    return found


def _holders(lock: Path) -> set[int]:
    """The processes that hold a lock of the file (Linux, proc_locks(5): kind, …, process, device and inode)."""
    with contextlib.suppress(OSError):
        inode = str(lock.stat().st_ino)
        held = (line.split() for line in Path("/proc/locks").read_text().splitlines())
        return {int(words[4]) for words in held if words[1] != "->" and words[5].rpartition(":")[2] == inode}
    return set()


def _routers(pids: Iterable[int]) -> set[int]:
    """Routers of ours at the other end of a connection of these processes, whichever of the two has connected."""
    known = set(pids)
    connections = [each for each in _sockets("tcp") if each.status == psutil.CONN_ESTABLISHED and each.raddr]
    ends = {(each.raddr, each.laddr) for each in connections if each.pid in known}
    others = {each.pid for each in connections if (each.laddr, each.raddr) in ends} - known - {None}
    return {pid for pid in others if _is_router(pid)}


def _is_router(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        words = psutil.Process(pid).cmdline()
        return any("kommutator" in word for word in words) and "route" in words
    return False


def _name(process: psutil.Process) -> str:
    """The program, or the command of ours."""
    words = process.cmdline()
    place = next((place for place, word in enumerate(words) if Path(word).name == "kommutator"), None)
    command = [] if place is None else words[place + 1 : place + 2]
    return " ".join(["kommutator", *command]) if command else process.name()


def _listening(kind: str, host: str, port: int) -> Iterator[int]:
    """The processes at a port, when its host is this machine."""
    try:
        hosts = {str(info[4][0]) for info in socket.getaddrinfo(host, port)}
    except OSError:
        return
    mine = {each.address for cards in psutil.net_if_addrs().values() for each in cards}
    if not any(each in mine or ipaddress.ip_address(each).is_loopback for each in hosts):
        return
    for each in _sockets(kind):
        local = each.laddr
        if each.pid is None or not local or local.port != port or (kind == "tcp" and each.status != psutil.CONN_LISTEN):
            continue
        if local.ip in hosts or ipaddress.ip_address(local.ip).is_unspecified:
            yield each.pid


def _sockets(kind: str) -> Iterator[Any]:
    """The sockets of a kind; those of other users' processes name no process."""
    with contextlib.suppress(psutil.Error, OSError):
        yield from psutil.net_connections(kind)

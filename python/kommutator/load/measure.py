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


class Meter:
    """Looks at processes from time to time; those that end keep what they took."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self._roots = sorted({pid for server in servers for pid in _pids(server)})
        self._before: dict[tuple[int, float], float] = {}
        self._last: dict[tuple[int, float], float] = {}
        self._usage = Usage(list(self._roots))
        for key, (taken_s, memory) in self._look():
            self._before[key] = self._last[key] = taken_s
            self._usage.memory_bytes += memory
        self._usage.most_memory_bytes = self._usage.memory_bytes

    def read(self) -> Usage | None:
        """What was taken since the meter was made; None when nobody of this machine is measured."""
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

    def _look(self) -> Iterator[tuple[tuple[int, float], tuple[float, int]]]:
        """Each process, by its id and start, with the processor's seconds that it has taken and its memory."""
        seen: set[int] = set()
        for root in self._roots:
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
    if server.unix is not None:
        path = str(Path(server.unix).absolute())
        found |= {each.pid for each in _sockets("unix") if each.laddr == path and each.pid is not None}
    return found


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

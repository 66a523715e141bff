"""The journal of calls that are decided at once, such as those of the SIP redirect: begun and ended in one go.

Their entries are put into the spool by the compiled part before the answer leaves, many by one write. What is made of them,
the ledger and what is told elsewhere, follows some milliseconds later, here; after a death it is made again from the spool,
by the same entries with the same identities. A spool is let go when all of that is on disk.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog
import trio

from kommutator.errors import BadEntry
from kommutator.routing.entries import Began, CallEntry, Ended, Turned, read
from kommutator.routing.ledger import Records
from kommutator.routing.spool import LineFile

_BATCH_MS = 8
_LOOK_MS = 100
_ASKED_AGAIN_MS = 64_000
_RETRY_S = 1.0
_PUT_ASIDE_AT = 32 * 1024 * 1024
_encoder = msgspec.json.Encoder()


class Listener(Protocol):
    """Who is told entries, such as the outgoing spool. An entry may be told again after a death."""

    def tell(self, lines: list[bytes]) -> None:
        """Entries of calls."""
        ...

    def keep(self) -> None:
        """Have the disk keep what was told. Blocks."""
        ...


class Writer(Protocol):
    """The compiled part; see `_engine.SipRedirect`."""

    def await_calls(self, longest_ms: int, gather_ms: int) -> None: ...
    def collected(self) -> tuple[bytes, bytes]: ...
    def retry(self) -> str | None: ...
    def spool_size(self) -> tuple[int, int]: ...
    def sync(self) -> None: ...
    def put_aside(self, aside: Path) -> None: ...


class Decisions:
    """The journal in a folder: `spool.jsonl` and `ledger.jsonl`. One process uses it at a time.

    Nothing raises when the disk takes nothing: lines wait in memory, an alarm is logged, and at the bound calls are answered no
    more.
    """

    def __init__(self, folder: Path, listener: Listener | None = None, put_aside_at: int = _PUT_ASIDE_AT) -> None:
        """Makes what an earlier process has left undone."""
        self.spool = folder / "spool.jsonl"
        """The file that the compiled part writes."""
        self.listener = listener
        self.recent: set[str] = set()
        """Calls of an earlier process that may still be asked about again (RFC 3261, timer B)."""
        self.troubled = False
        """Whether the disk takes nothing of the spool at this moment."""
        self._before = folder / "spool.before.jsonl"
        self._put_aside_at = put_aside_at
        self._log = structlog.get_logger().bind(file=str(self.spool))
        self._ledger = LineFile(folder / "ledger.jsonl")
        self._is_before = False
        self._in_ledger: set[str] = set()
        self._recover()

    async def run(self, writer: Writer) -> None:
        """Keep up with the compiled part, in a thread, until cancelled."""
        stopping = threading.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.to_thread.run_sync, self._keep_up, writer, stopping))
            try:
                await trio.sleep_forever()
            finally:
                stopping.set()

    def _keep_up(self, writer: Writer, stopping: threading.Event) -> None:
        retry_at = 0.0
        while not stopping.is_set():
            writer.await_calls(_LOOK_MS, _BATCH_MS)
            if not self._late or time.monotonic() >= retry_at:
                retry_at = time.monotonic() + _RETRY_S
                self._take(writer, self._told_in_loop)
                self._let_go(writer)

    def finish(self, writer: Writer) -> None:
        """Make and sync what is left, and close. Blocks."""
        self._take(writer, self._told)
        self._ledger.close()

    @property
    def _late(self) -> bool:
        return self.troubled or not self._ledger.flushed

    # --- inside

    def _take(self, writer: Writer, tell: Callable[[list[bytes]], None]) -> None:
        """Make of the new calls what is made of calls, and have the disk keep them."""
        if (trouble := writer.retry()) is not None and not self.troubled:
            self._log.critical("cannot be written; calls go on", alarm="spool", reason=trouble)
        elif trouble is None and self.troubled:
            self._log.warning("can be written again", alarm="spool")
        self.troubled = trouble is not None
        lines, ledger = writer.collected()
        if lines:
            tell(lines.splitlines())
        if ledger:
            self._ledger.append(ledger.removesuffix(b"\n"))
        elif not self._ledger.flushed:
            self._ledger.write()
        if lines or ledger:
            # The ledger need not be kept now: it is made again from the spool.
            try:
                writer.sync()
            except OSError as error:
                self._log.critical("cannot be synced; calls go on", alarm="spool", reason=str(error))

    def _told(self, lines: list[bytes]) -> None:
        if self.listener is not None:
            self.listener.tell(lines)

    def _told_in_loop(self, lines: list[bytes]) -> None:
        trio.from_thread.run_sync(self._told, lines)

    def _let_go(self, writer: Writer) -> None:
        """Let go the spool that was put aside, when all that is made of it is on disk; put the next aside when it is long."""
        if self._is_before:
            if self._ledger.flushed:
                self._ledger.sync()
                if self.listener is not None:
                    trio.from_thread.run_sync(self.listener.keep)
                with suppress(OSError):
                    self._before.unlink()
                self._is_before = False
        elif writer.spool_size()[0] > self._put_aside_at:
            try:
                # The next taking takes what it has beyond the last; then it can go.
                writer.put_aside(self._before)
                self._is_before = True
            except OSError as error:
                self._log.critical("the spool cannot be put aside; calls go on", alarm="spool", reason=str(error))

    def _recover(self) -> None:
        """Complete the ledger and tell again, from the spools of an earlier process, and let them go."""
        left = [LineFile(path) for path in (self._before, self.spool) if path.exists()]
        if not left:
            return
        for raw in self._ledger.read(2 * sum(file.size for file in left) + 1024 * 1024):
            with suppress(msgspec.DecodeError, KeyError, TypeError):
                self._in_ledger.add(msgspec.json.decode(raw)["call_id"])
        records = Records(self._write_line)
        since_ms = time.time_ns() // 1_000_000 - _ASKED_AGAIN_MS
        for file in left:
            self._fold(file.read(), records, since_ms)
        # A call whose end is missing was never answered: the machine died over it.
        unfinished = [(record.call_id, record.began_ms) for record in records.live.values()]
        self._fold((_encoder.encode(Ended(call, at, "failed", "ours")) for call, at in unfinished), records, since_ms)
        self._in_ledger.clear()
        self._ledger.sync()
        if self.listener is not None:
            self.listener.keep()
        for file in left:
            file.close()
            if self._ledger.flushed and not file.unread:
                with suppress(OSError):
                    file.path.unlink()

    def _fold(self, lines: Iterable[bytes], records: Records, since_ms: int) -> None:
        for raw in lines:
            try:
                entry = read(raw)
            except BadEntry as error:
                self._log.error("a line of the spool cannot be read", reason=str(error))
                continue
            records.take(entry)
            if isinstance(entry, Began) and entry.at >= since_ms:
                self.recent.add(entry.call)
            if self.listener is not None:
                self.listener.tell([raw])

    def _write_line(self, line: dict[str, Any]) -> None:
        if line["call_id"] not in self._in_ledger:
            self._ledger.append(_encoder.encode(line))


class Told:
    """Tells entries of calls to an outgoing spool, and what is made of each to others."""

    def __init__(
        self, append: Callable[[bytes], object], keep: Callable[[], None], on_entry: Callable[[CallEntry], None]
    ):
        self._append = append
        self._keep = keep
        self._on_entry = on_entry

    def tell(self, lines: list[bytes]) -> None:
        """Entries of calls."""
        for raw in lines:
            self._append(raw)
            entry = read(raw)
            if isinstance(entry, Began | Turned | Ended):
                self._on_entry(entry)

    def keep(self) -> None:
        """Have the disk keep what was told."""
        self._keep()

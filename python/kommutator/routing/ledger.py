"""The journal of calls: a spool of everything that happens, and a ledger of exactly one line a call.

The spool is what a restarted router learns from; the ledger is what the company reads. The line of a call is written
after the spool knows that it ended, and after a restart only if it is not there yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog
import trio

from kommutator.errors import BadEntry
from kommutator.routing.doings import CalledBack, Doing
from kommutator.routing.entries import Began, Ended, Kept, SpoolEntry, Turned, read
from kommutator.routing.record import CallRecord
from kommutator.routing.spool import LineFile
from kommutator.routing.turn import Event, Turn

_COMPACT_AT = 32 * 1024 * 1024
_encoder = msgspec.json.Encoder()


def read_spool(lines: Iterable[bytes], log: structlog.stdlib.BoundLogger) -> Iterator[tuple[bytes, SpoolEntry]]:
    """The entries of a spool, each with its line; a line that is none is logged, and passed over."""
    for raw in lines:
        try:
            yield raw, read(raw)
        except BadEntry as error:
            log.error("a line of the spool cannot be read", reason=str(error))


def calls_of(ledger: LineFile, spool_bytes: int, log: structlog.stdlib.BoundLogger) -> set[str]:
    """The calls that the ledger's last part has: as much as a spool of so many bytes can have led to.

    The lines of the calls that ended since a spool began are no longer than that spool, give or take their frames.
    """
    calls = set()
    for raw in ledger.read(2 * spool_bytes + 1024 * 1024):
        try:
            calls.add(msgspec.json.decode(raw)["call_id"])
        except (msgspec.DecodeError, KeyError, TypeError):
            log.error("a line of the ledger cannot be read", line=raw[:120].decode(errors="replace"))
    return calls


class Records:
    """The calls that go on. `on_line` gets each call's ledger line."""

    def __init__(self, on_line: Callable[[dict[str, Any]], None]) -> None:
        self._on_line = on_line
        self.live: dict[str, CallRecord] = {}
        self.backs: dict[str, CalledBack] = {}
        """The calls back that are not over."""

    def began(self, call_id: str, did: str, caller: str | None, at_ms: int) -> bool:
        """A call arrived; False when it is known already."""
        if call_id in self.live:
            return False
        self.live[call_id] = CallRecord(call_id, did, caller, at_ms)
        return True

    def turned(self, call_id: str, event: Event | None, turn: Turn) -> None:
        """A turn was decided."""
        record = self.live.get(call_id)
        if record is not None:
            record.take(event, turn)

    def ended(self, call_id: str, at_ms: int, disposition: str, fault: str) -> bool:
        """The call is over; False when it is not known."""
        record = self.live.pop(call_id, None)
        if record is None:
            return False
        self._on_line(record.line(at_ms, disposition, fault))
        return True

    def did(self, doing: Doing) -> None:
        """Somebody did something."""
        if isinstance(doing, CalledBack):
            if doing.state == "over":
                self.backs.pop(doing.call, None)
            else:
                self.backs[doing.call] = doing

    def take(self, entry: SpoolEntry) -> None:
        """What an entry of the spool says happened."""
        match entry:
            case Began(call, did, caller, at):
                self.began(call, did, caller, at)
            case Turned(call, _, event, turn):
                self.turned(call, event, turn)
            case Ended(call, at, disposition, fault):
                self.ended(call, at, disposition, fault)
            case Kept(record):
                self.live[record.call_id] = record
            case CalledBack():
                self.did(entry)

    def unfinished(self) -> Mapping[str, Turn | None]:
        """The last turns of the calls that go on; None where the router died before the first."""
        return {call_id: record.turn for call_id, record in self.live.items()}


class MemoryJournal:
    """A journal that lives as long as the process: for simulation and for what-if."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        """The ledger."""
        self.turns: dict[str, list[tuple[Event | None, Turn]]] = {}
        """Every turn of every call, with the event that led to it."""
        self.doings: list[Doing] = []
        """What people did with answered calls."""
        self._records = Records(self.lines.append)

    def began(self, call_id: str, did: str, caller: str | None, at_ms: int) -> None:
        """A call arrived."""
        self._records.began(call_id, did, caller, at_ms)

    def turned(self, call_id: str, _at_ms: int, event: Event | None, turn: Turn, /) -> None:
        """A turn was decided."""
        self._records.turned(call_id, event, turn)
        self.turns.setdefault(call_id, []).append((event, turn))

    def ended(self, call_id: str, at_ms: int, disposition: str, fault: str) -> None:
        """The call is over."""
        self._records.ended(call_id, at_ms, disposition, fault)

    def did(self, doing: Doing) -> None:
        """Somebody did something."""
        self._records.did(doing)
        self.doings.append(doing)

    def unfinished(self) -> Mapping[str, Turn | None]:
        """The calls that go on, with their last turn."""
        return self._records.unfinished()

    def calls_back(self) -> Mapping[str, CalledBack]:
        """The calls back that are not over."""
        return self._records.backs


class FileJournal:
    """The journal in two files of one folder: `spool.jsonl` and `ledger.jsonl`.

    Nothing raises when the disk is full, read-only or away: see `LineFile`.
    """

    def __init__(self, folder: Path, compact_at: int = _COMPACT_AT) -> None:
        self._log = structlog.get_logger()
        self._spool = LineFile(folder / "spool.jsonl")
        self._ledger = LineFile(folder / "ledger.jsonl")
        self._compact_at = self._compact_next = compact_at
        self._in_ledger: set[str] = set()
        self._records = Records(self._write_line)
        self._recover()

    @property
    def troubled(self) -> bool:
        """Whether the disk takes nothing at this moment."""
        return self._spool.troubled or self._ledger.troubled

    @property
    def waiting_bytes(self) -> int:
        """What waits in memory for the disk."""
        return self._spool.waiting_bytes + self._ledger.waiting_bytes

    @property
    def lost(self) -> int:
        """How many lines were dropped at the bound since this process began."""
        return self._spool.lost + self._ledger.lost

    async def run(self) -> None:
        """Keep the disk up until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._spool.run)
            nursery.start_soon(self._ledger.run)

    def close(self) -> None:
        """Write and sync what is left."""
        self._spool.close()
        self._ledger.close()

    def began(self, call_id: str, did: str, caller: str | None, at_ms: int) -> None:
        """A call arrived."""
        if self._records.began(call_id, did, caller, at_ms):
            self._put(Began(call_id, did, caller, at_ms))

    def turned(self, call_id: str, at_ms: int, event: Event | None, turn: Turn, /) -> None:
        """A turn was decided."""
        self._put(Turned(call_id, at_ms, dict(event) if event is not None else None, turn))
        self._records.turned(call_id, event, turn)

    def ended(self, call_id: str, at_ms: int, disposition: str, fault: str) -> None:
        """The call is over."""
        if call_id in self._records.live:
            self._put(Ended(call_id, at_ms, disposition, fault))
            self._records.ended(call_id, at_ms, disposition, fault)
            self._compact_when_due()

    def did(self, doing: Doing) -> None:
        """Somebody did something. Of that only calls back are needed here: what else must outlive a router is kept with
        the channel.
        """
        if isinstance(doing, CalledBack):
            self._put(doing)
            self._records.did(doing)

    def unfinished(self) -> Mapping[str, Turn | None]:
        """The calls that go on, with their last turn."""
        return self._records.unfinished()

    def callers(self) -> Mapping[str, tuple[str, int]]:
        """Who calls, of the calls that go on and tell it, and since when: milliseconds of UTC."""
        live = self._records.live.values()
        return {record.call_id: (record.caller, record.began_ms) for record in live if record.caller is not None}

    def calls_back(self) -> Mapping[str, CalledBack]:
        """The calls back that are not over."""
        return self._records.backs

    # --- inside

    def _put(self, entry: SpoolEntry) -> None:
        self._spool.append(_encoder.encode(entry))

    def _write_line(self, line: dict[str, Any]) -> None:
        if line["call_id"] not in self._in_ledger:
            self._ledger.append(_encoder.encode(line))

    def _recover(self) -> None:
        """Learn from the spool which calls go on; complete the ledger; begin a compact spool."""
        lines = self._spool.read()
        self._in_ledger = calls_of(self._ledger, self._spool.size, self._log)
        for _, entry in read_spool(lines, self._log):
            self._records.take(entry)
        for call_id in self._in_ledger & self._records.live.keys():
            del self._records.live[call_id]
        self._in_ledger.clear()
        if lines:
            self._compact()

    def _compact_when_due(self) -> None:
        if self._spool.size > self._compact_next:
            self._compact()

    def _compact(self) -> None:
        """Keep only the calls that go on. The ledger is on disk first."""
        if not self._ledger.flushed or self._spool.unread:
            self._compact_next = 2 * self._spool.size
            return
        try:
            self._ledger.sync()
            kept: list[SpoolEntry] = [Kept(record) for record in self._records.live.values()]
            self._spool.replace([_encoder.encode(entry) for entry in (*kept, *self._records.backs.values())])
        except OSError as error:
            self._log.critical("the spool cannot be compacted; calls go on", alarm="spool", reason=str(error))
        self._compact_next = max(self._compact_at, 2 * self._spool.size)

"""What an earlier process has left undone of the calls in a folder: lines of the ledger, and calls that go on."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import structlog

from kommutator.routing.entries import Began, Ended, Kept
from kommutator.routing.ledger import Records, calls_of, read_spool
from kommutator.routing.spool import LineFile

_encoder = msgspec.json.Encoder()


class Recovered:
    """The spools `spool.before.jsonl` and `spool.jsonl` of a folder, folded; a torn last line is cut off."""

    def __init__(self, folder: Path) -> None:
        self.entries: list[bytes] = []
        """Every entry that is told elsewhere."""
        self.ledger: list[bytes] = []
        """Lines that the ledger lacks."""
        self.began: dict[str, int] = {}
        """When each call began, by the clock of who asked, milliseconds."""
        self.over: list[str] = []
        """Calls that have ended."""
        self._spool = folder / "spool.jsonl"
        paths = (folder / "spool.before.jsonl", self._spool)
        self._files = [LineFile(path) for path in paths if path.exists()]
        self._log = structlog.get_logger().bind(file=str(self._spool))
        self._in_ledger: set[str] = set()
        self._records = Records(self._line)
        ledger = LineFile(folder / "ledger.jsonl")
        if self._files:
            self._in_ledger = calls_of(ledger, sum(file.size for file in self._files), self._log)
            for file in self._files:
                self._fold(file.read())
            for call_id in self._in_ledger & self._records.live.keys():
                del self._records.live[call_id]
        ledger.close()

    def live(self) -> list[bytes]:
        """The calls that go on: `CallRecord`s as JSON."""
        return [_encoder.encode(record) for record in self._records.live.values()]

    def end_all(self) -> None:
        """End what goes on as failed by us."""
        ended = [Ended(record.call_id, record.began_ms, "failed", "ours") for record in self._records.live.values()]
        self._fold(map(_encoder.encode, ended))

    def let_go(self) -> None:
        """All that is made of the spools is on disk: let them go, but for the calls that go on."""
        if any(file.unread for file in self._files):
            return
        kept = [_encoder.encode(Kept(record)) for record in self._records.live.values()]
        if kept and all(file.path != self._spool for file in self._files):
            self._files.append(LineFile(self._spool))
        # Where the calls that go on cannot be kept, the files stay as they are: the one put aside may have what the other lacks.
        with suppress(OSError):
            for file in reversed(self._files):
                if kept and file.path == self._spool:
                    file.replace(kept)
                else:
                    file.path.unlink()

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def _fold(self, lines: Iterable[bytes]) -> None:
        for raw, entry in read_spool(lines, self._log):
            self._records.take(entry)
            if isinstance(entry, Began):
                self.began[entry.call] = entry.at
            elif isinstance(entry, Ended):
                self.over.append(entry.call)
            if not isinstance(entry, Kept):
                self.entries.append(raw)

    def _line(self, line: dict[str, Any]) -> None:
        if line["call_id"] not in self._in_ledger:
            self.ledger.append(_encoder.encode(line) + b"\n")

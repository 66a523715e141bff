"""What a router keeps in memory of each call that goes on: `python -m bench.held_calls CALLS` prints it as JSON.

The calls are those of routing queries, told by the codec as a server's are, in a journal on disk: a record for the ledger, and
the last turn, which another router's question may need.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Final

import orjson

from bench.machine import ROOT
from kommutator import Engine
from kommutator.query.journal import QueryJournal
from kommutator.routing.ledger import FileJournal
from kommutator.routing.turn import Turn

COMPANY: Final = ROOT / "tests/scenarios/2-list-and-menu/company.yaml"
DID: Final = "+74951112233"
NOW_MS: Final = 1_795_165_200_000
TOGETHER: Final = 10_000


class StillClock:
    """A clock that stands."""

    def now_ms(self) -> int:
        """The same moment."""
        return NOW_MS


def main(calls: int) -> None:
    """Begins calls, and prints how much the process grew for each."""
    engine = Engine.load(COMPANY)
    with tempfile.TemporaryDirectory() as folder:
        journal = FileJournal(Path(folder))
        held = QueryJournal(journal, lambda: engine, StillClock())
        begin(engine, held, 0, TOGETHER)
        before = resident()
        for first in range(TOGETHER, TOGETHER + calls, TOGETHER):
            begin(engine, held, first, TOGETHER)
        journal.close()
        print(orjson.dumps({"calls": calls, "bytes_each": round((resident() - before) / calls)}).decode())


def begin(engine: Engine, held: QueryJournal, first: int, count: int) -> None:
    """Lets calls arrive."""
    callers = [f"+7916{at:07}" for at in range(first, first + count)]
    turns = engine.arrive_many([(f"query-{caller}", DID, caller, NOW_MS) for caller in callers])
    for caller, turn in zip(callers, turns, strict=True):
        held.turned(f"query-{caller}", DID, caller, NOW_MS, None, Turn.of(turn))


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(int(sys.argv[1]))

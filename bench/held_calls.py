"""What a router keeps in memory of each call that goes on: `python -m bench.held_calls CALLS` prints it as JSON.

The calls are those of routing queries, as a server takes them, in a journal on disk: a record for the ledger, and the last turn,
which another router's question may need.
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
from kommutator._engine import HttpConnection, HttpService
from kommutator.query.journal import QueryJournal

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
        journal = QueryJournal(Path(folder), StillClock())
        service = HttpService(
            ids="", tokens=(), looks_up=False, most_items=TOGETHER, head_limit=1 << 10, body_limit=1 << 24,
            journal=journal.spool,
        )  # fmt: skip
        service.engine = engine
        connection = HttpConnection(service)
        begin(connection, 0, TOGETHER)
        before = resident()
        for first in range(TOGETHER, TOGETHER + calls, TOGETHER):
            begin(connection, first, TOGETHER)
        assert journal.live == TOGETHER + calls
        journal.close()
        print(orjson.dumps({"calls": calls, "bytes_each": round((resident() - before) / calls)}).decode())


def begin(connection: HttpConnection, first: int, count: int) -> None:
    """Lets calls arrive."""
    callers = [f"+7916{at:07}" for at in range(first, first + count)]
    body = orjson.dumps([{"call_id": f"query-{caller}", "did": DID, "caller": caller} for caller in callers])
    head = b"POST /v1/calls/batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    replies = connection.receive(head % len(body) + body, NOW_MS)
    assert replies.startswith(b"HTTP/1.1 200 "), replies[:200]


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main(int(sys.argv[1]))

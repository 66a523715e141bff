"""What a router keeps in memory of each call that goes on, and the longest that one of its queries takes while the journal
writes all of them anew: `python -m bench.held_calls CALLS` prints it as JSON.

The calls are those of routing queries, as a server takes them, in a journal on disk: a record for the ledger, and the last turn,
which another router's question may need.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
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
        journal = QueryJournal(Path(folder), StillClock(), put_aside_at=1)
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
        each = round((resident() - before) / calls)
        longest_ms = 1e3 * max(while_written_anew(journal, lambda: begin(connection, 0, 1)))
        assert journal.live == TOGETHER + calls
        journal.close()
        print(orjson.dumps({"calls": calls, "bytes_each": each, "longest_ms": round(longest_ms, 3)}).decode())


def while_written_anew(journal: QueryJournal, query: Callable[[], None]) -> Iterator[float]:
    """What queries take, one after another, until the journal has put its spool aside and let it go; seconds."""
    ended = threading.Event()

    def keep_up() -> None:
        while not ended.is_set():
            _, trouble, spent = journal.spool.keep_up(1_000, 9)
            assert trouble is None
            if spent:
                journal.spool.let_go()
                ended.set()

    keeping = threading.Thread(target=keep_up)
    keeping.start()
    while not ended.is_set():
        began = time.perf_counter()
        query()
        yield time.perf_counter() - began
    keeping.join()


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

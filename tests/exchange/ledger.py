"""A ledger in SQLite: what the ledger writer writes to in these tests. As a program, a desk that does nothing else.

python -m tests.exchange.ledger FOLDER_OF_NATS FILE
"""

import asyncio
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kommutator.exchange.embedded import read_address
from kommutator.exchange.messages import ToldEntry, Turned
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.ledger_writer import LedgerWriter
from kommutator.exchange.settings import ExchangeSettings


class SqliteLedger:
    """Writes what has the same call, kind and sequence once; counts how often it came."""

    def __init__(self, path: Path) -> None:
        self._base = sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
        self._base.execute("pragma journal_mode=wal")
        self._base.execute(
            "create table if not exists entry (place integer primary key, call text, kind text, sequence integer,"
            " router text, number integer, at integer, came integer default 1, unique (call, kind, sequence))"
        )

    async def write(self, entries: Sequence[ToldEntry]) -> None:
        """One transaction."""
        self._base.execute("begin immediate")
        for told in entries:
            entry = told.entry
            kind = str(entry.__struct_config__.tag)
            sequence = entry.turn.sequence if isinstance(entry, Turned) else 0
            at = msgspec.to_builtins(entry).get("at", 0)
            self._base.execute(
                "insert into entry (call, kind, sequence, router, number, at) values (?, ?, ?, ?, ?, ?)"
                " on conflict do update set came = came + 1",
                (entry.call, kind, sequence, told.router, told.number, at),
            )
        self._base.execute("commit")

    def entries(self) -> list[tuple[str, str, int, int]]:
        """Call, kind, sequence and how often it came, in the order of writing."""
        return self._base.execute("select call, kind, sequence, came from entry order by place").fetchall()

    def count(self) -> int:
        """How many there are."""
        found: tuple[int] = self._base.execute("select count(*) from entry").fetchone()
        return found[0]

    def close(self) -> None:
        """Close."""
        self._base.close()


async def main(folder: Path, path: Path) -> None:
    address = read_address(folder)
    assert address is not None
    exchange = Exchange(
        ExchangeSettings((address.url,), address.user, address.password, request_s=1.0, retry_s=(0.02, 0.1)), "desk"
    )
    LedgerWriter(exchange, SqliteLedger(path))
    await exchange.run()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))

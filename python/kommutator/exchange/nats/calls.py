"""Calls as they happen, for desks: the cards on the screens of those whose phones ring."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from kommutator.errors import ExchangeMessageBad
from kommutator.exchange.messages import CALLS, CallBatch, ToldEntry, decode, read_entry
from kommutator.exchange.nats.client import Connection, Exchange
from kommutator.exchange.nats.ledger_writer import written


class CallFeed:
    """Attached to the exchange, it tells every entry, each call's in order, without gaps over connections: from now on, or
    with `from_ledger` from where the ledger ends.

    Every desk hears all of them, besides the ledger writer and sooner. `on_gap` is called when entries may have been
    missed after all, and with `from_ledger` also when it begins: whoever keeps something by them reads the ledger then,
    which has every entry that is not told.
    """

    def __init__(
        self,
        exchange: Exchange,
        on_entry: Callable[[ToldEntry], None],
        on_gap: Callable[[], None],
        *,
        from_ledger: bool = False,
    ) -> None:
        self._on_entry = on_entry
        self._on_gap = on_gap
        self._from_ledger = from_ledger
        self._after: int | None = None
        self._log = structlog.get_logger()
        exchange.attach("following calls", self._follow)

    async def _follow(self, connection: Connection) -> None:
        first, last = await connection.last_sequence(CALLS)
        begins, gap = self._after is None, self._after is not None and (last < self._after or first > self._after + 1)
        if begins or gap:
            # Asked before the ledger is read, which may have more by then: an entry told twice is better than none.
            self._after = max(await written(connection), first - 1) if self._from_ledger else last
        assert self._after is not None
        if gap or (begins and self._from_ledger):
            self._on_gap()
        async for stored in connection.follow(CALLS, "kt.calls.*", self._after):
            self._tell(stored.payload)
            self._after = stored.sequence

    def _tell(self, payload: bytes) -> None:
        try:
            batch = decode(payload, CallBatch)
        except ExchangeMessageBad as error:
            self._log.error("a batch of entries cannot be read", reason=str(error))
            return
        for position, raw in enumerate(batch.entries):
            try:
                told = ToldEntry(batch.router, batch.pbx, batch.first + position, read_entry(raw))
            except ExchangeMessageBad as error:
                # A newer router may tell what this desk does not know; what it does know comes all the same.
                self._log.error("an entry of a call cannot be read", reason=str(error))
            else:
                self._on_entry(told)

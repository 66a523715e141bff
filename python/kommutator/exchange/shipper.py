"""The shipper: a router's outgoing spool into the durable stream of calls, in order, each entry once.

One message is under way at a time. It carries many entries when many wait, names the number of the first, and is taken
by the stream only after the last message of this router that the stream has: a message that came through although its
acknowledgement was lost is therefore not taken twice, and what is in doubt is asked of the stream itself.
"""

from __future__ import annotations

import msgspec
import structlog
import trio

from kommutator.errors import ExchangeError
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.messages import CALLS, CallBatch, calls_subject, decode, encode
from kommutator.exchange.outgoing import Outgoing, OutgoingSpool

_PAUSES_S = (0.05, 2.0)
_SETTLES_S = 5.0
"""Of a router that has just begun, so long nobody is told that the exchange is not reached yet."""
_LONGEST_ENTRY = 900 * 1024
"""NATS takes messages of at most 1 MiB."""


class Shipper:
    """Ships one spool under the router's name. `pbx` is told with every message."""

    def __init__(self, bridge: Bridge, spool: OutgoingSpool, pbx: str = "") -> None:
        self._bridge = bridge
        self._spool = spool
        self._pbx = pbx
        self._subject = calls_subject(bridge.name)
        self._last_sequence: int | None = None
        """Of this router's last message in the stream; None: it is to be asked."""
        self._log = structlog.get_logger().bind(router=bridge.name)

    async def run(self) -> None:
        """Ship until cancelled."""
        pause_s, told = _PAUSES_S[0], False
        begun, settled = trio.current_time(), False
        while True:
            try:
                if self._last_sequence is None:
                    await self._ask_stream()
                    settled = True
                outgoing = self._spool.batch()
                if outgoing is None:
                    await self._spool.more()
                    continue
                await self._ship(outgoing)
                if told:
                    self._log.info("calls are told to the exchange again", waiting=self._spool.waiting_entries)
                pause_s, told = _PAUSES_S[0], False
            except ExchangeError as error:
                self._last_sequence = None
                settled = settled or trio.current_time() - begun >= _SETTLES_S
                if settled and not told:
                    waiting = self._spool.waiting_entries
                    self._log.error(
                        "calls cannot be told; they are kept", alarm="spool", reason=str(error), waiting=waiting
                    )
                    told = True
                await trio.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSES_S[1])

    async def _ask_stream(self) -> None:
        """Learn what the stream has of this router's."""
        seconds = self._bridge.settings.request_s
        last = await self._bridge.call(lambda connection: connection.last(CALLS, self._subject), seconds)
        if last is not None:
            self._note(decode(last.payload, CallBatch))
        self._last_sequence = 0 if last is None else last.sequence

    def _note(self, batch: CallBatch) -> None:
        """The stream has this batch."""
        if batch.spool == self._spool.spool:
            self._spool.acknowledge(batch.first + len(batch.entries) - 1)

    async def _ship(self, outgoing: Outgoing) -> None:
        if len(outgoing.entries) == 1 and len(outgoing.entries[0]) > _LONGEST_ENTRY:
            self._log.critical("an entry is too long to be told; it is dropped", alarm="spool", number=outgoing.first)
            self._spool.acknowledge(outgoing.first)
            return
        entries = tuple(msgspec.Raw(entry) for entry in outgoing.entries)
        payload = encode(CallBatch(self._bridge.name, self._spool.spool, outgoing.first, entries, self._pbx))
        expected = self._last_sequence
        seconds = self._bridge.settings.request_s
        self._last_sequence = await self._bridge.call(
            lambda connection: connection.append(self._subject, payload, expected, seconds), seconds
        )
        self._spool.acknowledge(outgoing.last)

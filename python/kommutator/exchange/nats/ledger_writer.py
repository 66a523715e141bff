"""The ledger writer: the durable stream of calls into whatever keeps the ledger.

Several desks may run one; the stream hands out one message at a time among them all, so that entries are written in the
order in which each router told them, whoever dies in between. A message is acknowledged after it was written: what is
written twice must be recognised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, Protocol

import msgspec
import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api

from kommutator.errors import BadEntry, ExchangeError, ExchangeMessageBad
from kommutator.exchange.messages import CALLS, CallBatch, ToldEntry, decode, read_entry, refused_subject
from kommutator.exchange.nats.client import Connection, Exchange

_DURABLE: Final = "ledger"
_ACK_WAIT_S: Final = 6.0
_STILL_AT_IT_S: Final = 2.0
_POLL_S: Final = 5.0
_PAUSES_S: Final = (0.1, 5.0)
_PURGE_EVERY_S: Final = 5.0
_KEEP_MESSAGES: Final = 10_000
"""So many written messages stay in the stream, for whoever follows calls."""


class Writer(Protocol):
    """Where the ledger is."""

    async def write(self, entries: Sequence[ToldEntry]) -> None:
        """Write all of them in order, in one transaction.

        Entries come again, after a crash of ours or theirs, and from another router that took a call over; what has the
        same call and the same sequence (`began` and `ended`: the same call) is written once, and the first stands.
        Raises `BadEntry` when it will never be able to write these; whatever else it raises is tried again.
        """
        ...


class LedgerWriter:
    """Attached to the exchange, it writes whenever there is a connection."""

    def __init__(self, exchange: Exchange, writer: Writer) -> None:
        self._writer = writer
        self._log = structlog.get_logger()
        self.written = 0
        """Entries written since this process began."""
        self.refused = 0
        """Entries put aside since this process began."""
        exchange.attach("ledger writer", self._work)

    async def _work(self, connection: Connection) -> None:
        try:
            async with asyncio.timeout(_POLL_S):
                subscription = await _subscribed(connection.jetstream)
        except (nats.errors.Error, TimeoutError) as error:
            raise ExchangeError(f"the ledger's place in the stream cannot be had: {error}") from error
        async with asyncio.TaskGroup() as tasks:
            purging = tasks.create_task(self._purge(connection))
            try:
                while not connection.lost.is_set():
                    message = await _next(subscription)
                    if message is not None:
                        await self._take(connection, message)
            finally:
                purging.cancel()

    async def _take(self, connection: Connection, message: Msg) -> None:
        """Write one message, however long the ledger cannot be written; the stream is told that we are still at it."""
        entries = await self._read(connection, message.data)
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(_still_at_it(message))
            try:
                await self._write(connection, entries)
            finally:
                telling.cancel()
        with suppress(nats.errors.Error, OSError):
            # An acknowledgement that is lost brings the message again, and nothing is written twice.
            await message.ack()

    async def _write(self, connection: Connection, entries: Sequence[ToldEntry]) -> None:
        pause_s = _PAUSES_S[0]
        while True:
            try:
                await self._writer.write(entries)
                self.written += len(entries)
                return
            except BadEntry as error:
                if len(entries) == 1:
                    await self._refuse(connection, entries[0], error)
                    return
                # The bad ones are found by halves: one in a batch of 512 costs 18 transactions, not 512.
                half = len(entries) // 2
                await self._write(connection, entries[:half])
                await self._write(connection, entries[half:])
                return
            except Exception as error:
                self._log.exception(
                    "the ledger cannot be written; it is tried again", alarm="ledger", reason=repr(error)
                )
                if connection.lost.is_set():
                    raise ExchangeError("the connection was lost before the ledger was written") from error
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _PAUSES_S[1])

    async def _read(self, connection: Connection, payload: bytes) -> list[ToldEntry]:
        try:
            batch = decode(payload, CallBatch)
        except ExchangeMessageBad as error:
            self._log.critical("a message of the stream of calls cannot be read", alarm="ledger", reason=str(error))
            await connection.append(refused_subject("unknown"), payload)
            return []
        entries: list[ToldEntry] = []
        for position, raw in enumerate(batch.entries):
            try:
                entries.append(ToldEntry(batch.router, batch.pbx, batch.first + position, read_entry(raw)))
            except ExchangeMessageBad as error:
                self.refused += 1
                self._log.critical(
                    "an entry of a call cannot be read", alarm="ledger", router=batch.router, reason=str(error)
                )
                await connection.append(refused_subject(batch.router), bytes(raw))
        return entries

    async def _refuse(self, connection: Connection, entry: ToldEntry, error: BadEntry) -> None:
        self.refused += 1
        self._log.critical("the ledger refuses an entry", alarm="ledger", call=entry.entry.call, reason=str(error))
        await connection.append(refused_subject(entry.router), msgspec.json.encode(entry))

    async def _purge(self, connection: Connection) -> None:
        """Let the stream forget what was written long ago, but not the last message of any router."""
        while True:
            await asyncio.sleep(_PURGE_EVERY_S)
            try:
                async with asyncio.timeout(_PURGE_EVERY_S):
                    await purge_written(connection.jetstream, _KEEP_MESSAGES)
            except (nats.errors.Error, TimeoutError, OSError) as error:
                self._log.warning("the stream of calls could not be purged", reason=str(error))


async def lag(connection: Connection) -> int:
    """How many messages of the stream have not been written yet. Raises `ExchangeError`."""
    try:
        async with asyncio.timeout(_POLL_S):
            info = await connection.jetstream.consumer_info(CALLS, _DURABLE)
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise ExchangeError(f"the ledger's place in the stream cannot be had: {error}") from error
    return (info.num_pending or 0) + (info.num_ack_pending or 0)


async def has_written(connection: Connection, message: int) -> bool:
    """Whether this message of the stream is in the ledger with all before it, whatever has come since. Raises
    `ExchangeError`."""
    return await written(connection) >= message or await lag(connection) == 0


async def written(connection: Connection) -> int:
    """The last message of the stream that is in the ledger with all before it; 0: none is. Raises `ExchangeError`."""
    try:
        async with asyncio.timeout(_POLL_S):
            floor = (await connection.jetstream.consumer_info(CALLS, _DURABLE)).ack_floor
    except nats.js.errors.NotFoundError:
        return 0
    except (nats.errors.Error, TimeoutError, OSError) as error:
        raise ExchangeError(f"the ledger's place in the stream cannot be had: {error}") from error
    return 0 if floor is None else floor.stream_seq


async def purge_written(streams: JetStreamContext, keep: int) -> None:
    """Purge what the ledger writer has acknowledged, but for the last message of each router, by which it knows what it
    has told, and the last `keep` in all. A stream more than half full keeps only the former.
    """
    floor = (await streams.consumer_info(CALLS, _DURABLE)).ack_floor
    written = 0 if floor is None else floor.stream_seq
    stream = await streams.stream_info(CALLS, subjects_filter=">")
    if 2 * stream.state.bytes > (stream.config.max_bytes or 0) > 0:
        keep = 0
    before = written - keep + 1
    if before <= stream.state.first_seq:
        return
    for subject in stream.state.subjects or {}:
        last = await streams.get_last_msg(CALLS, subject)
        await streams.purge_stream(CALLS, seq=min(before, last.seq or 0), subject=subject)


async def _subscribed(streams: JetStreamContext) -> JetStreamContext.PullSubscription:
    config = api.ConsumerConfig(
        durable_name=_DURABLE,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=_ACK_WAIT_S,
        max_ack_pending=1,
        max_deliver=-1,
    )
    await streams.add_consumer(CALLS, config)
    return await streams.pull_subscribe_bind(durable=_DURABLE, stream=CALLS)


async def _next(subscription: JetStreamContext.PullSubscription) -> Msg | None:
    try:
        return (await subscription.fetch(1, timeout=_POLL_S))[0]
    except nats.errors.TimeoutError:
        return None
    except (nats.errors.Error, OSError) as error:
        raise ExchangeError(f"the stream of calls cannot be read: {error}") from error


async def _still_at_it(message: Msg) -> None:
    while True:
        await asyncio.sleep(_STILL_AT_IT_S)
        with suppress(nats.errors.Error, OSError):
            await message.in_progress()

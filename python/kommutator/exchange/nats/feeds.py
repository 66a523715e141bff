"""What lives on a connection and feeds trio: requests, keys and streams, put where the bridge takes them from."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from kommutator.exchange.messages import CHANGES, CHANGES_SUBJECTS, TablesMade
from kommutator.exchange.nats.client import Connection, Stored
from kommutator.exchange.nats.tables import made_last

_T_contra = TypeVar("_T_contra", contravariant=True)


class Sink(Protocol[_T_contra]):
    """A bounded queue towards trio."""

    def put(self, item: _T_contra) -> bool:
        """False when it is full."""
        ...


class KeysSink(Protocol):
    """Where keys of a bucket go."""

    def replace(self, values: Mapping[str, bytes]) -> None: ...
    def update(self, key: str, value: bytes | None) -> None: ...
    def lose(self) -> None: ...


class Asked:
    """A request that trio answers."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self._loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[bytes | None] = self._loop.create_future()

    def answer(self, payload: bytes | None) -> None:
        """From trio's thread; None gives no answer."""
        try:
            self._loop.call_soon_threadsafe(self._set, payload)
        except RuntimeError:
            return  # the helper thread has ended: nobody waits any more

    def _set(self, payload: bytes | None) -> None:
        if not self.answered.done():
            self.answered.set_result(payload)


async def serve_into(connection: Connection, subject: str, sink: Sink[Asked], at_once: int, seconds: float) -> None:
    """Hand requests over, and send their answers."""

    async def hand_over(payload: bytes) -> bytes | None:
        asked = Asked(payload)
        if not sink.put(asked):
            return None
        try:
            async with asyncio.timeout(seconds):
                return await asked.answered
        except TimeoutError:
            return None

    await connection.serve(subject, hand_over, at_once=at_once)


async def watch_into(connection: Connection, bucket: str, sink: KeysSink) -> None:
    """All keys of a bucket, then its changes; when the connection is lost, nothing is known of them."""
    known: dict[str, bytes] | None = {}
    try:
        async for update in connection.watch(bucket):
            if update is None:
                sink.replace(known or {})
                known = None
            elif known is None:
                sink.update(update.key, update.value)
            elif update.value is None:
                known.pop(update.key, None)
            else:
                known[update.key] = update.value
    finally:
        sink.lose()


async def follow_into(
    connection: Connection, stream: str, subject: str, sink: Sink[bytes | None], place: list[int]
) -> None:
    """Messages of a stream from where the last connection left it. `place` remembers that; None is put where there may
    be a gap."""
    first, last = await connection.last_sequence(stream)
    if not place:
        place.append(last)
    elif last < place[0] or first > place[0] + 1:
        place[0] = last
        await _put(sink, None)
    async for stored in connection.follow(stream, subject, place[0]):
        await _put(sink, stored.payload)
        place[0] = stored.sequence


@dataclass(frozen=True, slots=True)
class Following:
    """There is a connection, on which the stream of changes is followed."""

    after: int
    """The message after which it begins."""
    last: int
    """The last one that there is now."""
    gap: bool
    """What comes is not what follows after what came on the connection before."""
    made: TablesMade | None
    """The tables made last."""


async def follow_changes_into(connection: Connection, sink: Sink[Following | Stored], place: list[int]) -> None:
    """The changes from where the last connection left them, or, where `place` is empty, from what the tables made last have.
    `place` remembers what was handed over."""
    made = await made_last(connection)
    first, last = await connection.last_sequence(CHANGES)
    gap = False
    if not place:
        place.append(last if made is None else min(made.place, last))
    elif last < place[0]:
        place[0], gap = 0, True
    if place[0] < first - 1:
        place[0], gap = first - 1, True
    await _put(sink, Following(place[0], last, gap, made))
    async for stored in connection.follow(CHANGES, CHANGES_SUBJECTS, place[0]):
        await _put(sink, stored)
        place[0] = stored.sequence


async def _put(sink: Sink[_T_contra], item: _T_contra) -> None:
    while not sink.put(item):
        await asyncio.sleep(0.05)

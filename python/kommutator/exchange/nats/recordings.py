"""The desk's side of recordings: told of each, it reads the sound, keeps it, and says that it has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from kommutator.exchange.messages import RECORDINGS, recording_key
from kommutator.exchange.nats.client import Connection, Exchange

_FETCH_S = 30.0
_AGAIN_S = (1.0, 30.0)


class DeskRecordings:
    """Attached to the exchange, it calls `on_recording` with the key of every recording that is there and of each that
    comes, one after another, and again after a pause for as long as that fails.

    The same recording may be told more than once, and to several desks: `done` takes it away from all. A key is the
    `recording_key` of what the ledger calls the recording.
    """

    def __init__(self, exchange: Exchange, on_recording: Callable[[str], Awaitable[None]]) -> None:
        self._exchange = exchange
        self._on_recording = on_recording
        self._log = structlog.get_logger()
        exchange.attach("taking recordings", self._take)

    async def get(self, name: str) -> bytes | None:
        """The sound, a WAV file; None when there is none of that name, or it was taken already. Raises
        `ExchangeError`."""
        return await self._exchange.connection.fetch(RECORDINGS, recording_key(name), _FETCH_S)

    async def done(self, name: str) -> None:
        """The desk has kept it: it leaves the exchange. Raises `ExchangeError`."""
        await self._exchange.connection.remove(RECORDINGS, recording_key(name))

    async def _take(self, connection: Connection) -> None:
        told: dict[str, None] = {}
        more = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell(told, more))
            async for name in connection.watch_objects(RECORDINGS):
                if name is not None:
                    told[name] = None
                    more.set()

    async def _tell(self, told: dict[str, None], more: asyncio.Event) -> None:
        """The supervisor of taking each."""
        pause_s = _AGAIN_S[0]
        while True:
            await more.wait()
            more.clear()
            failed: list[str] = []
            while told:
                name = next(iter(told))
                del told[name]
                try:
                    await self._on_recording(name)
                except Exception as error:  # noqa: BLE001 - it is tried again
                    self._log.error("a recording could not be taken", recording=name, reason=repr(error))
                    failed.append(name)
            if failed:
                told.update(dict.fromkeys(failed))
                more.set()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _AGAIN_S[1])
            else:
                pause_s = _AGAIN_S[0]

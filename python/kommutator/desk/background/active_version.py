"""The active version as routers get it: the engine document, and the prompts with their sound."""

from __future__ import annotations

import asyncio

from kommutator.crm import versions
from kommutator.crm.pool import Database
from kommutator.exchange.bundle import bundle
from kommutator.exchange.messages import Activation, CompanyVersion


class ActiveVersion:
    """Reads it from the database; the last one read is kept, for versions never change."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last: tuple[int, CompanyVersion] | None = None

    async def read(self) -> tuple[Activation, CompanyVersion] | None:
        """Which version is active since when, and itself; None before the first activation.

        Three queries, and for a version that was not read last the work of unpacking it, in a thread. Raises
        `DatabaseUnreachable`.
        """
        async with self._database.transaction() as tx:
            number = await versions.active(tx)
            if number is None:
                return None
            latest = (await versions.activations(tx, limit=1))[0]
            activation = Activation(str(number), round(latest.at.timestamp() * 1000), latest.author)
            if self._last is not None and self._last[0] == number:
                return activation, self._last[1]
            document = await versions.engine_document(tx, number)
            files = await versions.files(tx, number)
        made = await asyncio.to_thread(_bundled, number, document, files)
        self._last = number, made
        return activation, made


def _bundled(number: int, document: bytes, files: dict[str, bytes]) -> CompanyVersion:
    with versions.unpacked(files) as company:
        return bundle(str(number), document, company.prompts)

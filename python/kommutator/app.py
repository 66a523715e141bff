"""The router put together: the only place that knows all of its parts."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import trio

from kommutator.company.reader import LoadedCompany
from kommutator.config import RouterConfig
from kommutator.engine import Engine
from kommutator.errors import DataFolderBusy, KommutatorError
from kommutator.pbx.ari.adapter import AriPbx, AriSettings
from kommutator.routing.ledger import FileJournal
from kommutator.routing.loop import Router
from kommutator.routing.ports import Clock, Lookups
from kommutator.routing.prompts import PromptLibrary
from kommutator.routing.turn import Event


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Milliseconds of UTC since the epoch."""
        return time.time_ns() // 1_000_000


class NoLookups:
    """Nobody can be asked: there is no desk."""

    async def owner(self, _caller: str, /) -> Event:
        """`failed`, always."""
        return {"type": "failed"}

    async def history(self, _caller: str, _days: int | None, /) -> Event:
        """`failed`, always."""
        return {"type": "failed"}


async def route(
    config: RouterConfig,
    company: LoadedCompany,
    *,
    engine: Engine | None = None,
    lookups: Lookups | None = None,
    clock: Clock | None = None,
) -> None:
    """Route calls until SIGTERM or SIGINT; the calls that go on then stay in the PBX, for the next router.

    `engine` is the company's, when it has been told facts already.

    Raises `CompanyInvalid`, `PromptNotMade`, `DataFolderBusy`, and `PbxRefused` when Asterisk refuses the credentials.
    """
    engine = engine or Engine.of(company)
    prompts = PromptLibrary(config.prompts, config.tts)
    await prompts.prepare(company.prompts)
    settings = AriSettings(
        url=config.ari_url,
        user=config.ari_user,
        password=config.ari_password,
        recordings=config.recordings,
        application=config.application,
        trunk=config.trunk,
        silence_s=config.silence_s,
    )
    pbx = AriPbx(settings, prompts, lines_of(company))
    with the_only_router(config.data):
        journal = FileJournal(config.data)
        failures: list[KommutatorError] = []
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_told_to_stop, nursery.cancel_scope)
                nursery.start_soon(journal.run)
                try:
                    await Router(engine, pbx, journal, lookups or NoLookups(), clock or SystemClock()).run()
                except* KommutatorError as group:
                    failures.extend(_leaves(group))
                    nursery.cancel_scope.cancel()
        finally:
            journal.close()
    if failures:
        raise failures[0]


def lines_of(company: LoadedCompany) -> dict[str, list[str]]:
    """Whose phone each endpoint is."""
    lines: dict[str, list[str]] = {}
    for employee, card in company.document["employees"].items():
        if card.get("endpoint"):
            lines.setdefault(card["endpoint"], []).append(employee)
    return lines


@contextmanager
def the_only_router(folder: Path) -> Iterator[None]:
    """Hold the data folder. Raises `DataFolderBusy`."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataFolderBusy(f"{folder}: another router works here") from error
        yield
    finally:
        os.close(lock)


async def _until_told_to_stop(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            structlog.get_logger().info("stopping", signal=signal.Signals(number).name)
            scope.cancel()
            return


def _leaves(group: BaseExceptionGroup[KommutatorError]) -> list[KommutatorError]:
    found: list[KommutatorError] = []
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            found.extend(_leaves(each))
        else:
            found.append(each)
    return found

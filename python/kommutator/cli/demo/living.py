"""The demo that lives: the processes of `up`, an empty record filled, and what a newcomer is told.

What the processes say goes to a file. On the screen is who serves, where to look and what to try, and after that only
what needs somebody's attention.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

import trio
from rich.console import Console
from rich.text import Text

from kommutator import readiness
from kommutator.app.desk import exchange_settings
from kommutator.cli.demo.filling import fill, tell_presence
from kommutator.cli.demo.guide import Guide
from kommutator.cli.demo.house import House, open_house
from kommutator.cli.inputs import EXIT_INVALID, EXIT_UNREADABLE, fail
from kommutator.cli.up import EXIT_BUSY, children_of
from kommutator.company import load
from kommutator.crm import embedded
from kommutator.crm.embedded import PostgresSettings
from kommutator.crm.pool import DatabaseSettings
from kommutator.errors import ConfigurationInvalid, DataFolderBusy, ExchangeError, KommutatorError
from kommutator.settings import FILE
from kommutator.supervisor import State, Supervisor

_NEEDED: Final = frozenset({"postgres", "nats", "desk"})
"""The desk, and what is embedded of the others."""
_LOG_BYTES: Final = 10 * 1024 * 1024
"""Of the file with what the processes say, and of the one before it."""


def live(folder: Path, port: int | None, language: str) -> None:
    """Run the demo until told to stop; what cannot be done ends the command."""
    try:
        house = open_house(folder, port)
        log = RotatingFileHandler(house.log, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8")
    except OSError as error:
        fail(f"{error.filename or folder}: {error.strerror}", EXIT_UNREADABLE)
    except ConfigurationInvalid as error:
        fail(f"{folder / FILE} cannot be used:\n{error}", EXIT_UNREADABLE)
    guide = Guide(Console(highlight=False, soft_wrap=True), house, language)
    demo = _Demo(house, guide, log)
    guide.begins()
    try:
        trio.run(demo.run)
    except DataFolderBusy as error:
        fail(str(error), EXIT_BUSY)
    finally:
        log.close()
    if demo.failure is not None:
        fail(f"the sample company cannot be loaded: {demo.failure}", EXIT_INVALID)
    guide.stopped()


class _Demo:
    """The supervisor's screen, and the record filled as soon as the desk serves."""

    def __init__(self, house: House, guide: Guide, log: RotatingFileHandler) -> None:
        self._house = house
        self._guide = guide
        self._log = log
        self._servers = trio.Event()
        """What is needed to fill the record serves."""
        self._needed = _NEEDED
        self._served: set[str] = set()
        self.failure: KommutatorError | None = None

    async def run(self) -> None:
        """Until told to stop. Raises `DataFolderBusy`."""
        house = self._house
        children = children_of(house.configuration, house.folder / FILE)
        self._needed = _NEEDED & {child.name for child in children}
        supervisor = Supervisor(children, house.configuration.data, self, house.environ)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._fill)
            try:
                await supervisor.run()
            except DataFolderBusy as error:
                busy = error
            else:
                nursery.cancel_scope.cancel()
                return
            nursery.cancel_scope.cancel()
        raise busy

    async def _fill(self) -> None:
        await self._servers.wait()
        try:
            if await trio.to_thread.run_sync(self._filled, abandon_on_cancel=True):
                self._guide.filled()
        except KommutatorError as error:
            self.failure = error
            os.kill(os.getpid(), signal.SIGTERM)  # the supervisor stops all in order

    def _filled(self) -> bool:
        configuration = self._house.configuration
        dsn = configuration.postgres.dsn
        address = embedded.address(
            PostgresSettings(configuration.data / "postgres", None if dsn is None else dsn.get_secret_value())
        )
        settings = DatabaseSettings(address, configuration.company_id, connections=2)
        return asyncio.run(self._fill_all(settings))

    async def _fill_all(self, settings: DatabaseSettings) -> bool:
        house = self._house
        if not await fill(settings, house.company, self._guide.words("comment")):
            return False
        exchange = exchange_settings(house.configuration)
        if exchange is not None:
            try:
                await tell_presence(exchange, load(house.company).document["employees"])
            except ExchangeError as error:
                self._note("demo", f"presence could not be told: {error}")  # unknown is taken for present
        return True

    # --- what the supervisor tells

    def line(self, name: str, line: bytes) -> None:
        """A child's line."""
        self._note(name, line.decode(errors="replace"))

    def changed(self, name: str, state: State, text: str, *, loud: bool = False) -> None:
        """A child's state."""
        self._note(name, ": ".join(filter(None, (state, text))))
        if loud:
            self._guide.alarm(f"{name}: {text}")
        elif state == "ready":
            if name not in self._served:
                self._served.add(name)
                self._guide.serves(name)
            if self._needed <= self._served:
                self._servers.set()

    def told(self, text: str, *, loud: bool = False) -> None:
        """The supervisor's line."""
        self._note("demo", text)
        if loud:
            self._guide.alarm(text)
        elif text.endswith(": stopping"):
            self._guide.stopping()

    def all_ready(self) -> None:
        """All serve."""
        self._note("demo", "all is ready")
        self._guide.all_there()
        readiness.ready(f"{len(self._served)} processes")

    def _note(self, name: str, text: str) -> None:
        self._log.handle(logging.makeLogRecord({"msg": f"{name:<12} │ {Text.from_ansi(text).plain}"}))

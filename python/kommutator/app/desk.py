"""The desk put together: the record, the exchange, what goes out, and the HTTP in front of them, in one process.

It begins with the database and waits for it as long as it takes; the exchange may come and go. Every part is a task that is
begun again when it fails. Told to stop, the desk takes nothing more, gives what is under way five seconds, and closes; what
was cut off is begun again by the next desk, from the stream, the outbox and the object store.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

import hypercorn.asyncio
import structlog
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework

from kommutator import processes, readiness
from kommutator.app.channels import channels, receipt_form, sender_of
from kommutator.app.phones import virtual_phones
from kommutator.app.process import SystemClock
from kommutator.configuration import Asterisk, Configuration
from kommutator.crm import embedded
from kommutator.crm.accounts import AccountSettings
from kommutator.crm.answers import Answers
from kommutator.crm.embedded import PostgresSettings
from kommutator.crm.ledger import Ledger
from kommutator.crm.migrate import migrate
from kommutator.crm.pool import Database, DatabaseSettings
from kommutator.desk import app
from kommutator.desk.background.active_version import ActiveVersion
from kommutator.desk.background.facts import FactChanges, Snapshots
from kommutator.desk.background.purge import Kept, Purge
from kommutator.desk.background.recordings import RecordingIntake
from kommutator.desk.background.tasks import Bell, Tasks
from kommutator.desk.background.topics import Topics
from kommutator.desk.live.hub import Hub
from kommutator.desk.metrics import DeskMetrics, MeasuredMemory
from kommutator.desk.services import Services
from kommutator.desk.softphone.servers import Softphones, SoftphoneServer
from kommutator.errors import AddressTaken, DatabaseUnreachable, DataFolderBusy, ExchangeError
from kommutator.exchange.embedded import read_address
from kommutator.exchange.nats.client import Connection, Exchange
from kommutator.exchange.nats.ledger_writer import LedgerWriter
from kommutator.exchange.nats.lookups import DeskLookups
from kommutator.exchange.nats.versions import DeskVersions
from kommutator.exchange.settings import ExchangeSettings
from kommutator.notices import CompanyHead, CrmOutbox, HttpReceipts, RecordingFolder
from kommutator.notify.sender import Sender
from kommutator.notify.sms_http import HttpSms

_GRACE_S: Final = 5.0
_PAUSES_S: Final = (0.2, 5.0)
_PROBE_EVERY_S: Final = 2.0
_PROBE_S: Final = 2.0
_LOOK_S: Final = 60.0


async def run(configuration: Configuration) -> None:
    """Run the desk until SIGTERM or SIGINT.

    Raises `DataFolderBusy` when another desk works in the data folder, `MigrationRefused` when the database is not this
    program's, and `SettingsInvalid`.
    """
    with _the_only_desk(configuration.data / "desk"):
        await _run(configuration)


async def _run(configuration: Configuration) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    dsn = _dsn(configuration)
    settings = DatabaseSettings(dsn, configuration.company_id, configuration.postgres.connections)
    while await _unless(stop, _migrated(dsn)):
        with suppress(DatabaseUnreachable):  # it went away between the two
            async with Database.opened(settings) as database:
                await _Desk(configuration, database).run(stop)
                return


class _Desk:
    """The parts, once the database is there."""

    def __init__(self, configuration: Configuration, database: Database) -> None:
        data = configuration.data
        folder = data / "desk" / "recordings"
        folder.mkdir(parents=True, exist_ok=True)
        self._listen = configuration.desk.listen
        self._database = database
        self._log = structlog.get_logger()
        self._tasks = Tasks()
        self._unreachable: str | None = None
        self._topics = Topics(database)
        self._exchange = Exchange(ExchangeSettings(()), "desk", lambda: exchange_settings(configuration))
        self._writer = LedgerWriter(self._exchange, Ledger(database))
        DeskLookups(self._exchange, MeasuredMemory(Answers(database, now)))
        self._snapshots = Snapshots(database, self._exchange, data / "desk" / "tables")
        self._facts = FactChanges(database, self._topics, self._snapshots.exchange, self._snapshots.renew)
        self._exchange.attach("telling changes of owners", self._connected)
        self._versions = DeskVersions(self._exchange, ActiveVersion(database).read)
        self._activated = Bell()
        self._topics.on("version", lambda _told: self._activated.ring())
        RecordingIntake(self._exchange, database, folder, now)
        throttle = configuration.desk.throttle
        accounts = AccountSettings(
            session_s=configuration.desk.session_s, failures_of_login=throttle.attempts, throttle_s=throttle.within_s
        )
        self._live = Hub(database, self._exchange, self._topics, now, accounts)
        self._metrics = DeskMetrics(
            database, self._exchange, self._writer, self._live.floor, self._snapshots, self._tasks, now
        )
        kept = configuration.desk.retention
        self._purge = Purge(database, folder, Kept(kept.turns, kept.recordings, kept.notices, kept.drafts), now)

        # One desk works in a data folder: what was claimed under its name when it begins was claimed by a dead one.
        self._outbox = CrmOutbox(database, f"{socket.gethostname()}:{data.resolve()}")
        self._head = CompanyHead(database, sender_of(configuration.notices))
        self._channels = channels(configuration.notices, data / "desk" / "sent", self._head, RecordingFolder(folder))
        self._sender = Sender(self._outbox, self._channels, SystemClock())
        self._topics.on("outbox", lambda _told: self._sender.wake())
        form = receipt_form(configuration.notices)
        self._services = Services(
            database=database,
            exchange=self._exchange,
            floor=self._live.floor,
            clock=now,
            accounts=accounts,
            recordings=folder,
            checks={"database": lambda: self._unreachable, "exchange": self._exchange_wrong},
            secure=configuration.desk.secure,
            versions_changed=self._announce,
            topics=self._topics,
            live=self._live,
            phones=virtual_phones(configuration),
            sms_receipt=None if form is None else HttpReceipts(self._outbox, form, SystemClock()).http_receipt,
            softphones=softphones(configuration),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Everything, until told to stop."""
        missing = [name for name in ("sms", "email") if name not in self._channels]
        if missing:
            self._log.warning("notices wait: no channel is configured", channels=missing)
        works: dict[str, Callable[[], Awaitable[None]]] = {
            "exchange": self._exchange.run,
            "topics": self._topics.run,
            "facts": self._facts.run,
            "tables": self._snapshots.run,
            "versions": self._tell_activations,
            "retention": self._purge.run,
            "metrics": self._metrics.run,
            "database": self._probe,
            "live": self._live.run,
        }
        async with asyncio.TaskGroup() as group:
            kept = [group.create_task(self._tasks.keep(name, work)) for name, work in works.items()]
            closing = [
                group.create_task(self._tasks.keep("http", lambda: self._serve(stop))),
                group.create_task(self._tasks.keep("notices", self._send)),
            ]
            await stop.wait()
            readiness.stopping()
            self._log.info("the desk stops")
            self._sender.stop()
            await asyncio.wait(closing, timeout=_GRACE_S)
            for task in (*closing, *kept):
                task.cancel()
        for channel in self._channels.values():
            if isinstance(channel, HttpSms):
                await channel.close()

    # --- the parts' own tasks

    async def _serve(self, stop: asyncio.Event) -> None:
        """HTTP, until told to stop. Raises `AddressTaken`."""
        if stop.is_set():
            return
        application = app.create(self._services)
        try:
            listening = _bound(self._listen)
        except AddressTaken as error:
            readiness.status(str(error))
            raise
        host, port = listening.getsockname()[:2]
        config = Config()
        config.bind = [f"fd://{listening.detach()}"]
        config.graceful_timeout = _GRACE_S / 2
        config.accesslog = None
        config.errorlog = logging.getLogger("kommutator.http")
        config.include_server_header = False

        async def told_to_stop() -> None:
            await stop.wait()
            self._live.close()

        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._log.info("the desk serves", url=url)
        readiness.ready(url)
        await hypercorn.asyncio.serve(cast(ASGIFramework, application), config, shutdown_trigger=told_to_stop)

    async def _send(self) -> None:
        """Notices, until told to stop."""
        freed = await self._outbox.release(SystemClock().now_ms())
        if freed:
            self._log.warning("a desk died with notices under way; they are looked at again", notices=freed)
        await self._sender.run()

    async def _probe(self) -> None:
        while True:
            try:
                async with asyncio.timeout(_PROBE_S), self._database.transaction() as tx:
                    await tx.value("select id from companies where id = $1")
                self._unreachable = None
            except TimeoutError:
                self._unreachable = f"the database does not answer within {_PROBE_S:g} s"
            except DatabaseUnreachable as error:
                self._unreachable = f"the database cannot be reached: {error}"
            await asyncio.sleep(_PROBE_EVERY_S)

    async def _tell_activations(self) -> None:
        """Each new version to the heads of letters and to the routers."""
        while True:
            await self._head.refresh()
            await self._announce()
            await self._activated.wait(_LOOK_S)

    async def _announce(self) -> None:
        """The next connection makes up for what fails here."""
        try:
            await self._versions.announce()
        except ExchangeError as error:
            if self._exchange.connected:
                self._log.warning("the active version could not be told", reason=str(error))

    async def _connected(self, connection: Connection) -> None:
        self._facts.wake()
        self._snapshots.wake()
        await connection.lost.wait()

    def _exchange_wrong(self) -> str | None:
        return None if self._exchange.connected else "there is no connection to the exchange"


def now() -> datetime:
    """The machine's time, in UTC."""
    return datetime.now(UTC)


def exchange_settings(configuration: Configuration) -> ExchangeSettings | None:
    """Where the exchange is now: as configured, else the embedded server's; None when that was never started."""
    given = configuration.exchange
    if given.urls:
        password = None if given.password is None else given.password.get_secret_value()
        return ExchangeSettings(given.urls, given.user, password, replicas=given.replicas)
    address = read_address(configuration.data / "nats")
    if address is None:
        return None
    return ExchangeSettings((address.url,), address.user, address.password)


def softphones(configuration: Configuration) -> Softphones:
    """The PBXs that take telephones of browsers."""
    servers = {
        name: SoftphoneServer(given.url, given.secret.get_secret_value())
        for name, router in configuration.routers.items()
        if isinstance(router.pbx, Asterisk) and (given := router.pbx.softphones) is not None
    }
    return Softphones(servers, next(iter(configuration.routers), None))


def _dsn(configuration: Configuration) -> str:
    given = configuration.postgres.dsn
    settings = PostgresSettings(configuration.data / "postgres", None if given is None else given.get_secret_value())
    return embedded.address(settings)


@contextmanager
def _the_only_desk(folder: Path) -> Iterator[None]:
    """Hold the desk's folder. Raises `DataFolderBusy`."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = processes.hold(folder / "lock", 0o640)
    if lock is None:
        raise DataFolderBusy(f"{folder}: another desk works here")
    try:
        yield
    finally:
        os.close(lock)


async def _migrated(dsn: str) -> None:
    """Wait for the database, as long as it takes, and bring it to this program's schema."""
    log = structlog.get_logger()
    pause_s, said = _PAUSES_S[0], ""
    while True:
        try:
            for step in await migrate(dsn):
                log.info("migrated", migration=f"{step.number:04} {step.name}")
            return
        except DatabaseUnreachable as error:
            readiness.status("waiting for the database")
            if said != str(error):
                said = str(error)
                log.warning("waiting for the database", reason=said)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _PAUSES_S[1])


async def _unless(stop: asyncio.Event, work: Awaitable[None]) -> bool:
    """Do it, unless told to stop meanwhile: False then."""
    doing, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait((doing, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if doing.done():
        doing.result()
        return True
    doing.cancel()
    with suppress(asyncio.CancelledError):
        await doing
    return False


def _bound(listen: str) -> socket.socket:
    """A listening socket on `host:port`. Raises `AddressTaken`."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, int(port)), family=family, backlog=512)
    except OSError as error:
        raise AddressTaken(f"desk.listen: cannot listen at {listen}: {os.strerror(error.errno or 0)}") from error
    listening.setblocking(False)
    return listening

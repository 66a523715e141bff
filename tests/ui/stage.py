"""A desk for its pages: the real API on a real database, with a live part that a test plays by hand.

The server runs in a thread of its own, so that a browser can be driven synchronously beside it. Telephones are not
there: `Live` says what they would do, in the words of the desk's live contract, and notes the orders that pages give.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import structlog
from argon2 import PasswordHasher
from quart import Quart

import kommutator
from kommutator.crm import accounts, clients, interests, missed, tasks, versions
from kommutator.crm.accounts import AccountSettings, Role
from kommutator.crm.pool import Database, DatabaseSettings
from kommutator.crm.versions import read_draft
from kommutator.desk import app as desk
from kommutator.desk.services import Services
from kommutator.desk.softphone.servers import NO_SOFTPHONES, Softphones
from kommutator.exchange.embedded import EmbeddedNats
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.floor import DeskFloor
from kommutator.exchange.settings import ExchangeSettings
from tests.api.serving import served
from tests.ui import history
from tests.ui.live import Live

T = TypeVar("T")

PASSWORD = "correct horse"
COMPANY = Path(kommutator.__file__).parent / "sample" / "company" / "company.yaml"
USERS: tuple[tuple[str, str, Role, str | None], ...] = (
    ("olga", "Ольга Зимина", "operator", "rita"),
    ("boris", "Борис Орлов", "manager", "boris"),
    ("admin", "Ирина Седова", "administrator", "nina"),
    ("root", "Администратор", "administrator", None),
)
_START_S = 60


@dataclass
class Stage:
    """A desk that is being served."""

    address: str
    live: Live
    services: Services
    _loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Does something in the server's loop, from the test's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def forget(self) -> None:
        """No call goes on, and no wizard is half-filled."""

        async def done() -> None:
            self.live.calls.clear()
            async with self.services.database.transaction("stage") as tx:
                await tx.run("delete from drafts where company_id = $1")

        self.run(done())

    def do(self, work: Callable[[Live], T]) -> T:
        """Lets something happen to the telephones."""

        async def done() -> T:
            return work(self.live)

        return self.run(done())


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for what no element on the page shows."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def quiet() -> None:
    """Keeps the log of requests out of the way."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


@contextmanager
def staged(dsn: str, folder: Path, softphones: Softphones = NO_SOFTPHONES) -> Iterator[Stage]:
    """A desk on this database, filled with the sample company, some clients and what they want."""
    ready: Future[Stage] = Future()
    ending: list[Callable[[], object]] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        end = asyncio.Event()
        ending.append(lambda: loop.call_soon_threadsafe(end.set))
        nats = EmbeddedNats(folder / "nats")
        address = await asyncio.to_thread(nats.start)
        exchange = Exchange(ExchangeSettings((address.url,), address.user, address.password), "pages")
        connecting = asyncio.create_task(exchange.run())
        await exchange.ready()
        async with Database.opened(DatabaseSettings(dsn, connections=4)) as database:
            services = _services(database, exchange, folder, softphones)
            await _fill(services)
            app: Quart = desk.create(services)
            live = Live(services)
            live.install(app)
            async with served(app) as url:
                ready.set_result(Stage(url, live, services, loop))
                await end.wait()
                live.close()
        connecting.cancel()
        await asyncio.wait([connecting])
        await asyncio.to_thread(nats.stop)

    def serve() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            if not ready.done():
                ready.set_exception(error)
            raise

    thread = threading.Thread(target=serve, name="desk")
    thread.start()
    try:
        yield ready.result(_START_S)
    finally:
        for end in ending:
            end()
        thread.join(_START_S)


def _services(database: Database, exchange: Exchange, folder: Path, softphones: Softphones) -> Services:
    async def changed() -> None:
        return None

    recordings = folder / "recordings"
    recordings.mkdir()
    return Services(
        database=database,
        exchange=exchange,
        floor=DeskFloor(exchange, lambda _: None),
        clock=lambda: datetime.now(UTC),
        accounts=AccountSettings(hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)),
        recordings=recordings,
        checks={},
        secure=False,
        versions_changed=changed,
        softphones=softphones,
    )


async def _fill(services: Services) -> None:
    now = services.clock()
    database = services.database
    draft = read_draft(COMPANY, round(now.timestamp() * 1000))
    async with database.transaction("admin") as tx:
        number, _ = await versions.add(tx, draft, "Первая версия", now - timedelta(days=3))
        await versions.activate(tx, number, "", now - timedelta(days=3))
    for login, name, role, employee in USERS:
        async with database.transaction("admin") as tx:
            await accounts.create_user(tx, login, name, role, PASSWORD, now, services.accounts, employee=employee)
    async with database.transaction("olga") as tx:
        elena = await clients.create(
            tx,
            clients.Draft(name="Елена Громова", organisation="ООО «Вектор»", numbers=("+79161112233",),
                          email="gromova@vektor.example", owner="boris", notes="Звонить после десяти"),
            now - timedelta(days=40),
        )  # fmt: skip
        await clients.create(
            tx, clients.Draft(name="Павел Громов", organisation="ООО «Вектор»", numbers=("+79161112233",)), now
        )
        await clients.create(tx, clients.Draft(name="Олег Тихий", numbers=("+73432223344",), owner="ilya"), now)
        wants = (
            ("Котёл для цеха", "Посчитать и прислать цены", "equipment", "new", 4),
            ("Насосы, замена", "Перезвонить после десяти", "equipment", "active", -3),
            ("Договор на обслуживание", "Выслать черновик", "consulting", "active", 30),
        )
        for n, (topic, to_do, service, status, hours) in enumerate(wants):
            made, _ = await interests.create(
                tx,
                elena.id,
                interests.Draft(topic, to_do, service, "boris", due_at=now + timedelta(hours=hours)),
                f"stage:{n}",
                now - timedelta(hours=30 - n),
            )
            if status != "new":
                change = interests.Draft(topic, to_do, service, "boris", status="active", due_at=made.due_at)
                await interests.change(tx, made.id, change, made.revision, now, "Клиент ждёт звонка")
        await missed.add(tx, "m1", "call-a", "+79161112233", "+74951112201", "boris", now - timedelta(minutes=25))
        await tasks.add(tx, "t1", "task", "call-a", "boris", "Перезвонить Елене Громовой", now - timedelta(hours=1))
    await history.fill(services, now)

"""A router as a process of its own that takes orders at a socket of its data folder: a JSON object a line, each way.

python -m tests.telephony.ordered_main COMPANY ARI_URL USER PASSWORD DATA RINGS_S
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import msgspec
import structlog
import trio

from kommutator import Engine
from kommutator.app.document import NoLookups, lines_of
from kommutator.app.process import SystemClock
from kommutator.cli.configured import log_to_stderr
from kommutator.company.reader import load
from kommutator.configuration import Log
from kommutator.pbx.ari.adapter import AriPbx, AriSettings
from kommutator.routing.doings import Doing
from kommutator.routing.ledger import FileJournal
from kommutator.routing.loop import Router
from kommutator.routing.order import Order, OrderDone
from kommutator.routing.orders import OrderDesk
from kommutator.routing.prompts import PromptLibrary

SOCKET = "orders.sock"


class LoggedJournal(FileJournal):
    """Logs what people do."""

    def did(self, doing: Doing) -> None:
        told = msgspec.to_builtins(doing)
        super().did(doing)
        structlog.get_logger().info("doing", **{key: value for key, value in told.items() if key not in ("at",)})


async def main(company: Path, url: str, user: str, password: str, data: Path, rings_s: float) -> None:
    """Route and take orders."""
    loaded = load(company)
    prompts = PromptLibrary(data / "prompts")
    await prompts.prepare(loaded.prompts)
    engine, clock = Engine.of(loaded), SystemClock()
    pbx = AriPbx(AriSettings(url, user, password, data / "recordings"), prompts, lines_of(loaded))
    journal = LoggedJournal(data)
    router = Router(engine, pbx, journal, NoLookups(), clock, rings_s=rings_s)
    phones = {employee: card["endpoint"] for employee, card in loaded.document["employees"].items()}
    desk = OrderDesk(router, engine, None, clock, phones.get)
    (data / SOCKET).unlink(missing_ok=True)
    listening = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    await listening.bind(str(data / SOCKET))
    listening.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(journal.run)
        nursery.start_soon(router.run)
        nursery.start_soon(partial(trio.serve_listeners, partial(take, desk), [trio.SocketListener(listening)]))


async def take(desk: OrderDesk, stream: trio.SocketStream) -> None:
    """One order: a line in, a line out."""
    order = msgspec.json.decode(await stream.receive_some(65536), type=Order)
    done = OrderDone(order.order, False, "too_late")
    with trio.move_on_after(10):
        done = await desk.carry_out(order)
    await stream.send_all(msgspec.json.encode(done) + b"\n")


if __name__ == "__main__":
    log_to_stderr(Log(form="json"))
    file, url, user, password, folder, rings = sys.argv[1:]
    trio.run(main, Path(file), url, user, password, Path(folder), float(rings))

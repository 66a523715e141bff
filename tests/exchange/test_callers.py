"""Who has called one router has called before for the others, also when the exchange was away meanwhile."""

import pytest
import trio

from kommutator import Engine
from kommutator.company import load
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.callers import SharedCallers
from kommutator.exchange.messages import CALLED_SUBJECT, Began, Ended
from tests.scenario_files import folders

from .conftest import Nats, until

pytestmark = pytest.mark.trio
FOLDER = next(folder for folder in folders() if folder.name.startswith("3-"))
DID, NOW_MS = "+74951112203", 1_795_000_000_000


def call(callers: SharedCallers, call_id: str, caller: str | None) -> None:
    callers.take(Began(call_id, DID, caller, NOW_MS))
    callers.take(Ended(call_id, NOW_MS + 1000, "answered", "none"))


async def test_callers_are_told_to_other_routers(nats: Nats) -> None:
    company = load(FOLDER / "company.yaml")
    engine = Engine.of(company)
    heard: list[str] = []

    def called(number: str, at_ms: int) -> None:
        heard.append(number)
        engine.called(number, at_ms)

    west, east = Bridge(nats.settings, "west"), Bridge(nats.settings, "east")
    telling = SharedCallers(west, lambda number, at_ms: None, lambda: None)
    hearing = SharedCallers(east, called, lambda: None)
    async with trio.open_nursery() as nursery:
        for part in (west.run, east.run, telling.run, hearing.run):
            nursery.start_soon(part)
        await until(lambda: west.connected and east.connected)
        while "89160000000" not in heard:  # until the other router follows
            call(telling, "warm", "89160000000")
            await trio.sleep(0.1)
        call(telling, "withheld", None)
        call(telling, "one", "89161230099")
        telling.take(Ended("a call of before this process", NOW_MS, "answered", "none"))
        await until(lambda: "89161230099" in heard)

        await trio.to_thread.run_sync(nats.kill)
        await until(lambda: not west.connected and not east.connected)
        call(telling, "two", "89161230098")
        await trio.to_thread.run_sync(nats.start)
        await until(lambda: "89161230098" in heard)
        nursery.cancel_scope.cancel()
    assert set(heard) == {"89160000000", "89161230099", "89161230098"}
    number = next(iter(company.document["numbers"]))
    turn = engine.arrive("next", number, "+79161230099", NOW_MS + 5000)
    turn = engine.handle(turn.state, {"type": "played"}, NOW_MS + 9000)
    assert turn.action.type == "menu", "nobody has to be asked whether the number has called"


async def test_what_cannot_be_heard_may_have_been_a_call(nats: Nats) -> None:
    engine = Engine.of(load(FOLDER / "company.yaml"))
    engine.called("89161230099", NOW_MS - 1000)
    heard: list[str] = []

    def missed() -> None:
        heard.append("nothing")
        engine.missed_calls(NOW_MS)

    bridge = Bridge(nats.settings, "east")
    hearing = SharedCallers(bridge, lambda number, at_ms: None, missed)
    async with trio.open_nursery() as nursery:
        for part in (bridge.run, hearing.run):
            nursery.start_soon(part)
        await until(lambda: bridge.connected)
        while not heard:  # until the router follows
            await bridge.call(lambda connection: connection.append(CALLED_SUBJECT, b"no callers"), 10)
            await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    number = next(iter(load(FOLDER / "company.yaml").document["numbers"]))
    turn = engine.arrive("known", number, "+79161230099", NOW_MS)
    turn = engine.handle(turn.state, {"type": "played"}, NOW_MS + 3000)
    assert turn.action.type == "menu", "who has called has called, whatever was missed"

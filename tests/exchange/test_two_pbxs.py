"""Two routers, two PBXs, one group: nobody is rung twice, also while the exchange is cut; then others are unreachable."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pytest
import trio

from kommutator import Engine
from kommutator.company import LoadedCompany, load
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.claims import HOLDS_S, ClaimingPbx, ClaimOwner, Claims
from kommutator.exchange.floor import SharedFloor, SharingPbx
from kommutator.exchange.nats.floor import DeskFloor, FloorFact
from kommutator.pbx.simulated.adapter import SimulatedLookups, SimulatedPbx
from kommutator.pbx.simulated.agenda import Agenda
from kommutator.pbx.simulated.behaviour import CallerAct, CallerScript, PhoneAct, PhoneScript
from kommutator.pbx.simulated.world import Leg, World
from kommutator.routing.ledger import MemoryJournal
from kommutator.routing.loop import Router
from kommutator.routing.order import Order, OrderDone, OrderKind
from kommutator.routing.orders import OrderDesk

from .conftest import PATIENCE_S, Desk, Nats, TestClock, until

pytestmark = pytest.mark.trio

COMPANY = """
company: {name: Два дома, timezone: Europe/Moscow, country: RU, language: ru}
employees:
  anna: {name: Анна Смирнова, department: sales, rank: 1, endpoint: PJSIP/101}
  boris: {name: Борис Орлов, department: sales, rank: 1, endpoint: PJSIP/102}
departments: {sales: {name: Отдел продаж}}
prompts: {leave-message: {say: "Оставьте сообщение.", seconds: 1}}
numbers: {"+74951112233": {scheme: main}}
schemes:
  main:
    start: team
    responsible: sales
    nodes:
      team:    {kind: ring, ring: [{department: sales}], seconds: 5, exits: {no_answer: mailbox}}
      mailbox: {kind: voicemail, prompt: leave-message, seconds: 5, exits: {done: bye}}
      bye:     {kind: hangup}
"""
HOMES = {"anna": "west", "boris": "east"}


@pytest.fixture
def company(tmp_path: Path) -> LoadedCompany:
    (tmp_path / "company.yaml").write_text(COMPANY, encoding="utf-8")
    return load(tmp_path / "company.yaml")


@dataclass
class House:
    """A PBX with its router. Its own phones, and the other's as they are seen from here."""

    pbx: str
    engine: Engine
    journal: MemoryJournal
    world: World
    simulated: SimulatedPbx
    bridge: Bridge
    claims: Claims
    floor: SharedFloor
    router: Router

    @classmethod
    def of(
        cls, nats: Nats, company: LoadedCompany, agenda: Agenda, pbx: str, phones: Mapping[str, PhoneScript]
    ) -> "House":
        engine, journal = Engine.of(company), MemoryJournal()
        world = World(agenda, {"leave-message": 1.0}, phones)
        own = {
            str(card["endpoint"]): [employee]
            for employee, card in company.document["employees"].items()
            if HOMES[employee] == pbx
        }
        simulated = SimulatedPbx(world, own)
        bridge = Bridge(nats.settings, f"router of {pbx}")
        claims = Claims(bridge, pbx, lambda: HOMES)
        floor = SharedFloor(bridge, pbx, lambda: HOMES, TestClock())
        ClaimOwner(bridge, pbx, engine, agenda)
        router = Router(engine, SharingPbx(ClaimingPbx(simulated, claims), floor), journal, SimulatedLookups(), agenda)
        return cls(pbx, engine, journal, world, simulated, bridge, claims, floor, router)

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for part in (self.bridge.run, self.claims.run, self.floor.run, self.router.run):
                nursery.start_soon(part)


def overlapping(houses: list[House]) -> list[tuple[Leg, Leg]]:
    """Legs of two calls that rang or held one phone at once, wherever it was rung from."""
    legs = [leg for house in houses for leg in house.world.legs if leg.rang]
    return [
        (one, other)
        for one, other in combinations(legs, 2)
        if one.endpoint == other.endpoint
        and one.call_id != other.call_id
        and one.began_ms < (other.ended_ms or 2**62)
        and other.began_ms < (one.ended_ms or 2**62)
    ]


def rung(house: House, endpoint: str) -> int:
    return sum(leg.endpoint == endpoint for leg in house.world.legs)


async def test_nobody_is_rung_twice_also_while_the_exchange_is_cut(nats: Nats, company: LoadedCompany) -> None:
    agenda = Agenda(TestClock().now_ms())
    lively = [PhoneAct("answer", 0.2, 0.3), PhoneAct("decline", 0.1), PhoneAct("answer", 0.4, 0.2)] * 100
    houses = [
        House.of(nats, company, agenda, pbx, {phone: PhoneScript(lively) for phone in ("PJSIP/101", "PJSIP/102")})
        for pbx in ("west", "east")
    ]
    west, east = houses
    chance, came = random.Random(7), 0

    async def callers(count: int) -> None:
        for _ in range(count):
            await one_more()

    async def callers_until(condition: Callable[[], bool]) -> None:
        """They go on calling until it is so. A claim that could not be given back lapses first."""
        with trio.fail_after(PATIENCE_S + HOLDS_S):
            while not condition():
                await one_more()

    async def one_more() -> None:
        nonlocal came
        house = chance.choice(houses)
        acts = CallerScript([CallerAct("record", speak=1.2, end="hash")])
        house.simulated.come(f"{house.pbx}-{came}", "+74951112233", "89161230099", acts)
        came += 1
        await trio.sleep(chance.uniform(0, 0.4))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(agenda.live)
        for house in houses:
            nursery.start_soon(house.run)
        await until(lambda: west.floor._told_lines.get("boris") == "idle" == east.floor._told_lines.get("anna"))

        await callers(30)
        await callers_until(lambda: rung(west, "PJSIP/102") > 0 and rung(east, "PJSIP/101") > 0)

        await trio.to_thread.run_sync(nats.kill)
        await until(lambda: west.floor._told_lines["boris"] == "unreachable" == east.floor._told_lines["anna"])
        before = rung(west, "PJSIP/102"), rung(east, "PJSIP/101")
        own = rung(west, "PJSIP/101"), rung(east, "PJSIP/102")
        await callers(20)
        await callers_until(lambda: rung(west, "PJSIP/101") > own[0] and rung(east, "PJSIP/102") > own[1])
        assert (rung(west, "PJSIP/102"), rung(east, "PJSIP/101")) == before, "an employee of another PBX was rung"

        await trio.to_thread.run_sync(nats.start)
        await callers(20)
        await callers_until(lambda: rung(west, "PJSIP/102") > before[0] and rung(east, "PJSIP/101") > before[1])
        await until(lambda: sum(len(house.journal.lines) for house in houses) == came)
        await until(lambda: all(house.world.quiet for house in houses))
        await until(lambda: all(house.engine.claims(agenda.now_ms()) == [] for house in houses))
        nursery.cancel_scope.cancel()
    assert overlapping(houses) == []
    ended = {line["disposition"] for house in houses for line in house.journal.lines}
    assert ended <= {"answered", "voicemail"}, ended


async def test_a_guest_of_another_pbx_is_claimed_there_for_as_long_as_he_is_asked(
    nats: Nats, company: LoadedCompany
) -> None:
    agenda = Agenda(TestClock().now_ms())
    west = House.of(nats, company, agenda, "west", {"PJSIP/101": PhoneScript([PhoneAct("answer", 0.1)])})
    east = House.of(nats, company, agenda, "east", {})
    desk = OrderDesk(west.router, west.engine, west.claims, agenda, {"boris": "PJSIP/102"}.get)

    async def order(kind: OrderKind, employee: str | None = None) -> OrderDone:
        return await desk.carry_out(Order(kind, kind, "anna", 0, "call", employee))

    def claimed() -> list[tuple[str, str, str]]:
        return east.engine.claims(agenda.now_ms())

    async with trio.open_nursery() as nursery:
        for part in (agenda.live, west.run, east.run):
            nursery.start_soon(part)
        await until(lambda: west.router.lines.get("boris") == "idle" == east.floor._told_lines.get("anna"))
        client = west.simulated.come("call", "+74951112233", "89161230099")
        await until(lambda: west.router.talks.of("call") is not None and west.router.lines.get("boris") == "idle")

        await until(lambda: claimed() == [])
        assert (await order("consult", "boris")).done
        assert claimed() == [("boris", "call", "reserved")]
        assert (await order("cancel_consult")).done
        await until(lambda: claimed() == [])

        assert east.engine.reserve("boris", "another", agenda.now_ms())
        assert (await order("consult", "boris")).reason == "busy"
        assert west.engine.claims(agenda.now_ms()) == [("anna", "call", "talking")]
        east.engine.release("boris", "another")

        assert (await order("consult", "boris")).done
        assert west.world.pick_up("PJSIP/102")
        await until(lambda: str(west.router.talks.of("call").arrangement.stage) == "private")  # type: ignore[union-attr]
        assert (await order("complete")).done
        await until(lambda: set(client.legs) == {"PJSIP/102"})
        assert claimed() == [("boris", "call", "reserved")]
        west.world.hang_up(client, "hung_up")
        await until(lambda: claimed() == [] and west.journal.lines != [])
        nursery.cancel_scope.cancel()


async def test_when_a_router_dies_its_employees_become_unreachable_for_the_others(
    nats: Nats, company: LoadedCompany, desk: Desk
) -> None:
    shown: dict[tuple[str, str], FloorFact] = {}

    def show(fact: FloorFact) -> None:
        shown[fact.employee, fact.kind] = fact

    floor = DeskFloor(desk.exchange, show)
    desk.start()
    agenda = Agenda(TestClock().now_ms())
    west = House.of(nats, company, agenda, "west", {})
    east = House.of(nats, company, agenda, "east", {})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(agenda.live)
        nursery.start_soon(west.run)
        dying = await nursery.start(_run_cancellable, east)
        await until(lambda: west.floor._told_lines.get("boris") == "idle")
        await until(lambda: ("boris", "line") in shown and shown["boris", "line"].value == "idle")
        dying.cancel()
        await until(lambda: west.floor._told_lines["boris"] == "unreachable")
        await until(lambda: shown["boris", "line"].value == "unreachable")
        assert shown["anna", "line"].value == "idle"

        now_ms = TestClock().now_ms()
        await trio.to_thread.run_sync(desk.do, lambda exchange: floor.presence("anna", "away", now_ms))
        await until(lambda: ("anna", "presence") in shown and shown["anna", "presence"].value == "away")
        await until(lambda: "presence.anna" in west.floor._known)
        turn = west.engine.arrive("call", "+74951112233", "89161230099", now_ms)
        assert turn.action.type != "ring", "the engine was not told that she is away"
        nursery.cancel_scope.cancel()


async def _run_cancellable(house: House, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
    with trio.CancelScope() as scope:
        task_status.started(scope)
        await house.run()

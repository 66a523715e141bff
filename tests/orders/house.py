"""A house in virtual time: a client, an operator and two managers at a simulated PBX, and a desk that orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from kommutator import Engine
from kommutator.company import LoadedCompany, load
from kommutator.pbx.simulated.adapter import SimulatedLookups, SimulatedPbx
from kommutator.pbx.simulated.agenda import run_virtually
from kommutator.pbx.simulated.behaviour import PhoneScript, phones_of
from kommutator.pbx.simulated.world import Channel, World
from kommutator.routing.conversation import Stage
from kommutator.routing.doings import CalledBack, Consulted, Held, PassedOn
from kommutator.routing.ledger import MemoryJournal
from kommutator.routing.loop import Router
from kommutator.routing.order import Order, OrderDone, OrderKind
from kommutator.routing.orders import OrderDesk
from kommutator.simulation import Simulation

COMPANY = """
company: {name: Дом, timezone: Europe/Moscow, country: RU, language: ru}
employees:
  anna: {name: Анна Смирнова, department: desk, endpoint: PJSIP/101}
  boris: {name: Борис Орлов, department: sales, endpoint: PJSIP/102}
  vera: {name: Вера Белова, department: sales, endpoint: PJSIP/103}
departments: {desk: {name: Операторы}, sales: {name: Отдел продаж}}
prompts: {leave-message: {say: "Оставьте сообщение.", seconds: 1}}
numbers: {"+74951112233": {scheme: main}}
schemes:
  main:
    start: team
    responsible: desk
    nodes:
      team:    {kind: ring, ring: [{department: desk}, {department: sales}], seconds: 30, exits: {no_answer: mailbox}}
      mailbox: {kind: voicemail, prompt: leave-message, seconds: 5, exits: {done: bye}}
      bye:     {kind: hangup}
"""
PHONES = {"anna": "PJSIP/101", "boris": "PJSIP/102", "vera": "PJSIP/103"}
START_MS = 1_763_759_999_000
ANSWERS = {"PJSIP/101": {"does": "answer", "after": 1}}
"""The operator's phone; the others ring until somebody acts."""


def company(house_of: str = COMPANY) -> LoadedCompany:
    """The house's company."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "company.yaml"
        path.write_text(house_of, encoding="utf-8")
        return load(path)


LOADED = company()


class House:
    """The house while it lives."""

    def __init__(self, phones: Mapping[str, PhoneScript]) -> None:
        self.simulation = Simulation(LOADED.document, START_MS, phones)
        self.journal = MemoryJournal()
        self.engine: Engine
        self.router: Router
        self.desk: OrderDesk
        self.pbx: SimulatedPbx
        self.came = 0
        self._given = 0
        self._router_scope = trio.CancelScope()
        self._nursery: trio.Nursery

    @property
    def world(self) -> World:
        """What there is at the PBX."""
        return self.simulation.world

    async def start_router(self) -> None:
        """A router comes, with an engine that knows nothing."""
        self.engine = Engine.of(LOADED)
        self.pbx = self.simulation.pbx()
        self.router = Router(self.engine, self.pbx, self.journal, SimulatedLookups(), self.simulation.agenda)
        self.desk = OrderDesk(self.router, self.engine, None, self.simulation.agenda, PHONES.get)
        self._router_scope = trio.CancelScope()

        async def run(router: Router, scope: trio.CancelScope) -> None:
            with scope:
                await router.run()

        self._nursery.start_soon(run, self.router, self._router_scope)
        await self.pbx.found_calls()

    async def another_router(self, away_s: float = 0.0) -> None:
        """The router dies, and another comes a while after."""
        self._router_scope.cancel()
        await trio.sleep(away_s + 0.001)
        await self.start_router()

    async def client_comes(self, caller: str = "+79161230099") -> Channel:
        """A client calls."""
        self.came += 1
        return self.pbx.come(f"call-{self.came}", "+74951112233", caller)

    async def client_talks(self) -> Channel:
        """A client calls, and the operator answers."""
        client = await self.client_comes()
        await self.stage(client, Stage.TALKING)
        return client

    async def order(
        self,
        kind: OrderKind,
        call: Channel | str | None,
        by: str = "anna",
        *,
        employee: str | None = None,
        endpoint: str | None = None,
        number: str | None = None,
        deadline_s: float = 5,
    ) -> OrderDone:
        """Give an order; `too_late` when it is not answered by its deadline."""
        self._given += 1
        until = self.simulation.agenda.now_ms() + round(deadline_s * 1000)
        call_id = call.call_id if isinstance(call, Channel) else call
        order = Order(f"order-{self._given}", kind, by, until, call_id, employee, endpoint, number)
        with trio.move_on_after(deadline_s):
            return await self.desk.carry_out(order)
        return OrderDone(order.order, False, "too_late")

    async def does(self, kind: OrderKind, call: Channel | str | None, by: str = "anna", **target: str) -> OrderDone:
        """Give an order that must be done."""
        done = await self.order(kind, call, by, **target)  # type: ignore[arg-type]
        assert done.done, done
        return done

    async def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        """Wait for a condition; raises `TooSlowError`."""
        with trio.fail_after(seconds):
            while not condition():
                await trio.sleep(0.01)

    def stage_of(self, call: Channel) -> Stage | None:
        """Where the call's conversation is."""
        conversation = self.router.talks.of(call.call_id)
        return None if conversation is None else conversation.arrangement.stage

    async def stage(self, call: Channel, stage: Stage, seconds: float = 60) -> None:
        """Wait until the conversation is there, and the PBX has made it so."""
        await self.until(
            lambda: (
                self.stage_of(call) is stage
                and call.audio is not None
                and self.router.talks.of(call.call_id).arrangement.audio == call.audio  # type: ignore[union-attr]
            ),
            seconds,
        )

    async def over(self, call: Channel, seconds: float = 120) -> None:
        """Wait until the call is in the ledger."""
        await self.until(lambda: any(line["call_id"] == call.call_id for line in self.journal.lines), seconds)

    def consulted(self) -> list[str]:
        """The states of consultations, as desks are told."""
        return [doing.state for doing in self.journal.doings if isinstance(doing, Consulted)]

    def passed_on(self) -> list[tuple[str, str, str | None]]:
        """How clients were passed on, as desks are told."""
        return [(doing.how, doing.state, doing.reason) for doing in self.journal.doings if isinstance(doing, PassedOn)]

    def held(self) -> list[tuple[bool, bool]]:
        """How clients were held."""
        return [(doing.held, doing.by_phone) for doing in self.journal.doings if isinstance(doing, Held)]

    def called_back(self) -> list[tuple[str, str | None]]:
        """How calls back went."""
        return [(doing.state, doing.reason) for doing in self.journal.doings if isinstance(doing, CalledBack)]

    def reserved(self) -> set[str]:
        """Who is claimed for a consultation now."""
        claims = self.engine.claims(self.simulation.agenda.now_ms())
        return {employee for employee, _, kind in claims if kind == "reserved"}

    def put_down_all(self) -> None:
        """Everybody in the house hangs up."""
        for endpoint in PHONES.values():
            while self.world.put_down(endpoint):
                pass

    def check(self) -> None:
        """What always holds: no phone rings or talks for two calls, and no call is in the ledger twice."""
        for endpoint in PHONES.values():
            on_it = [leg for leg in self.world.legs if leg.endpoint == endpoint and leg.rang and leg.ended_ms is None]
            assert len(on_it) <= 1, on_it
        counted = Counter(line["call_id"] for line in self.journal.lines)
        assert all(count == 1 for count in counted.values()), counted


def play(story: Callable[[House], Awaitable[None]], phones: Mapping[str, object] | None = None) -> House:
    """Play a story in a new house. At its end the clients hang up; everything is over then, with one line a call."""
    house = House(phones_of({**ANSWERS, **(phones or {})}))

    async def main() -> None:
        async with house.simulation.living() as nursery:
            house._nursery = nursery
            await house.start_router()
            await story(house)
            house.check()
            for channel in list(house.world.channels.values()):
                house.world.hang_up(channel, "hung_up")
            await house.until(lambda: house.world.quiet and not house.journal.unfinished(), 300)
            house.check()
            house._router_scope.cancel()

    run_virtually(main)
    assert sorted(line["call_id"] for line in house.journal.lines) == [f"call-{n}" for n in range(1, house.came + 1)]
    assert house.engine.claims(house.simulation.agenda.now_ms()) == []
    return house

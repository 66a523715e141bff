"""Claims on employees of another PBX: held while they are renewed, given up before they lapse, given back."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from kommutator import Engine
from kommutator.errors import ExchangeError
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.claims import HOLDS_S, ClaimingCall, ClaimOwner, Claims
from kommutator.exchange.messages import ClaimAnswer, ClaimAsked, claims_subject, decode, encode
from kommutator.pbx.simulated.agenda import Agenda
from kommutator.pbx.simulated.behaviour import CallerScript
from kommutator.pbx.simulated.call import SimulatedCall
from kommutator.pbx.simulated.world import World
from kommutator.routing.turn import Event, Turn

from .conftest import Nats, TestClock, until
from .test_two_pbxs import COMPANY, HOMES

pytestmark = pytest.mark.trio


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    (tmp_path / "company.yaml").write_text(COMPANY, encoding="utf-8")
    return Engine.load(tmp_path / "company.yaml")


async def test_a_claim_is_renewed_as_long_as_the_phone_rings_and_given_up_before_it_lapses(
    nats: Nats, engine: Engine
) -> None:
    clock = TestClock()
    owner = Bridge(nats.settings, "router of east")
    asking = Bridge(nats.settings, "router of west")
    ClaimOwner(owner, "east", engine, clock, holds_s=2.0)
    claims = Claims(asking, "west", lambda: HOMES, renew_s=0.3, margin_s=0.5)
    boris = frozenset(("boris",))
    async with trio.open_nursery() as nursery:
        for part in (owner.run, asking.run, claims.run):
            nursery.start_soon(part)
        await until(lambda: owner.connected and asking.connected)
        await until_served(asking, engine, clock)
        with trio.CancelScope() as ringing, claims.guarding("call-1", ringing) as lost:
            assert await claims.claim("call-1", boris) == frozenset()
            assert await claims.claim("call-2", boris) == boris
            await trio.sleep(3.0)
            assert await claims.claim("call-2", boris) == boris, "it has lapsed although it was renewed"
            await trio.to_thread.run_sync(nats.kill)
            cut = trio.current_time()
            with trio.fail_after(3.0):
                await trio.sleep_forever()
        assert lost == {"boris"}
        assert trio.current_time() - cut < 2.0, "it was held for longer than the owner keeps it"
        nursery.cancel_scope.cancel()


async def test_an_employee_given_back_can_be_claimed_at_once(nats: Nats, engine: Engine) -> None:
    clock = TestClock()
    owner = Bridge(nats.settings, "router of east")
    asking = Bridge(nats.settings, "router of west")
    freed: list[str] = []
    ClaimOwner(owner, "east", engine, clock, freed.append)
    claims = Claims(asking, "west", lambda: HOMES)
    boris = frozenset(("boris",))
    async with trio.open_nursery() as nursery:
        for part in (owner.run, asking.run, claims.run):
            nursery.start_soon(part)
        await until_served(asking, engine, clock)
        freed.clear()
        assert await claims.claim("call-1", boris) == frozenset()
        assert not engine.reserve("boris", "own call", clock.now_ms())
        claims.keep_only("call-1", frozenset())
        await until(lambda: freed == ["boris"])
        assert engine.reserve("boris", "own call", clock.now_ms())
        assert not await claims.add("call-3", "boris")
        assert await claims.add("call-3", "anna"), "who is at our own PBX is the engine's own to claim"
        nursery.cancel_scope.cancel()


async def test_who_is_given_back_while_the_exchange_is_away_is_free_soon_after_it_is_there_again(
    nats: Nats, engine: Engine
) -> None:
    clock = TestClock()
    owner = Bridge(nats.settings, "router of east")
    asking = Bridge(nats.settings, "router of west")
    ClaimOwner(owner, "east", engine, clock)
    claims = Claims(asking, "west", lambda: HOMES)
    boris = frozenset(("boris",))

    def holds() -> list[str]:
        return [call for _, call, _ in engine.claims(clock.now_ms())]

    async with trio.open_nursery() as nursery:
        for part in (owner.run, asking.run, claims.run):
            nursery.start_soon(part)
        await until_served(asking, engine, clock)
        assert await claims.claim("call-1", boris) == frozenset()
        await trio.to_thread.run_sync(nats.kill)
        await until(lambda: not asking.connected)
        claims.keep_only("call-1", frozenset())
        assert await claims.claim("call-2", boris) == boris
        assert holds() == ["call-1"]
        await trio.to_thread.run_sync(nats.start)
        with trio.fail_after(HOLDS_S / 2):  # it does not lapse: he is given back
            while await claims.claim("call-3", boris):
                await trio.sleep(0.05)
        assert holds() == ["call-3"]
        nursery.cancel_scope.cancel()


class FarCall(SimulatedCall):
    """A call at a PBX that takes a moment for each order."""

    async def perform(self, turn: Turn) -> Event:
        await trio.sleep(0.1)
        return await super().perform(turn)

    async def stop_ringing(self, keep: Sequence[str]) -> None:
        await trio.sleep(0.1)
        await super().stop_ringing(keep)


async def test_an_employee_is_given_back_when_his_phone_rings_no_more(nats: Nats, tmp_path: Path) -> None:
    (tmp_path / "brief.yaml").write_text(COMPANY.replace("seconds: 5, exits: {no", "seconds: 1, exits: {no"))
    east, west = Engine.load(tmp_path / "brief.yaml"), Engine.load(tmp_path / "brief.yaml")
    clock = TestClock()
    agenda = Agenda(clock.now_ms(), trio.lowlevel.checkpoint)
    world = World(agenda, {"leave-message": 1.0}, {})
    freed: list[bool] = []

    def rings() -> bool:
        return any(leg.endpoint == "PJSIP/102" and leg.ended_ms is None for leg in world.legs)

    owner = Bridge(nats.settings, "router of east")
    asking = Bridge(nats.settings, "router of west")
    ClaimOwner(owner, "east", east, clock, lambda _employee: freed.append(rings()))
    claims = Claims(asking, "west", lambda: HOMES)
    async with trio.open_nursery() as nursery:
        for part in (owner.run, asking.run, claims.run, agenda.live):
            nursery.start_soon(part)
        await until_served(asking, east, clock)
        await until(lambda: freed == [False])
        channel = world.come("call-1", "+74951112233", None, CallerScript())
        call = ClaimingCall(FarCall(world, channel), claims)
        ring = Turn.of(west.arrive("call-1", "+74951112233", None, clock.now_ms()))
        event = await call.perform(ring)
        assert event["type"] == "no_answer"
        record = Turn.of(west.handle(ring.state, event, clock.now_ms()))
        assert record.kind == "record"
        nursery.start_soon(call.perform, record)
        await until(lambda: len(freed) == 2)
        assert freed[1] is False, "it was given back while it rang"
        nursery.cancel_scope.cancel()


async def until_served(asking: Bridge, engine: Engine, clock: TestClock) -> None:
    """The owner answers, and its employee is free."""
    wanted, given_back = (
        encode(ClaimAsked("probe", ("boris",), asking.name, release=release)) for release in (False, True)
    )
    with trio.fail_after(10):
        while True:
            with suppress(ExchangeError):
                if not decode(await asking.request(claims_subject("east"), wanted, 1.0), ClaimAnswer).taken:
                    break
            await trio.sleep(0.05)
        await asking.request(claims_subject("east"), given_back, 1.0)
    assert not engine.claims(clock.now_ms())

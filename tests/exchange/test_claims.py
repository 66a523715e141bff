"""Claims on employees of another PBX: held while they are renewed, given up before they lapse, given back."""

from pathlib import Path

import pytest
import trio

from kommutator import Engine
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.claims import ClaimOwner, Claims

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
        await until_served(claims, engine, clock)
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
        await until_served(claims, engine, clock)
        freed.clear()
        assert await claims.claim("call-1", boris) == frozenset()
        assert not engine.reserve("boris", "own call", clock.now_ms())
        claims.keep_only("call-1", frozenset())
        await until(lambda: freed == ["boris"])
        assert engine.reserve("boris", "own call", clock.now_ms())
        assert not await claims.add("call-3", "boris")
        assert await claims.add("call-3", "anna"), "who is at our own PBX is the engine's own to claim"
        nursery.cancel_scope.cancel()


async def until_served(claims: Claims, engine: Engine, clock: TestClock) -> None:
    """The owner answers, and its employee is free."""
    with trio.fail_after(10):
        while await claims.claim("probe", frozenset(("boris",))):
            await trio.sleep(0.05)
        claims.keep_only("probe", frozenset())
        while engine.claims(clock.now_ms()):
            await trio.sleep(0.01)

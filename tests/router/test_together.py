"""Routers in processes of their own: one group at two PBXs, recordings on their way, callers known from their last call."""

from __future__ import annotations

import io
import random
import wave
from collections.abc import Callable
from functools import partial
from itertools import combinations

import pytest
import trio

from kommutator.exchange.messages import (
    ClaimAnswer,
    ClaimAsked,
    Order,
    OrderDone,
    OrderKind,
    claims_subject,
    decode,
    encode,
)
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.lookups import DeskLookups
from kommutator.exchange.nats.orders import give, within
from kommutator.exchange.nats.recordings import DeskRecordings
from kommutator.pbx.simulated.behaviour import CallerAct, PhoneAct
from kommutator.pbx.simulated.codec import Happened, Place
from kommutator.pbx.simulated.control import PbxControl
from tests.exchange.conftest import Desk, TestClock

from .house import COMPANY, DID, House

pytestmark = [pytest.mark.trio, pytest.mark.services]
MESSAGE = (CallerAct("record", speak=1.2, end="hash"),)
CLOCKS_AGREE_MS = 10
"""The shortest ringing is of 100 ms."""
TWO_HOMES = COMPANY.replace("endpoint: PJSIP/102", "endpoint: PJSIP/102, pbx: east")


class Watched:
    """When each phone rang or was held, and by which call, as the PBXs saw it: `since, until, endpoint, call`.

    Each PBX has a clock of its own: how far it is from ours is the least delay with which anything of it was heard.
    """

    def __init__(self) -> None:
        self._seen: list[tuple[str, int, int, str, str]] = []
        self._open: dict[tuple[str, str, str], int] = {}
        self._behind_ms: dict[str, int] = {}

    async def watch(self, pbx: str, hand: PbxControl) -> None:
        while True:
            told = await hand.told()
            if not isinstance(told, Happened):
                continue
            behind_ms = TestClock().now_ms() - told.at_ms
            self._behind_ms[pbx] = min(behind_ms, self._behind_ms.get(pbx, behind_ms))
            if told.endpoint is not None:
                key = (pbx, told.call_id, told.endpoint)
                if told.what == "rings":
                    self._open[key] = told.at_ms
                elif told.what != "answered" and key in self._open:
                    self._seen.append((pbx, self._open.pop(key), told.at_ms, told.endpoint, told.call_id))

    @property
    def legs(self) -> list[tuple[int, int, str, str]]:
        """What was seen, by one clock."""
        behind_ms = self._behind_ms
        return [
            (since + behind_ms[pbx], until + behind_ms[pbx], endpoint, call)
            for pbx, since, until, endpoint, call in self._seen
        ]

    def overlapping(self) -> list[object]:
        """Legs of two calls at one phone at once."""
        return [
            (one, other)
            for one, other in combinations(self.legs, 2)
            if one[2] == other[2]
            and one[3] != other[3]
            and one[0] + CLOCKS_AGREE_MS < other[1]
            and other[0] + CLOCKS_AGREE_MS < one[1]
        ]


async def test_one_group_at_two_pbxs_is_never_rung_twice_also_while_the_exchange_is_cut(
    build: Callable[..., House],
) -> None:
    house = build("west", "east")
    chance, placed = random.Random(3), 0
    house.nats.start()
    for process in (*house.pbxs.values(), *house.routers.values()):
        process.start()
    west, east = house.routers["west"], house.routers["east"]

    def rung(phone: str, pbx: str) -> int:
        return sum(1 for leg in watched.legs if leg[2] == phone and leg[3].startswith(pbx))

    def foreign() -> tuple[int, int]:
        """How often calls of either rang who is at the other."""
        return rung("PJSIP/102", "west"), rung("PJSIP/101", "east")

    def own() -> tuple[int, int]:
        return rung("PJSIP/101", "west"), rung("PJSIP/102", "east")

    def more(now: tuple[int, int], before: tuple[int, int]) -> bool:
        return now[0] > before[0] and now[1] > before[1]

    def ended() -> bool:
        return len(west.ledger()) + len(east.ledger()) == placed

    async def callers(count: int, until: Callable[[], object] = lambda: True) -> None:
        """So many calls, and more until what chance alone decides has come about."""
        nonlocal placed
        for number in range(10 * count):
            if number >= count and until():
                break
            pbx, hand = chance.choice(list(hands.items()))
            await hand.place(Place(DID, "+79161230099", f"{pbx}-{placed}", MESSAGE))
            placed += 1
            await trio.sleep(chance.uniform(0.0, 0.3))

    async with house.desk() as desk, house.hand("west") as at_west, house.hand("east") as at_east:
        hands = {"west": at_west, "east": at_east}
        watched = Watched()
        await desk.start()
        await desk.activate(house.version("v1", TWO_HOMES))
        for name, hand in hands.items():
            await house.routers[name].ready()
            for phone in ("PJSIP/101", "PJSIP/102"):
                acts = [PhoneAct("answer", 0.1, 0.3), PhoneAct("decline", 0.1), PhoneAct("answer", 0.3, 0.2)] * 60
                await hand.behave(phone, acts)
        async with trio.open_nursery() as nursery:
            for name, hand in hands.items():
                await hand.watch()
                nursery.start_soon(watched.watch, name, hand)
            await west.says("line", employee="boris", line="idle")
            await east.says("line", employee="anna", line="idle")
            await callers(20, lambda: more(foreign(), (0, 0)))
            assert more(foreign(), (0, 0))

            # The exchange goes when no call has anybody: each PBX rings its own people.
            await west.until(ended)
            await until_nobody_is_held(desk.desk)
            await trio.to_thread.run_sync(house.nats.kill)
            await west.says("line", employee="boris", line="unreachable")
            await east.says("line", employee="anna", line="unreachable")
            before, own_before = foreign(), own()
            await callers(12, lambda: more(own(), own_before))
            assert more(own(), own_before)
            assert foreign() == before, "another PBX's phone was rung"

            # It goes when calls of either have people of the other, who are theirs until their claims lapse.
            await trio.to_thread.run_sync(house.nats.start)
            await callers(20, lambda: more(foreign(), before))
            assert more(foreign(), before)
            await trio.to_thread.run_sync(house.nats.kill)
            await west.says("line", 2, employee="boris", line="unreachable")
            await east.says("line", 2, employee="anna", line="unreachable")
            first = placed
            await callers(12)
            cut_off = {f"{pbx}-{number}" for pbx in hands for number in range(first, placed)}
            restored_ms = TestClock().now_ms()
            await trio.to_thread.run_sync(house.nats.start)
            await callers(12)
            await west.until(ended)
            nursery.cancel_scope.cancel()
        assert west.figure("kommutator_claims_refused_total") + east.figure("kommutator_claims_refused_total") > 0
    assert watched.overlapping() == []
    homes = {"PJSIP/101": "west", "PJSIP/102": "east"}
    meanwhile = [leg for leg in watched.legs if leg[3] in cut_off and leg[0] + CLOCKS_AGREE_MS < restored_ms]
    assert all(call.startswith(homes[phone]) for _, _, phone, call in meanwhile), "another PBX's phone was rung"
    assert {line["disposition"] for router in (west, east) for line in router.ledger().values()} <= {
        "answered",
        "voicemail",
    }


async def until_nobody_is_held(desk: Desk) -> None:
    """Wait until calls have given back everybody at the other's router: that is under way for a moment after they end."""
    for pbx, employee in (("west", "anna"), ("east", "boris")):
        wanted, given_back = (
            partial(_ask, claims_subject(pbx), ClaimAsked("nobody's", (employee,), "desk", release=release))
            for release in (False, True)
        )
        with trio.fail_after(20):
            while (await trio.to_thread.run_sync(desk.do, wanted)).taken:
                await trio.sleep(0.05)
        await trio.to_thread.run_sync(desk.do, given_back)


async def _ask(subject: str, asked: ClaimAsked, exchange: Exchange) -> ClaimAnswer:
    return decode(await exchange.connection.request(subject, encode(asked)), ClaimAnswer)


async def test_a_message_reaches_the_desk_with_its_sound(build: Callable[..., House]) -> None:
    house = build("west")
    router = house.routers["west"]
    house.nats.start()
    house.pbxs["west"].start()
    router.start()
    kept: dict[str, bytes] = {}
    async with house.desk() as desk, house.hand("west") as hand:

        async def take(name: str) -> None:
            content = await recordings.get(name)
            assert content is not None
            kept[name] = content
            await recordings.done(name)

        recordings = DeskRecordings(desk.desk.exchange, take)
        await desk.start()
        await desk.activate(house.version("v1"))
        await router.ready()
        for phone in ("PJSIP/101", "PJSIP/102"):
            await hand.behave(phone, [PhoneAct("busy")])
        await hand.place(Place(DID, "+79161230099", "call-1", MESSAGE))
        line = await router.ended("call-1")
        message = next(effect for effect in line["effects"] if effect["type"] == "voicemail")
        assert router.figure('kommutator_effects_total{type="voicemail"}') == 1
        await router.until(lambda: message["recording"] in kept)
    with wave.open(io.BytesIO(kept[message["recording"]])) as sound:
        assert sound.getnframes() / sound.getframerate() == pytest.approx(message["seconds"], abs=1.0)


KNOWN = COMPANY.replace("start: team", "start: known").replace(
    "nodes:",
    "nodes:\n      known:   {kind: history, timeout_ms: 1500, exits: {first: team, repeat: mailbox}}",
)


async def test_who_has_called_is_known_without_asking_again(build: Callable[..., House]) -> None:
    house = build("west")
    router = house.routers["west"]
    house.nats.start()
    house.pbxs["west"].start()
    router.start()

    class Memory:
        async def owner_of(self, number: str) -> str | None:
            return None

        async def called_before(self, number: str, days: int | None) -> bool:
            return False

    async with house.desk() as desk, house.hand("west") as hand:
        DeskLookups(desk.desk.exchange, Memory())
        await desk.start()
        await desk.activate(house.version("v1", KNOWN))
        await router.ready()
        await hand.behave("PJSIP/101", [PhoneAct("answer", 0.05, 0.05)])
        await hand.place(Place(DID, "89161230099", "first", MESSAGE))
        assert (await router.ended("first"))["disposition"] == "answered"
        await hand.place(Place(DID, "+7 916 123-00-99", "second", MESSAGE))
        assert (await router.ended("second"))["disposition"] == "voicemail"
        assert router.figure('kommutator_lookups_total{outcome="never_called",question="history"}') == 1


async def test_orders_of_a_desk_are_carried_out_by_the_router_of_the_call(build: Callable[..., House]) -> None:
    house = build("west")
    router = house.routers["west"]
    house.nats.start()
    house.pbxs["west"].start()
    router.start()
    async with house.desk() as desk, house.hand("west") as hand:
        given: list[OrderKind] = []

        async def order(kind: OrderKind, **more: str) -> OrderDone:
            made = within(Order(f"{kind} {len(given)}", kind, "anna", 0, **more), TestClock().now_ms(), 10)
            given.append(kind)
            done: OrderDone = await trio.to_thread.run_sync(
                desk.desk.do, lambda exchange: give(exchange, "west", made, 10)
            )
            return done

        await desk.start()
        await desk.activate(house.version("v1"))
        await router.ready()
        await hand.behave("PJSIP/101", [PhoneAct("answer", 0.1)])
        await hand.behave("PJSIP/102", [])
        await hand.place(Place(DID, "+79161230099", "call-1"))
        await router.turned("call-1", "talk")
        wrong = await order("complete", call="call-1")
        assert (wrong.done, wrong.reason) == (False, "wrong_state")
        assert (await order("consult", call="call-1", employee="boris")).done
        await router.until(lambda: router.said("line", employee="boris", line="ringing"))
        await hand.pick_up("PJSIP/102")
        await router.says("line", employee="boris", line="busy")
        assert (await order("complete", call="call-1")).done
        await router.says("line", employee="anna", line="idle", count=2)
        await hand.hang_up("call-1")
        assert (await router.ended("call-1"))["disposition"] == "answered"

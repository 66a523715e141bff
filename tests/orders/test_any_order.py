"""Whatever operators, managers, clients and routers do, in whatever order: nobody is in two conversations, nobody is
left alone on hold, every call has one line in the ledger."""

from __future__ import annotations

from typing import Any

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kommutator.routing.order import OrderKind
from kommutator.routing.talks import RINGS_S

from .house import PHONES, House, play

PEOPLE = st.sampled_from(sorted(PHONES))
CALLS = st.integers(0, 1)
KINDS: list[OrderKind] = [
    "answer", "hang_up", "hold", "unhold", "consult", "cancel_consult", "swap", "complete", "transfer", "call_back",
]  # fmt: skip
ACTS = st.one_of(
    st.tuples(st.just("order"), st.sampled_from(KINDS), CALLS, PEOPLE, PEOPLE),
    st.tuples(st.sampled_from(["pick_up", "put_down", "hold", "unhold"]), PEOPLE),
    st.tuples(st.just("pick_up"), PEOPLE),
    st.tuples(st.just("time"), st.sampled_from([0.0, 0.5, 5.0, 40.0])),
    st.tuples(st.just("client_goes"), CALLS),
    st.tuples(st.just("router_dies"), st.sampled_from([0.0, 3.0])),
)
SILENT = {endpoint: {"does": "silent"} for endpoint in PHONES.values()}
LEFT_S = 3 * RINGS_S
"""The longest that a client may be left with nobody: a guest's ringing and the operator's, and a message after."""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(ACTS, max_size=25), st.booleans())
def test_in_any_order(acts: list[tuple[Any, ...]], at_once: bool) -> None:
    async def story(house: House) -> None:
        clients = [await house.client_comes(f"+791612300{n:02}") for n in range(2)]
        await house.until(lambda: any(client.legs for client in clients))
        async with trio.open_nursery() as nursery:
            for act in acts:
                match act:
                    case ("order", kind, call, by, whom):
                        target = {"employee": whom} if kind in ("consult", "transfer") else {}
                        if kind == "call_back":
                            target = {"number": "+79990000000"}

                        async def give(
                            kind: OrderKind = kind, call: int = call, by: str = by, target: dict[str, str] = target
                        ) -> None:
                            await house.order(kind, clients[call], by, **target)  # type: ignore[arg-type]

                        if at_once:
                            nursery.start_soon(give)
                        else:
                            await give()
                    case ("pick_up", who):
                        house.world.pick_up(PHONES[who])
                    case ("put_down", who):
                        house.world.put_down(PHONES[who])
                    case ("hold" | "unhold" as what, who):
                        house.world.press_hold(PHONES[who], what == "hold")
                    case ("time", seconds):
                        await trio.sleep(seconds)
                    case ("client_goes", call):
                        house.world.hang_up(clients[call], "hung_up")
                    case ("router_dies", away):
                        await house.another_router(away)
                house.check()
        house.check()
        house.put_down_all()
        for _ in range(12):
            await trio.sleep(LEFT_S / 12)
            house.put_down_all()
            house.check()
        assert all(client.gone_ms is not None for client in clients), "a client is left with nobody"

    play(story, {**SILENT, "+79990000000": {"does": "answer", "after": 1, "talks": 20}})

"""What an operator does with a call, at the simulated PBX: every order, every detour, and a router that dies in it."""

from __future__ import annotations

import pytest
import trio

from kommutator.pbx.simulated.world import Channel
from kommutator.routing.conversation import Stage
from kommutator.routing.order import OrderKind
from kommutator.routing.talks import RINGS_S

from .house import COMPANY, House, company, play

ANNA, BORIS, VERA = "PJSIP/101", "PJSIP/102", "PJSIP/103"


def answers(after: float = 1) -> dict[str, object]:
    return {BORIS: {"does": "answer", "after": after}}


def test_a_consultation_is_completed_and_the_client_talks_with_the_manager() -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        done = await house.does("consult", client, employee="boris")
        assert done.state["stage"] == "calling"
        assert done.state["consultation"] == {
            "employee": "boris", "endpoint": BORIS, "state": "ringing", "with": None
        }  # fmt: skip
        assert client.audio is not None
        assert client.audio.client == "music"
        assert house.reserved() == {"boris"}
        await house.stage(client, Stage.PRIVATE)
        await house.does("complete", client)
        await house.until(lambda: set(client.legs) == {BORIS})
        assert house.passed_on() == [("consulted", "passed", None)]
        assert (await house.order("hang_up", client)).reason == "not_yours"
        await house.until(lambda: house.router.lines["anna"] == "idle")
        await house.does("hang_up", client, by="boris")
        await house.over(client)

    house = play(story, answers())
    assert house.consulted() == ["calling", "ringing", "agreed"]
    (line,) = house.journal.lines
    assert line["disposition"] == "answered"
    assert [leg["employee"] for leg in line["legs"] if leg["outcome"] == "answered"] == ["anna", "boris"]


@pytest.mark.parametrize("does", ["busy", "decline", "unreachable", "silent"])
def test_a_manager_who_does_not_answer_gives_the_client_back(does: str) -> None:
    told = {"busy": "busy", "decline": "declined", "unreachable": "unreachable", "silent": "no_answer"}[does]

    async def story(house: House) -> None:
        client = await house.client_talks()
        house.router.lines["boris"] = "idle"
        done = await house.order("consult", client, employee="boris")
        assert done.done or done.reason == told
        await house.until(lambda: told in house.consulted(), RINGS_S + 5)
        await house.stage(client, Stage.TALKING)
        assert house.reserved() == set()
        assert set(client.legs) == {ANNA}

    play(story, {BORIS: {"does": does, "after": 2 if does == "decline" else 0}})


@pytest.mark.parametrize("line", ["busy", "ringing", "unreachable"])
def test_nobody_is_called_whose_line_is_not_free(line: str) -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        house.router.line("boris", line)
        done = await house.order("consult", client, employee="boris")
        assert done.reason == ("unreachable" if line == "unreachable" else "busy")
        assert house.consulted() == []
        assert house.reserved() == set()

    play(story)


def test_a_manager_whom_another_call_claims_cannot_be_had() -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        assert house.engine.reserve("boris", "another", house.simulation.agenda.now_ms())
        assert (await house.order("consult", client, employee="boris")).reason == "busy"
        house.engine.release("boris", "another")
        await house.does("consult", client, employee="boris")

    play(story)


def test_orders_that_do_not_fit_are_refused_and_change_nothing() -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        kinds: list[OrderKind] = ["unhold", "cancel_consult", "swap", "complete"]
        for kind in kinds:
            assert (await house.order(kind, client)).reason == "wrong_state"
        await house.does("consult", client, employee="boris")
        kinds = ["hold", "swap", "complete"]
        for kind in kinds:
            assert (await house.order(kind, client)).reason == "wrong_state"
        assert (await house.order("consult", client, employee="vera")).reason == "wrong_state"
        assert house.reserved() == {"boris"}
        assert (await house.order("cancel_consult", client, by="vera")).reason == "not_yours"
        await house.does("cancel_consult", client)
        assert (await house.order("consult", client, employee="anna")).reason == "bad_target"
        assert (await house.order("consult", client, endpoint="PJSIP/1&PJSIP/2")).reason == "bad_target"
        assert (await house.order("consult", client, employee="nobody")).reason == "unknown_employee"
        assert (await house.order("hold", None)).reason == "unknown_call"
        assert house.consulted() == ["calling", "ringing", "cancelled"]

    play(story)


def test_the_operator_talks_with_both_by_turns() -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        await house.does("consult", client, employee="boris")
        await house.stage(client, Stage.PRIVATE)
        done = await house.does("swap", client)
        assert done.state["consultation"]["with"] == "client"
        assert client.audio is not None
        assert (client.audio.client, client.audio.guest) == ("operator", "music")
        await house.does("swap", client)
        assert (client.audio.client, client.audio.guest) == ("music", "operator")
        await house.does("swap", client)
        await house.does("cancel_consult", client)
        await house.stage(client, Stage.TALKING)
        assert set(client.legs) == {ANNA}

    play(story, answers())


def test_hold_by_the_desk_and_by_the_phone() -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        assert (await house.does("hold", client)).state["held"]
        assert client.audio is not None
        assert client.audio.client == "music"
        assert (await house.order("hold", client)).reason == "wrong_state"
        assert not (await house.does("unhold", client)).state["held"]
        house.world.press_hold(ANNA, True)
        await house.until(lambda: len(house.held()) == 3)
        assert (await house.order("unhold", client)).reason == "held_by_phone"
        house.world.press_hold(ANNA, False)
        await house.until(lambda: len(house.held()) == 4)
        assert house.held() == [(True, False), (False, False), (True, True), (False, True)]

    play(story)


@pytest.mark.parametrize("stage", [Stage.PRIVATE, Stage.WAITING])
def test_the_operators_phone_hanging_up_completes_what_was_agreed(stage: Stage) -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        await house.does("consult", client, employee="boris")
        await house.stage(client, Stage.PRIVATE)
        if stage is Stage.WAITING:
            await house.does("swap", client)
        assert house.world.put_down(ANNA)
        await house.until(lambda: set(client.legs) == {BORIS})
        await house.stage(client, Stage.TALKING)
        assert house.passed_on() == [("consulted", "passed", None)]
        assert client.gone_ms is None

    play(story, answers())


@pytest.mark.parametrize("by", ["phone", "hang_up", "transfer"])
def test_leaving_while_the_manager_rings_is_a_blind_transfer(by: str) -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        await house.does("consult", client, employee="boris")
        if by == "phone":
            assert house.world.put_down(ANNA)
        else:
            await house.does("hang_up" if by == "hang_up" else "transfer", client)
        await house.stage(client, Stage.PASSING)
        assert client.audio is not None
        assert client.audio.client == "ringing"
        await house.until(lambda: set(client.legs) == {BORIS})
        assert house.world.pick_up(BORIS)
        await house.stage(client, Stage.TALKING)
        assert house.passed_on() == [("blind", "ringing", None), ("blind", "passed", None)]
        await house.does("hold", client, by="boris")

    play(story)


@pytest.mark.parametrize("does", ["decline", "silent", "busy", "unreachable"])
def test_a_blind_transfer_that_nobody_takes_returns_to_the_operator(does: str) -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        house.router.lines["boris"] = "idle"
        await house.order("transfer", client, employee="boris")
        await house.until(lambda: ("blind", "returned") in [told[:2] for told in house.passed_on()], 60)
        await house.stage(client, Stage.TALKING)
        assert set(client.legs) == {ANNA}
        assert house.reserved() == set()
        await house.does("hang_up", client)
        await house.over(client)

    house = play(story, {BORIS: {"does": does, "after": 1 if does == "decline" else 0}})
    reason = {"decline": "declined", "silent": "no_answer", "busy": "busy", "unreachable": "unreachable"}[does]
    assert house.passed_on() == [
        ("blind", "ringing", None),
        ("blind", "returning", reason),
        ("blind", "returned", reason),
    ]


def test_a_client_whom_nobody_takes_is_let_go_and_everybody_is_told() -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        await house.does("transfer", client, employee="boris")
        await house.over(client, 3 * RINGS_S)
        assert client.gone_ms is not None

    phones = {ANNA: [{"does": "answer", "after": 1}, {"does": "silent"}]}
    house = play(story, phones)
    assert [told[1] for told in house.passed_on()] == ["ringing", "returning", "lost"]


def test_a_blind_transfer_can_be_taken_back() -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        await house.does("transfer", client, employee="boris")
        await house.does("cancel_consult", client)
        await house.stage(client, Stage.TALKING)
        assert house.passed_on()[-1] == ("blind", "returned", "cancelled")

    play(story)


@pytest.mark.parametrize("stage", [Stage.HELD, Stage.CALLING, Stage.PRIVATE, Stage.WAITING, Stage.PASSING])
def test_when_the_client_goes_every_phone_is_freed(stage: Stage) -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        await bring_to(house, client, stage)
        house.world.hang_up(client, "hung_up")
        await house.over(client)
        assert house.world.quiet
        assert house.engine.claims(house.simulation.agenda.now_ms()) == []
        assert (await house.order("complete", client)).reason == "unknown_call"

    house = play(story)
    if stage in (Stage.CALLING, Stage.PRIVATE, Stage.WAITING):
        assert house.consulted()[-1] == "cancelled"


@pytest.mark.parametrize("stage", [Stage.PRIVATE, Stage.WAITING])
def test_when_the_manager_goes_the_operator_has_the_client_again(stage: Stage) -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        await bring_to(house, client, stage)
        assert house.world.put_down(BORIS)
        await house.stage(client, Stage.TALKING)
        assert set(client.legs) == {ANNA}
        assert house.consulted()[-1] == "gone"

    play(story)


@pytest.mark.parametrize("stage", list(Stage)[:7])
def test_another_router_goes_on_in_every_stage(stage: Stage) -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        await bring_to(house, client, stage)
        before = [leg for leg in house.world.legs if leg.ended_ms is None]
        await house.another_router(1.0)
        await house.stage(client, stage)
        assert [leg for leg in house.world.legs if leg.ended_ms is None] == before
        match stage:
            case Stage.TALKING:
                await house.does("hold", client)
            case Stage.HELD:
                await house.does("unhold", client)
            case Stage.CALLING:
                assert house.reserved() == {"boris"}
                house.world.pick_up(BORIS)
                await house.stage(client, Stage.PRIVATE)
                await house.does("complete", client)
                await house.until(lambda: set(client.legs) == {BORIS})
            case Stage.PRIVATE | Stage.WAITING:
                house.world.put_down(ANNA)
                await house.stage(client, Stage.TALKING)
                assert set(client.legs) == {BORIS}
                await house.does("hold", client, by="boris")
            case Stage.PASSING:
                house.world.pick_up(BORIS)
                await house.stage(client, Stage.TALKING)
            case Stage.RETURNING:
                house.world.pick_up(ANNA)
                await house.stage(client, Stage.TALKING)

    play(story, {ANNA: [{"does": "answer", "after": 1}, {"does": "silent"}]})


@pytest.mark.parametrize(
    ("stage", "gone", "after"),
    [
        (Stage.CALLING, ANNA, Stage.PASSING),
        (Stage.CALLING, BORIS, Stage.TALKING),
        (Stage.PRIVATE, ANNA, Stage.TALKING),
        (Stage.PRIVATE, BORIS, Stage.TALKING),
        (Stage.PASSING, BORIS, Stage.RETURNING),
    ],
)
def test_who_left_while_no_router_was_there_is_noticed_by_the_next(stage: Stage, gone: str, after: Stage) -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        await bring_to(house, client, stage)
        house._router_scope.cancel()
        await trio.sleep(0.1)
        assert house.world.put_down(gone)
        await house.start_router()
        await house.stage(client, after)

    play(story, {ANNA: [{"does": "answer", "after": 1}, {"does": "silent"}]})


def test_somebody_whom_the_calls_own_company_version_does_not_know_can_take_the_client() -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        house.engine.activate(house.engine.hold(company(house_of=COMPANY.replace("vera:", "galina:")).engine_json))
        house.router.line("galina", "idle")
        await house.does("consult", client, employee="galina", endpoint=VERA)
        assert house.world.pick_up(VERA)
        await house.stage(client, Stage.PRIVATE)
        await house.does("complete", client)
        await house.until(lambda: set(client.legs) == {VERA})
        await house.does("hold", client, by="galina")

    play(story)


def test_a_consultation_longer_than_a_promise_keeps_the_manager() -> None:
    async def story(house: House) -> None:
        client = await house.client_talks()
        await house.does("consult", client, employee="boris")
        await house.stage(client, Stage.PRIVATE)
        for _ in range(20):
            await trio.sleep(10)
            assert house.reserved() == {"boris"}

    play(story, answers())


def test_an_order_picks_up_the_phone_that_rings() -> None:
    async def story(house: House) -> None:
        client = await house.client_comes()
        await house.until(lambda: len(client.legs) == 3)
        assert (await house.order("answer", client, by="nobody")).reason == "not_yours"
        await house.does("answer", client, by="boris")
        assert set(client.legs) == {BORIS}
        assert (await house.order("answer", client, by="vera")).reason == "wrong_state"
        assert (await house.does("hold", client, by="boris")).state["operator"] == "boris"

    play(story, {ANNA: {"does": "silent"}})


async def bring_to(house: House, client: Channel, stage: Stage) -> None:
    """From a conversation of client and operator."""
    match stage:
        case Stage.HELD:
            await house.does("hold", client)
        case Stage.CALLING | Stage.PRIVATE | Stage.WAITING:
            await house.does("consult", client, employee="boris")
            if stage is not Stage.CALLING:
                assert house.world.pick_up(BORIS)
                await house.stage(client, Stage.PRIVATE)
            if stage is Stage.WAITING:
                await house.does("swap", client)
        case Stage.PASSING | Stage.RETURNING:
            await house.does("transfer", client, employee="boris")
            if stage is Stage.RETURNING:
                house.world.put_down(BORIS)
    await house.stage(client, stage)

"""The simulated PBX under load: a real PBX process, and a router process that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from kommutator.company.reader import load
from kommutator.errors import BadTarget, TargetUnreachable
from kommutator.load.people import Chances
from kommutator.load.reference import Reference
from kommutator.load.target import Ask, Options, Target, Told
from kommutator.load.targets import make
from kommutator.load.targets.simulated import disagreement
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.control import control_of
from tests.simulated.conftest import Pbx, Router

from .servers import PATIENCE_S, ask_all, asks, killed_meanwhile

COMPANY = Path(__file__).parents[1] / "simulated" / "company.yaml"
DIDS = [f"+7495111000{last}" for last in (1, 2, 3, 4, 9)]
FIRST = ["play", "menu", "ring", "record", "hang_up"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Pbx, Router]]:
    """A PBX that runs, and the router that serves it; the last test ends them."""
    folder = tmp_path_factory.mktemp("pbx")
    pbx = Pbx(folder)
    router = Router(pbx, folder / "router")
    try:
        pbx.start()
        router.start()
        trio.run(_served, pbx)
        yield pbx, router
    finally:
        for each in (router, pbx):
            if each.running:
                each.end()


async def _served(pbx: Pbx) -> None:
    with trio.fail_after(PATIENCE_S):
        while True:
            async with control_of(pbx.socket) as control:
                glance: codec.Glance = await control.about()
            if glance.router and glance.sounds.names:
                return
            await trio.sleep(0.02)


def led(address: str, options: Options, calls: list[Ask], right: Path) -> tuple[list[Told], set[str | None]]:
    """What was told, and what is wrong with it by the document `right`."""
    reference = Reference(load(right))
    wrong: set[str | None] = set()

    def compare(target: Target, told: list[Told]) -> None:
        wrong.update(target.compare(reference.expect(ask), each) for ask, each in zip(calls, told, strict=True))

    return ask_all(address, options, calls, compare), wrong


@pytest.mark.services
def test_first_actions_are_right_and_another_companys_wrong(served: tuple[Pbx, Router], tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(COMPANY.read_text(encoding="utf-8").replace("prompt: hello", "prompt: choose"), encoding="utf-8")
    address = f"pbx:{served[0].socket}"
    told, wrong = led(address, Options(), asks(DIDS * 20, "right"), COMPANY)
    assert [each.error for each in told] == [None] * 100
    assert wrong == {None}
    assert {each.actions[0]["type"] for each in told} >= set(FIRST)
    assert all(0 < each.sent_at < each.first_at for each in told)
    told, wrong = led(address, Options(), asks([DIDS[0]], "wrong"), other)
    assert wrong == {"play {'prompt': 'hello'}, expected play {'prompt': 'choose'}"}


@pytest.mark.services
def test_whole_calls_are_led_to_their_end_and_agree_with_the_records(served: tuple[Pbx, Router]) -> None:
    options = Options(whole=True, chances=Chances(answers=1, no_answer=0, hangs_up=0, silent=0))
    address = f"pbx:{served[0].socket}?rings=0.1&talks=0.2"
    # One after the other: who finds everybody on a call leaves a message, or waits.
    menu, team, nobody = (led(address, options, asks([did], did), COMPANY) for did in (DIDS[1], DIDS[2], DIDS[4]))
    for told, wrong in (menu, team, nobody):
        assert [each.error for each in told] == [None], told[0].detail
        assert wrong == {None}
        assert len(told[0].actions) == len(told[0].events) + 1
    for told, _ in (menu, team):
        assert [each["type"] for each in told[0].actions[-3:]] == ["ring", "talk", "end"], told
        assert [each["type"] for each in told[0].events[-2:]] == ["answered", "conversation_ended"]
        assert told[0].actions[-1]["disposition"] == "answered"
        assert told[0].steps_s
    assert nobody[0][0].actions[-1]["disposition"] == "failed"
    assert [told[0].outcome for told, _ in (menu, team, nobody)] == ["answered", "answered", "refused: unallocated"]


@pytest.mark.services
def test_without_router_and_without_pbx_calls_are_errors_of_their_kinds(served: tuple[Pbx, Router]) -> None:
    pbx, router = served
    report = killed_meanwhile(f"pbx:{pbx.socket}", [DIDS[3]], router.end)
    assert report.answered >= 20
    assert report.server is not None, "the PBX is found by its socket"
    assert report.server.pids
    assert report.errors["no router"] > 0
    assert report.errors.keys() <= {"no router", "timeout"}, (
        "a call that comes before the PBX has seen the end is nobody's"
    )
    assert report.answered + sum(report.errors.values()) == report.calls

    async def main() -> None:
        target = make(f"pbx:{pbx.socket}", Options())
        with trio.fail_after(PATIENCE_S):
            async with trio.open_nursery() as nursery:
                with pytest.raises(TargetUnreachable, match="no router serves"):
                    await target.open(nursery)
                pbx.end()
                (call,) = asks([DIDS[0]], "dead")
                assert (await target.ask(call)).error == "closed"
                with pytest.raises(TargetUnreachable):
                    await make(f"pbx:{pbx.socket}", Options()).open(nursery)
                nursery.cancel_scope.cancel()

    trio.run(main)


@pytest.mark.parametrize(
    ("disposition", "picked_up", "recorded_s", "left", "agrees"),
    [
        ("answered", True, 0.0, True, True),
        ("answered", False, 0.0, True, False),
        ("transferred", False, 0.0, False, False),
        ("busy", True, 0.0, False, False),
        ("voicemail", False, 1.0, False, True),
        ("voicemail", False, 0.4, False, False),
        ("abandoned", False, 0.0, True, True),
        ("abandoned", False, 0.0, False, False),
        ("no_answer", False, 0.0, False, True),
    ],
)
def test_a_disposition_is_held_against_the_records(
    disposition: str, picked_up: bool, recorded_s: float, left: bool, agrees: bool
) -> None:
    wrong = disagreement(disposition, picked_up=picked_up, recorded_s=recorded_s, left=left)
    assert (wrong is None) is agrees


@pytest.mark.parametrize("address", ["pbx:", "pbx:x.sock?rings=-1", "pbx:x.sock?other=1", "pbx:x.sock?talks=long"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(BadTarget):
        make(address, Options())

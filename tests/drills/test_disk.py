"""The disk of the whole data folder takes nothing: calls go on, somebody is told, and nothing is missing afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import trio

from kommutator.pbx.simulated.behaviour import CallerAct, PhoneAct
from kommutator.pbx.simulated.codec import Place
from tests.drills.reckoning import agree, effects_once, settled
from tests.drills.stack import Stack
from tests.drills.watching import Callers, Watched
from tests.router.disk import Disk

pytestmark = [pytest.mark.trio, pytest.mark.services]

SIZE = "320m"
"""PostgreSQL's new cluster takes about 60 MiB of it."""
RECOVERY_S = 90.0
"""What could not start is tried every 30 s."""
COMPANY = """
company: {name: Диск, timezone: Europe/Moscow, country: RU, language: ru}
employees:
  anna: {name: Анна Смирнова, department: sales, endpoint: PJSIP/101}
  boris: {name: Борис Орлов, department: sales, endpoint: PJSIP/102}
departments: {sales: {name: Отдел продаж}}
prompts: {leave-message: {say: "Оставьте сообщение.", seconds: 0.2}}
templates: {card: {text: "{company}: {caller}"}}
numbers: {"+74951110001": {scheme: talk}, "+74951110002": {scheme: message}}
schemes:
  talk:
    start: card
    responsible: sales
    nodes:
      card: {kind: sms, to: caller, template: card, exits: {done: team}}
      team: {kind: ring, ring: [{department: sales}], strategy: linear, seconds: 5, exits: {no_answer: mailbox}}
      mailbox: {kind: voicemail, prompt: leave-message, seconds: 20, email: [office@example.test], exits: {done: bye}}
      bye: {kind: hangup}
  message:
    start: mailbox
    responsible: sales
    nodes:
      mailbox: {kind: voicemail, prompt: leave-message, seconds: 20, email: [office@example.test], exits: {done: bye}}
      bye: {kind: hangup}
"""
SPEAKS = (CallerAct("record", speak=1, end="hash"),)


def caller(number: int) -> Place:
    """They talk with somebody, or leave a message."""
    return Place(f"+7495111000{1 + number % 2}", f"+7916{4_007_001 + 2 * number}", f"call-{number}", SPEAKS)


@pytest.fixture
def disks() -> Iterator[list[Disk]]:
    """What is mounted during the test."""
    mounted: list[Disk] = []
    yield mounted
    for disk in reversed(mounted):
        disk.away()


async def begun(stack: Stack) -> None:
    """The stack with a company."""
    stack.start()
    await stack.says(process="desk", state="ready")
    await stack.activate(COMPANY)
    await stack.ready()
    async with stack.hand("office") as hand:
        for phone in ("PJSIP/101", "PJSIP/102"):
            await hand.behave(phone, [PhoneAct("answer", 0.1, 0.4)])


async def alarmed(stack: Stack) -> None:
    """The log has the alarm, and so have the figures."""
    await stack.says(alarm="spool", level="critical")

    async def troubled() -> bool:
        figures = ("kommutator_spool_troubled", "kommutator_journal_troubled")
        return all([await stack.figure("office", figure) == 1 for figure in figures])

    await stack.until(troubled, "the figures tell of the disk")


async def ended(stack: Stack, more: int) -> None:
    """So many more calls have ended, and the router says so: its ledger cannot."""
    before = len(stack.said(event="call ended"))
    await stack.until(lambda: len(stack.said(event="call ended")) >= before + more, f"{more} more calls end")


async def test_a_full_disk_under_everything_stops_no_call_and_loses_none(
    build: Callable[..., Stack], disks: list[Disk]
) -> None:
    stack = build("office")
    disks.append(Disk(stack.data, SIZE))
    await begun(stack)
    async with stack.hand("office") as hand, trio.open_nursery() as nursery:
        watched = Watched(hand)
        await watched.begin(nursery)
        callers = Callers(watched, 4, caller)
        nursery.start_soon(callers.run)
        await ended(stack, 6)
        await trio.to_thread.run_sync(disks[0].fill)
        await alarmed(stack)
        await ended(stack, 12)
        disks[0].empty()
        await ended(stack, 6)
        callers.stop()
        await stack.until(lambda: not watched.going_on(), "every caller has gone")
        await settled(stack, "office", len(watched.calls()), RECOVERY_S)
        assert await stack.figure("office", "kommutator_spool_troubled") == 0
        assert await stack.figure("office", "kommutator_journal_troubled") == 0
        nursery.cancel_scope.cancel()
    lines = await agree(stack, "office", watched.calls())
    await effects_once(stack, lines)
    assert stack.stop() == 0


async def test_a_data_folder_that_is_read_only_from_the_start_stops_no_call_and_loses_none(
    build: Callable[..., Stack], disks: list[Disk]
) -> None:
    stack = build("office")
    disks.append(Disk(stack.data, SIZE))
    disks.append(Disk(stack.data / "pbx"))  # a PBX that is not simulated has its socket elsewhere
    await begun(stack)
    assert stack.stop() == 0
    disks[0].remount("ro")
    stack.start()
    await stack.says(process="route-office", state="ready", event=lambda event: "version 1" in event)
    for server in ("postgres", "nats"):
        assert not stack.said(process=server, state="ready")
    async with stack.hand("office") as hand, trio.open_nursery() as nursery:
        for phone in ("PJSIP/101", "PJSIP/102"):
            await hand.behave(phone, [PhoneAct("answer", 0.1, 0.4)])
        watched = Watched(hand)
        await watched.begin(nursery)
        callers = Callers(watched, 4, caller)
        nursery.start_soon(callers.run)
        await ended(stack, 8)
        await alarmed(stack)
        disks[0].remount("rw")
        await ended(stack, 4)
        callers.stop()
        await stack.until(lambda: not watched.going_on(), "every caller has gone")
        await settled(stack, "office", len(watched.calls()), RECOVERY_S)
        nursery.cancel_scope.cancel()
    lines = await agree(stack, "office", watched.calls())
    await effects_once(stack, lines)
    assert stack.stop() == 0

"""Calls as desks show them, from the entries of a real router's journal in the stories of `tests/orders`."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

import pytest
import trio

from kommutator.desk.live import calls
from kommutator.desk.live.calls import Call
from kommutator.routing.conversation import Stage
from kommutator.routing.doings import Doing
from kommutator.routing.entries import Began, CallEntry, Ended, Turned
from kommutator.routing.ledger import MemoryJournal
from kommutator.routing.turn import Event, Turn
from tests.orders import house as houses
from tests.orders.house import House, play

Story = Callable[[House], Awaitable[None]]
Seen = list[tuple[str, str | None, str | None]]


class Telling(MemoryJournal):
    """A journal that keeps entries as they are told over the exchange."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[CallEntry] = []

    def began(self, call_id: str, did: str, caller: str | None, at_ms: int) -> None:
        """A call arrived."""
        self.entries.append(Began(call_id, did, caller, at_ms))
        super().began(call_id, did, caller, at_ms)

    def turned(self, call_id: str, at_ms: int, event: Event | None, turn: Turn, /) -> None:
        """A turn was decided."""
        self.entries.append(Turned(call_id, at_ms, None if event is None else dict(event), turn))
        super().turned(call_id, at_ms, event, turn)

    def ended(self, call_id: str, at_ms: int, disposition: str, fault: str) -> None:
        """The call is over."""
        self.entries.append(Ended(call_id, at_ms, disposition, fault))
        super().ended(call_id, at_ms, disposition, fault)

    def did(self, doing: Doing) -> None:
        """Somebody did something."""
        self.entries.append(doing)
        super().did(doing)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[CallEntry]]:
    """Plays a story and gives the entries of its only call."""

    def made(story: Story, phones: dict[str, object] | None = None) -> list[CallEntry]:
        monkeypatch.setattr(houses, "MemoryJournal", Telling)
        journal = play(story, phones).journal
        assert isinstance(journal, Telling)
        return journal.entries

    return made


def followed(entries: list[CallEntry]) -> Call:
    """The call after these, one by one."""
    call = Call("call-1", "main")
    for entry in entries:
        call = calls.take(call, entry)
    return call


def seen_by(employee: str, entries: list[CallEntry]) -> Seen:
    """What an employee's card shows one after the other: state, consultation, who hung up; `gone` when there is none."""
    seen: Seen = []
    call, had = Call("call-1", "main"), False
    for entry in entries:
        call = calls.take(call, entry)
        seat = calls.seats(call).get(employee)
        if seat is None:
            if had:
                seen.append(("gone", *calls.left(call, employee)))
            had = False
            continue
        had = True
        asked = seat.consultation
        now = (seat.state, None if asked is None else asked.state, seat.over_by)
        if not seen or seen[-1] != now:
            seen.append(now)
    return seen


async def completed(house: House) -> None:
    client = await house.client_talks()
    await house.does("consult", client, employee="boris")
    await house.stage(client, Stage.PRIVATE)
    await house.does("swap", client)
    await house.does("complete", client)
    await house.until(lambda: set(client.legs) == {"PJSIP/102"})
    await house.does("hang_up", client, by="boris")
    await house.over(client)


async def declined(house: House) -> None:
    client = await house.client_talks()
    await house.does("consult", client, employee="boris")
    await house.stage(client, Stage.TALKING)
    await house.does("hang_up", client)
    await house.over(client)


async def client_goes(house: House) -> None:
    client = await house.client_talks()
    await house.does("consult", client, employee="boris")
    await house.stage(client, Stage.PRIVATE)
    house.world.hang_up(client, "hung_up")
    await house.over(client)


async def blind(house: House) -> None:
    client = await house.client_talks()
    await house.does("transfer", client, employee="boris")
    await house.until(lambda: set(client.legs) == {"PJSIP/102"} and client.legs["PJSIP/102"].up)
    await trio.sleep(1)


async def blind_in_vain(house: House) -> None:
    client = await house.client_talks()
    await house.does("transfer", client, employee="boris")
    await house.stage(client, Stage.TALKING, 120)


async def held(house: House) -> None:
    client = await house.client_talks()
    await house.does("hold", client)
    await house.does("consult", client, employee="vera")
    await house.does("cancel_consult", client)
    await house.does("hang_up", client)
    await house.over(client)


async def unanswered(house: House) -> None:
    client = await house.client_comes()
    await trio.sleep(5)
    house.world.hang_up(client, "hung_up")
    await house.over(client)


BORIS_ANSWERS: dict[str, object] = {"PJSIP/102": {"does": "answer", "after": 1}}
BORIS_DECLINES: dict[str, object] = {"PJSIP/102": {"does": "decline", "after": 2}}
NOBODY_ANSWERS: dict[str, object] = {"PJSIP/101": {"does": "silent"}}
STORIES: dict[str, tuple[Story, dict[str, object] | None, Seen, Seen]] = {
    "completed": (
        completed, BORIS_ANSWERS,
        [("offered", None, None), ("talking", None, None), ("consulting", "calling", None),
         ("consulting", "ringing", None), ("consulting", "agreed", None), ("gone", "elsewhere", "boris")],
        [("offered", None, None), ("talking", None, None), ("over", None, "us")],
    ),
    "declined": (
        declined, BORIS_DECLINES,
        [("offered", None, None), ("talking", None, None), ("consulting", "calling", None),
         ("consulting", "ringing", None), ("talking", "declined", None), ("over", None, "us")],
        [("offered", None, None), ("gone", "elsewhere", "anna")],
    ),
    "the client goes": (
        client_goes, BORIS_ANSWERS,
        [("offered", None, None), ("talking", None, None), ("consulting", "calling", None),
         ("consulting", "ringing", None), ("consulting", "agreed", None), ("talking", None, None),
         ("over", None, "client")],
        [("offered", None, None), ("talking", None, None), ("gone", "elsewhere", "anna")],
    ),
    "blind": (
        blind, BORIS_ANSWERS,
        [("offered", None, None), ("talking", None, None), ("consulting", "ringing", None), ("gone", "elsewhere", "boris")],
        [("offered", None, None), ("talking", None, None), ("over", None, "client")],
    ),
    "blind in vain": (
        blind_in_vain, BORIS_DECLINES,
        [("offered", None, None), ("talking", None, None), ("consulting", "ringing", None),
         ("talking", "declined", None), ("over", None, "client")],
        [("offered", None, None), ("gone", "elsewhere", "anna")],
    ),
    "held": (
        held, None,
        [("offered", None, None), ("talking", None, None), ("consulting", "calling", None),
         ("consulting", "ringing", None),
         ("talking", None, None), ("over", None, "us")],
        [],
    ),
    "unanswered": (
        unanswered, NOBODY_ANSWERS,
        [("offered", None, None), ("gone", "hung_up", None)],
        [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_what_operator_and_manager_see(told: Callable[..., list[CallEntry]], name: str) -> None:
    story, phones, operator, manager = STORIES[name]
    entries = told(story, phones)
    # The hunt rings the manager's phone too, together with the operator's.
    assert seen_by("anna", entries) == operator
    of_boris = seen_by("boris", entries)
    hunt = [("offered", None, None), ("gone", "elsewhere", "anna")]
    if name == "unanswered":
        assert of_boris == operator
    else:
        assert of_boris == [*hunt, *manager]


@pytest.mark.parametrize("name", STORIES)
def test_entries_read_in_any_order_and_twice_give_the_same_call(
    told: Callable[..., list[CallEntry]], name: str
) -> None:
    story, phones, _, _ = STORIES[name]
    entries = told(story, phones)
    dice = random.Random(1)
    for length in range(1, len(entries) + 1):
        heard = entries[:length]
        mixed = [*heard, *dice.choices(heard, k=5)]
        dice.shuffle(mixed)
        call = calls.folded(mixed, "call-1", "main")
        assert (call, calls.seats(call)) == (followed(heard), calls.seats(followed(heard)))


def test_a_turn_told_again_after_a_resumption_changes_nothing(told: Callable[..., list[CallEntry]]) -> None:
    entries = told(completed, BORIS_ANSWERS)
    call = Call("call-1", "main")
    for entry in entries:
        call = calls.take(call, entry)
        if isinstance(entry, Turned):
            again = Turned(entry.call, entry.at + 1, None, entry.turn)
            assert calls.take(call, again) == call

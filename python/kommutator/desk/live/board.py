"""The calls that go on, with what is known of who calls, as cards for the employees whose phones have them.

They are followed by the feed of entries, from where the ledger ends, and read from the ledger when that begins or has a gap:
whatever one desk knows, every other desk knows too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import msgspec
import structlog

from kommutator.crm import calls_live, doings
from kommutator.crm.pool import Database
from kommutator.desk.background.tasks import Bell
from kommutator.desk.forms import View
from kommutator.desk.live import calls, forms, memory
from kommutator.desk.live.calls import Call, Seat
from kommutator.desk.live.company import CompanyFacts
from kommutator.desk.live.jobs import Jobs
from kommutator.desk.numbers import national
from kommutator.errors import DatabaseUnreachable
from kommutator.exchange.messages import ToldEntry
from kommutator.exchange.nats.calls import CallFeed
from kommutator.exchange.nats.client import Exchange
from kommutator.routing.doings import CalledBack
from kommutator.routing.entries import CallEntry, Ended

HOLD_BACK_S: Final = 0.1
"""A card waits so long for the memory, so that it usually comes whole; then it is shown without."""
_ASK_AGAIN_S: Final = 5.0
"""What is known is asked anew for somebody new, when it is older."""
_TRY_AGAIN_S: Final = 2.0
_KEEP_OVER_S: Final = 120.0
_KEEP: Final = timedelta(days=1)
_KEEP_BACK_S: Final = 4 * 3600.0
"""Both talk on when a call back's router dies, and then nobody tells that it is over but who has called back."""
_DIALS_S: Final = 90.0
"""Longer no call back is without both talking: each of the two phones rings for 35 s at most."""
_LOOK_S: Final = 5.0
_MOST_CALLS: Final = 20_000
_MOST_HEARD: Final = 200_000


class Listeners(Protocol):
    """Who looks at cards."""

    def listens(self, employee: str) -> bool:
        """Whether any page of this employee is open here."""
        ...

    def tell(self, employee: str, name: str, content: View) -> None:
        """Tell his pages."""
        ...

    def brought(self, call_id: str, employee: str) -> None:
        """He has a call from somebody else, or is asked to take it."""
        ...

    def draft_of(self, employee: str, call_id: str) -> str | None:
        """The id of his open wizard for a call."""
        ...


class _Live:
    __slots__ = ("asked_at", "asking", "call", "changed", "ended_at", "known", "seats", "shown", "since", "waits")

    def __init__(self, call: Call, now: float) -> None:
        self.call = call
        self.seats: dict[str, Seat] = {}
        self.shown: set[str] = set()
        """Who has the card on the screen."""
        self.known: memory.Known | None = None
        self.asking = False
        self.asked_at = 0.0
        self.waits = False
        """The card is not shown yet: it waits for the memory."""
        self.since = now
        self.ended_at: float | None = None
        self.changed = asyncio.Event()


class Board:
    """The calls of all routers."""

    def __init__(
        self,
        database: Database,
        exchange: Exchange,
        facts: Callable[[], CompanyFacts],
        clock: Callable[[], datetime],
        jobs: Jobs,
        listeners: Listeners,
        dead: Callable[[Call], bool],
    ) -> None:
        """`dead` tells whether the router of a call is taken for dead."""
        self._database = database
        self._facts = facts
        self._clock = clock
        self._jobs = jobs
        self._listeners = listeners
        self._dead = dead
        self._calls: dict[str, _Live] = {}
        self._of: dict[str, set[str]] = {}
        """The calls in which an employee has a seat."""
        self._loading = False
        self._heard: dict[str, list[ToldEntry]] = {}
        self._heard_many = 0
        self._to_load = Bell()
        self.loaded = asyncio.Event()
        """Set when the ledger was read for the first time."""
        self._log = structlog.get_logger()
        CallFeed(exchange, self._hear, self._begin_to_load, from_ledger=True)

    # --- what is asked of it

    def call(self, call_id: str) -> Call | None:
        """A call that goes on, or ended a moment ago."""
        live = self._calls.get(call_id)
        return None if live is None else live.call

    def seat(self, call_id: str, employee: str) -> Seat | None:
        """What a call is to an employee."""
        live = self._calls.get(call_id)
        return None if live is None else live.seats.get(employee)

    def card(self, call_id: str, employee: str) -> forms.Card | None:
        """A call on an employee's screen."""
        live = self._calls.get(call_id)
        seat = None if live is None else live.seats.get(employee)
        return None if live is None or seat is None else self._card(live, employee, seat)

    def cards(self, employee: str) -> list[forms.Card]:
        """All that an employee has on the screen now, the oldest first."""
        found = []
        for call_id in self._of.get(employee, ()):
            live = self._calls[call_id]
            live.shown.add(employee)
            found.append(self._card(live, employee, live.seats[employee]))
        return sorted(found, key=lambda card: card.offered_at)

    def brought_to(self, employee: str) -> list[str]:
        """The calls that go on and that he has from somebody else, or is asked to take."""
        seats_of = ((call_id, self._calls[call_id].seats[employee]) for call_id in self._of.get(employee, ()))
        return [call_id for call_id, seat in seats_of if seat.by is not None and seat.state != "over"]

    def brought_by(self, call_id: str) -> dict[str, str]:
        """Who has a call from somebody else, or is asked to take it; and from whom."""
        live = self._calls.get(call_id)
        seats_of = {} if live is None else live.seats
        return {employee: seat.by for employee, seat in seats_of.items() if seat.by is not None}

    async def changes(self, call_id: str, longest_s: float) -> None:
        """Wait until something happens to a call, or so long."""
        live = self._calls.get(call_id)
        if live is not None:
            try:
                async with asyncio.timeout(longest_s):
                    await live.changed.wait()
            except TimeoutError:
                pass

    async def give_up(self, call: Call, reason: str | None = None) -> bool:
        """Write down that a call back is over whose router is taken for dead and will not say so; whether it was. All desks
        are told. Raises `DatabaseUnreachable`."""
        if call.back is None or call.back.state == "over" or call.holder is None or not self._dead(call):
            return False
        at_ms, number = round(self._clock().timestamp() * 1000), call.caller or ""
        over = CalledBack(call.call_id, at_ms, call.holder, number, "over", reason)
        async with self._database.transaction() as tx:
            await doings.write(tx, [over], self._facts().country)
            await tx.tell("call_back", entry=msgspec.to_builtins(over))
        return True

    def given_up(self, told: Mapping[str, Any] | None) -> None:
        """A desk has told of a call back that is over."""
        if told is not None:
            entry = msgspec.convert(told["entry"], CalledBack)
            live = self._calls.get(entry.call)
            self._hear(ToldEntry("" if live is None else live.call.router, "", 0, entry))

    def show_again(self, employee: str, call_id: str) -> None:
        """Something of the card that is no part of the call has changed."""
        live = self._calls.get(call_id)
        if live is not None and employee in live.seats:
            self._show(live, [employee])

    # --- its tasks

    async def run(self) -> None:
        """Read the ledger when it is to be read, and forget what is over, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_loaded())
            tasks.create_task(self._forget())

    async def _keep_loaded(self) -> None:
        while True:
            await self._to_load.wait()
            while self._loading:
                try:
                    await self._load()
                except DatabaseUnreachable as error:
                    self._log.warning("the calls that go on cannot be read yet", reason=str(error))
                    await asyncio.sleep(1.0)

    async def _load(self) -> None:
        now = self._clock()
        async with self._database.transaction() as tx:
            found = await calls_live.going_on(tx, now - _KEEP, now - timedelta(seconds=_KEEP_OVER_S))
        if self._heard_many > _MOST_HEARD:
            self._begin_to_load()
            return
        heard, self._heard, self._heard_many, self._loading = self._heard, {}, 0, False
        ids = {known.call_id for known in found}
        for known in found:
            told = heard.get(known.call_id, [])
            router = told[-1].router if told else known.router
            call = calls.folded([*known.entries, *(each.entry for each in told)], known.call_id, router)
            live = self._calls.get(known.call_id) or self._add(known.call_id, router)
            self._settle(live, call)
            if call.ended:
                live.ended_at = asyncio.get_running_loop().time()
        for call_id in [each for each in self._calls if each not in ids and each not in heard]:
            self._drop(call_id)
        self.loaded.set()
        self._log.info("the calls that go on were read", calls=len(found))

    async def _forget(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_LOOK_S)
            now = loop.time()
            for call_id, live in list(self._calls.items()):
                over = live.ended_at is not None and now - live.ended_at > _KEEP_OVER_S
                longest_s = _KEEP.total_seconds() if live.call.back is None else _KEEP_BACK_S
                if over or now - live.since > longest_s:
                    self._drop(call_id)
                elif live.call.back is not None and not live.call.talking and self._rang_out(live.call):
                    self._jobs.begin("call back", self._give_up(live.call))

    def _rang_out(self, call: Call) -> bool:
        return self._clock().timestamp() - call.began_ms / 1000 > _DIALS_S and self._dead(call)

    async def _give_up(self, call: Call) -> None:
        await self.give_up(call, "no_router")

    # --- entries

    def _begin_to_load(self) -> None:
        self._loading = True
        self._heard, self._heard_many = {}, 0
        self._to_load.ring()

    def _hear(self, told: ToldEntry) -> None:
        entry = told.entry
        if isinstance(entry, CalledBack):
            change = forms.CallBackChange(
                call_id=entry.call, number=entry.number, state=entry.state, reason=entry.reason
            )
            self._listeners.tell(entry.by, "call_back", change)
        if self._loading and self._heard_many <= _MOST_HEARD:
            self._heard.setdefault(entry.call, []).append(told)
            self._heard_many += 1
        live = self._calls.get(entry.call)
        if live is None:
            if _over(entry):
                return
            live = self._add(entry.call, told.router)
        self._settle(live, calls.take(replace(live.call, router=told.router), entry))
        if _over(entry):
            live.ended_at = asyncio.get_running_loop().time()

    def _add(self, call_id: str, router: str) -> _Live:
        if len(self._calls) >= _MOST_CALLS:
            over = (each for each, live in self._calls.items() if live.ended_at is not None)
            self._drop(next(over, next(iter(self._calls))))
        live = self._calls[call_id] = _Live(Call(call_id, router), asyncio.get_running_loop().time())
        return live

    def _drop(self, call_id: str) -> None:
        live = self._calls.pop(call_id)
        for employee in live.seats:
            self._unseat(employee, call_id)
            if employee in live.shown and live.ended_at is None:
                gone = forms.Gone(call_id=call_id, why="ended", by=None)
                self._listeners.tell(employee, "call_gone", gone)

    def _unseat(self, employee: str, call_id: str) -> None:
        of = self._of.get(employee)
        if of is not None:
            of.discard(call_id)
            if not of:
                del self._of[employee]

    def _settle(self, live: _Live, after: Call) -> None:
        """The call is so now: tell whose screens change."""
        before, had = live.call, live.seats
        now = calls.seats(after)
        live.call, live.seats = after, now
        for employee in had.keys() - now.keys():
            self._unseat(employee, after.call_id)
            if employee in live.shown:
                live.shown.discard(employee)
                why, by = calls.left(after, employee)
                self._listeners.tell(employee, "call_gone", forms.Gone(call_id=after.call_id, why=why, by=by))
        for employee in now.keys() - had.keys():
            self._of.setdefault(employee, set()).add(after.call_id)
        if before.caller != after.caller:
            live.known = None
        if now.keys() - had.keys() or (now and live.known is None):
            self._ask(live)
        all_changed = (before.tags, before.did, before.caller) != (after.tags, after.did, after.caller)
        changed = [each for each, seat in now.items() if all_changed or had.get(each) != seat]
        if not live.waits:
            self._show(live, changed)
        for employee, seat in now.items():
            was = had.get(employee)
            if seat.by is not None and (was is None or (was.by, was.role) != (seat.by, seat.role)):
                self._listeners.brought(after.call_id, employee)
        live.changed.set()
        live.changed = asyncio.Event()

    def _show(self, live: _Live, employees: list[str]) -> None:
        for employee in employees:
            live.shown.add(employee)
            if self._listeners.listens(employee):
                self._listeners.tell(employee, "call", self._card(live, employee, live.seats[employee]))

    # --- the memory

    def _ask(self, live: _Live, *, hold_back: bool = True) -> None:
        loop = asyncio.get_running_loop()
        if live.asking or (live.known is not None and loop.time() - live.asked_at < _ASK_AGAIN_S):
            return
        number = self._facts().e164(live.call.caller)
        if number is None:
            live.known = memory.NOBODY
            return
        live.asking = self._jobs.begin("memory", self._learn(live, number))
        live.asked_at = loop.time()
        if live.known is None and live.asking and hold_back:
            live.waits = True
            loop.call_later(HOLD_BACK_S, self._release, live)

    async def _learn(self, live: _Live, number: str) -> None:
        try:
            known = await memory.known(self._database, number)
        except DatabaseUnreachable:
            asyncio.get_running_loop().call_later(_TRY_AGAIN_S, self._again, live)
            raise
        finally:
            live.asking = False
        if known != live.known:
            live.known = known
            live.waits = False
            self._show(live, list(live.seats))

    def _again(self, live: _Live) -> None:
        if live.known is None and live.seats and live.call.over_ms is None:
            self._ask(live, hold_back=False)

    def _release(self, live: _Live) -> None:
        if live.waits:
            live.waits = False
            self._show(live, list(live.seats))

    # --- cards

    def _card(self, live: _Live, employee: str, seat: Seat) -> forms.Card:
        call, facts, known = live.call, self._facts(), live.known or memory.NOBODY
        number = facts.e164(call.caller)
        asked = seat.consultation
        return forms.Card(
            call_id=call.call_id,
            did=call.did,
            did_name=facts.scheme(call.did),
            caller=number or call.caller,
            caller_national=None if call.caller is None else national(number or call.caller),
            region=facts.region(call.caller),
            state=seat.state,
            role=seat.role,
            by=seat.by,
            offered_at=_at(seat.offered_ms),
            answered_at=None if seat.answered_ms is None else _at(seat.answered_ms),
            over_at=None if seat.over_ms is None else _at(seat.over_ms),
            over_by=seat.over_by,
            held=seat.held,
            known=live.known is not None,
            matches=list(known.matches),
            owner=known.owner,
            interests=list(known.interests),
            interactions=list(known.interactions),
            tags=dict(call.tags),
            consultation=None
            if asked is None
            else forms.Consultation(
                employee=asked.employee,
                endpoint=asked.endpoint,
                state=asked.state,
                since=_at(asked.since_ms),
                with_=asked.talks_with,
                leaving=asked.leaving,
            ),
            back=None if seat.back is None else forms.Back(state=seat.back.state, reason=seat.back.reason),
            draft_id=self._listeners.draft_of(employee, call.call_id),
            as_of=_at(call.as_of_ms),
        )


def _over(entry: CallEntry) -> bool:
    return isinstance(entry, Ended) or (isinstance(entry, CalledBack) and entry.state == "over")


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)

"""What pages are told as it happens: the tabs that listen, and everything that makes news for them.

News come from the feed of calls, the floor, and what transactions tell; everything that a page shows can be told anew at any
time (`snapshot`), so that nothing has to be kept for pages that are not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import structlog

from kommutator.crm import accounts, drafts, interactions, interests, workload
from kommutator.crm.accounts import AccountSettings, User
from kommutator.crm.pool import Database, Tx
from kommutator.desk.background.tasks import Bell
from kommutator.desk.background.topics import Topics
from kommutator.desk.drafts.forms import WizardDraft
from kommutator.desk.floor.forms import EmployeeFacts
from kommutator.desk.forms import View
from kommutator.desk.live import company, forms
from kommutator.desk.live.attendance import ABSENT_AFTER_S, Attendance
from kommutator.desk.live.board import Board
from kommutator.desk.live.calls import Call
from kommutator.desk.live.company import CompanyFacts
from kommutator.desk.live.jobs import Jobs
from kommutator.desk.live.tabs import HEARTBEAT, Tab, Written
from kommutator.errors import DatabaseUnreachable, NotFound, SignInRefused
from kommutator.exchange.nats.client import Exchange
from kommutator.exchange.nats.floor import DeskFloor, FloorFact

HEARTBEAT_S: Final = 15.0
MOST_TABS: Final = 2_000
MOST_OF_USER: Final = 20
_FLOOR_EVERY_S: Final = 0.2
"""Changes of the floor go to everybody; those of so long go together."""
_SESSIONS_EVERY_S: Final = 15.0
_COUNT_AFTER_S: Final = 0.1
_READS: Final = 3
"""How often what waits is read for a page, when something is told meanwhile."""


class Hub:
    """The live part of one desk process. Made before the exchange runs, for it attaches itself."""

    def __init__(
        self,
        database: Database,
        exchange: Exchange,
        topics: Topics,
        clock: Callable[[], datetime],
        settings: AccountSettings,
        absent_after_s: float = ABSENT_AFTER_S,
    ) -> None:
        self._database = database
        self._exchange = exchange
        self._clock = clock
        self._settings = settings
        self._written = Written()
        self._tabs: dict[str | None, set[Tab]] = {}
        """By employee."""
        self._of_user: dict[int, list[Tab]] = {}
        self._facts = CompanyFacts()
        self._draft_ids: dict[tuple[int, str], str] = {}
        """The open wizards of users with pages here, by call."""
        self._changed_floor: dict[tuple[str, str], FloorFact] = {}
        self._counting: set[str] = set()
        self._bringing: set[tuple[str, str]] = set()
        self._reading: set[tuple[int, str]] = set()
        self._new_version = Bell()
        self._closed = False
        self._log = structlog.get_logger()
        self.floor = DeskFloor(exchange, self._fact)
        self._jobs = Jobs()
        self.board = Board(database, exchange, lambda: self._facts, clock, self._jobs, self, self._router_dead)
        self.attendance = Attendance(database, self.floor, clock, self._every, absent_after_s)
        for topic, heard in {
            "version": self._version,
            "interest": self._interest,
            "missed": lambda told: self._count(told, "owner"),
            "task": lambda told: self._count(told, "assign"),
            "draft": self._draft,
            "session": self._session,
            "call_back": self.board.given_up,
        }.items():
            topics.on(topic, heard)

    @property
    def tabs(self) -> int:
        """How many pages listen."""
        return sum(len(tabs) for tabs in self._tabs.values())

    async def run(self) -> None:
        """Keep it live until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._jobs.run())
            tasks.create_task(self.board.run())
            tasks.create_task(_again_and_again(self.attendance.run))
            tasks.create_task(_again_and_again(self._keep_facts))
            tasks.create_task(self._tell_floor())
            tasks.create_task(_again_and_again(self._check_sessions))

    def e164(self, raw: str) -> str | None:
        """A number in any spelling, by the company's country."""
        return self._facts.e164(raw)

    def _router_dead(self, call: Call) -> bool:
        router = call.router or (None if call.holder is None else self.floor.router_of(call.holder))
        return self.floor.dead(router or "")

    def close(self) -> None:
        """End all streams; no page is let in any more."""
        self._closed = True
        for tab in list(self._every()):
            tab.close()

    # --- pages

    @property
    def full(self) -> bool:
        """Whether no more pages are let in."""
        return self._closed or self.tabs >= MOST_TABS

    async def stream(self, tab_id: str, user: User, session_token: str) -> AsyncIterator[bytes]:
        """What a page is told: everything, and then what changes, until it is gone or its session has ended."""
        tab = Tab(tab_id, user, session_token)
        self._enter(tab)
        try:
            await self.attendance.came(tab)
            while not tab.closed:
                yield await (self._everything(tab) if tab.stale else tab.next(HEARTBEAT_S)) or HEARTBEAT
        except DatabaseUnreachable as error:
            self._log.warning("a page cannot be told anything now; it will come again", reason=str(error))
        finally:
            self._leave(tab)

    def _enter(self, tab: Tab) -> None:
        """Of one user's pages the oldest ends at the bound, and an older connection of the same page."""
        mine = self._of_user.setdefault(tab.user.id, [])
        for older in [each for each in mine if each.id == tab.id] or mine[: -(MOST_OF_USER - 1)]:
            older.close()
        mine.append(tab)
        self._tabs.setdefault(tab.employee, set()).add(tab)

    def _leave(self, tab: Tab) -> None:
        tab.close()
        mine, of_employee = self._of_user[tab.user.id], self._tabs[tab.employee]
        mine.remove(tab)
        of_employee.remove(tab)
        if not of_employee:
            del self._tabs[tab.employee]
        if not mine:
            del self._of_user[tab.user.id]
            for key in [key for key in self._draft_ids if key[0] == tab.user.id]:
                del self._draft_ids[key]
        self._jobs.begin("page closed", self.attendance.left(tab))

    async def _everything(self, tab: Tab) -> bytes:
        user, employee = tab.user, tab.employee
        if self._facts.number is None:
            self._facts = await company.read(self._database, self._facts)
        for _ in range(_READS):
            left_out = tab.left_out
            async with self._database.transaction() as tx:
                waits = await workload.of(tx, self._facts.names(employee), employee)
                mine = await drafts.of_user(tx, user.id)
            if tab.left_out == left_out:
                break
        self._draft_ids.update({(user.id, each.call_id): each.id for each in mine if each.call_id is not None})
        # From here on nothing waits: what the calls are now, and what is told after it.
        tab.begin()
        snapshot = forms.Snapshot(
            me=forms.Me(user_id=user.id, name=user.name, role=user.role, employee=employee),
            at=self._clock(),
            connected=self._exchange.connected,
            floor=self._floor_now(),
            calls=[] if employee is None else self.board.cards(employee),
            missed=waits.missed,
            tasks=waits.tasks,
            interests=waits.interests,
            version=self._facts.number,
        )
        if employee is not None:
            for call_id in self.board.brought_to(employee):
                self._jobs.begin("words of an operator", self._tell_brought(call_id, employee, [tab]))
        return self._written.event("snapshot", snapshot)

    def _floor_now(self) -> list[EmployeeFacts]:
        found: dict[str, dict[str, Any]] = {}
        for fact in self.floor.facts():
            found.setdefault(fact.employee, {}).update({fact.kind: fact.value, f"{fact.kind}_at": _at(fact.at)})
        nothing = dict.fromkeys(("presence", "presence_at", "line", "line_at"))
        return [EmployeeFacts(employee=each, **{**nothing, **facts}) for each, facts in sorted(found.items())]

    def _every(self) -> Iterable[Tab]:
        return (tab for tabs in self._tabs.values() for tab in tabs)

    # --- of the board

    def listens(self, employee: str) -> bool:
        """Whether any page of this employee is open here."""
        return employee in self._tabs

    def tell(self, employee: str, name: str, content: View) -> None:
        """Tell his pages."""
        tabs = self._tabs.get(employee)
        if tabs:
            _put(tabs, self._written.event(name, content))

    def brought(self, call_id: str, employee: str) -> None:
        """He has a call from somebody else, or is asked to take it: his pages are told what that operator has typed."""
        if employee in self._tabs and (call_id, employee) not in self._bringing:
            self._bringing.add((call_id, employee))
            self._jobs.begin("words of an operator", self._tell_brought(call_id, employee, None))

    def draft_of(self, employee: str, call_id: str) -> str | None:
        """The id of his open wizard for a call."""
        tabs = self._tabs.get(employee, ())
        found = (self._draft_ids.get((tab.user.id, call_id)) for tab in tabs)
        return next((each for each in found if each is not None), None)

    async def _tell_brought(self, call_id: str, employee: str, tabs: list[Tab] | None) -> None:
        if tabs is None:
            self._bringing.discard((call_id, employee))
        draft, by = None, self.board.brought_by(call_id).get(employee)
        if by is not None:
            async with self._database.transaction() as tx:
                draft = await drafts.of_call(tx, call_id, by)
        card = self.board.card(call_id, employee)
        if card is not None:
            told = forms.Brought(call_id=call_id, card=card, draft=None if draft is None else draft_view(draft))
            event = self._written.event("asked_of_me" if card.role == "guest" else "passed_to_me", told)
            _put(self._tabs.get(employee, ()) if tabs is None else tabs, event)

    # --- the floor

    def _fact(self, fact: FloorFact) -> None:
        self._changed_floor[fact.kind, fact.employee] = fact

    async def _tell_floor(self) -> None:
        while True:
            await asyncio.sleep(_FLOOR_EVERY_S)
            if not self._changed_floor:
                continue
            changed, self._changed_floor = self._changed_floor, {}
            events = b"".join(
                self._written.of(
                    "floor", {"employee": fact.employee, fact.kind: fact.value, f"{fact.kind}_at": _rfc3339(fact.at)}
                )
                for fact in changed.values()
            )
            _put(self._every(), events)

    # --- what transactions tell; None: anything may have been missed

    def _version(self, _told: Mapping[str, Any] | None) -> None:
        self._new_version.ring()

    async def _keep_facts(self) -> None:
        while True:
            before = self._facts.number
            self._facts = await company.read(self._database, self._facts)
            if before is not None and self._facts.number != before:
                event = self._written.event("version", forms.VersionChanged(number=self._facts.number))
                _put(self._every(), event)
            await self._new_version.wait()

    def _interest(self, told: Mapping[str, Any] | None) -> None:
        if told is None:
            self._renew()
        elif told.get("assignee") in self._tabs and told["assignee"] is not None:
            self._jobs.begin(
                "interest", self._tell_interest(int(told["id"]), str(told["assignee"]), bool(told.get("new")))
            )

    async def _tell_interest(self, interest_id: int, assignee: str, new: bool) -> None:
        if not new:
            self.tell(assignee, "interest_changed", forms.InterestChanged(id=interest_id))
            return
        async with self._database.transaction() as tx:
            try:
                interest = await interests.get(tx, interest_id)
            except NotFound:
                return
            from_call = await _call_of(tx, interest)
        told = forms.NewInterest(
            id=interest.id,
            client_id=interest.client_id,
            title=interest.topic or next(iter(interest.to_do.splitlines()), ""),
            assignee=interest.assignee,
            state=interest.status,
            from_call=from_call,
        )
        self.tell(assignee, "interest", told)

    def _count(self, told: Mapping[str, Any] | None, whose: str) -> None:
        if told is None:
            return  # `_interest` has everything told anew
        topic, name = str(told["topic"]), told.get(whose)
        for employee in self._tabs:
            if (
                employee is not None
                and name in self._facts.names(employee)
                and f"{topic}:{employee}" not in self._counting
            ):
                self._counting.add(f"{topic}:{employee}")
                asyncio.get_running_loop().call_later(_COUNT_AFTER_S, self._count_now, topic, employee)

    def _count_now(self, topic: str, employee: str) -> None:
        self._counting.discard(f"{topic}:{employee}")
        self._jobs.begin("count", self._tell_count(topic, employee))

    async def _tell_count(self, topic: str, employee: str) -> None:
        async with self._database.transaction() as tx:
            waits = await workload.of(tx, self._facts.names(employee), employee)
        self.tell(employee, topic, forms.Count(count=waits.missed if topic == "missed" else waits.tasks))

    def _draft(self, told: Mapping[str, Any] | None) -> None:
        if told is None:
            return  # `_interest` has everything told anew
        user_id, draft_id, call_id = int(told["user"]), str(told["id"]), told.get("call")
        closed = bool(told.get("closed"))
        if call_id is not None and not closed:
            self._draft_of_others(user_id, call_id)
        if user_id not in self._of_user:
            return
        if call_id is not None and (self._draft_ids.get((user_id, call_id)) is None) != closed:
            if closed:
                del self._draft_ids[user_id, call_id]
            else:
                self._draft_ids[user_id, call_id] = draft_id
        if closed:
            self._tell_user(user_id, self._written.event("draft_closed", forms.DraftClosed(id=draft_id)))
        elif (user_id, draft_id) not in self._reading:
            self._reading.add((user_id, draft_id))
            self._jobs.begin("draft", self._tell_draft(user_id, draft_id))

    def _draft_of_others(self, user_id: int, call_id: str) -> None:
        """What an operator types goes to whoever she asks, or has passed the call to: her last words may come later than the
        call."""
        for employee in self.board.brought_by(call_id):
            if all(tab.user.id != user_id for tab in self._tabs.get(employee, ())):
                self.brought(call_id, employee)

    async def _tell_draft(self, user_id: int, draft_id: str) -> None:
        self._reading.discard((user_id, draft_id))
        async with self._database.transaction() as tx:
            try:
                draft = await drafts.get(tx, draft_id, user_id)
            except NotFound:
                return
        self._tell_user(user_id, self._written.event("draft", draft_view(draft)))

    def _tell_user(self, user_id: int, events: bytes) -> None:
        _put(self._of_user.get(user_id, ()), events)

    def _renew(self) -> None:
        for tab in self._every():
            tab.renew()

    # --- sessions

    def _session(self, told: Mapping[str, Any] | None) -> None:
        if told is not None and told["user"] in self._of_user:
            self._jobs.begin("session", self._check(list(self._of_user[told["user"]])))

    async def _check_sessions(self) -> None:
        while True:
            await asyncio.sleep(_SESSIONS_EVERY_S)
            await self._check(list(self._every()))

    async def _check(self, tabs: list[Tab]) -> None:
        """End the streams of those whose session has ended, or who are somebody else now."""
        now = self._clock()
        async with self._database.transaction() as tx:
            for tab in tabs:
                try:
                    user = (await accounts.session(tx, tab.session_token, now, self._settings)).user
                except SignInRefused:
                    tab.close()
                else:
                    if (user.employee, user.role) != (tab.user.employee, tab.user.role):
                        tab.close()


def draft_view(found: drafts.Draft) -> WizardDraft:
    """A wizard as it goes out."""
    return WizardDraft(
        id=found.id,
        call_id=found.call_id,
        fields=found.content,
        revision=found.revision,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )


async def _call_of(tx: Tx, interest: interests.Interest) -> str | None:
    """The call in which an interest was taken down."""
    if interest.interaction_id is None:
        return None
    return await interactions.call_of(tx, interest.interaction_id)


def _put(tabs: Iterable[Tab], events: bytes) -> None:
    for tab in tabs:
        tab.put(events)


def _at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _rfc3339(ms: int) -> str:
    return _at(ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _again_and_again(work: Callable[[], Any]) -> None:
    """Whatever needs the database waits for it."""
    while True:
        try:
            await work()
            return
        except DatabaseUnreachable as error:
            structlog.get_logger().warning("a part of the live desk waits for the database", reason=str(error))
            await asyncio.sleep(1.0)

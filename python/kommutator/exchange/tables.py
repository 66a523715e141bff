"""Owners and callers as this router knows them: all of them in the engine, so that no call waits for an answer.

Tables come from this router's disk, and from the object store when they cannot be gone on from; changes come in their order, and make
them what the database says. **The tables are in the engine when they are true as far as anybody can tell, or when there is nobody
who could be asked.** Meanwhile they lie aside, and calls ask a desk: while changes since the last connection are on their way,
and after a gap, until new tables are there.

Of callers: a call of this router or of another, that has ended and was told, is never overlooked. While a router of several is cut
off from the others, it does not say of anybody that he has not called.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, TypeVar

import structlog
import trio

from kommutator.errors import ExchangeError, ExchangeMessageBad, TablesBad
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.lookups import ExchangeLookups
from kommutator.exchange.messages import (
    CALLED_SUBJECT,
    CHANGED_SUBJECT,
    MADE_SUBJECT,
    TABLES,
    TABLES_SUBJECT,
    Called,
    FactsChanged,
    TablesMade,
    TablesWanted,
    decode,
    encode,
)
from kommutator.exchange.nats.client import Stored
from kommutator.exchange.nats.feeds import Following
from kommutator.exchange.tables_file import Kind, private_file
from kommutator.exchange.tables_seat import Facts, Seat
from kommutator.exchange.tables_shelf import CALLS, FACTS, Bounds, Built, Pending, TablesShelf, line, own

_MOST_WAITING: Final = 100
_AT_ONCE: Final = 500
"""Changes that the engine is told before calls have their turn again."""
_MOST_PENDING: Final = 2_000_000
_MOST_CALLS: Final = 1_000_000
_MOST_LINES: Final = 64 * 1024**2
"""Bytes that wait for the disk; the oldest are dropped beyond: what comes after them is not gone on with from there."""
_TICK_S: Final = 0.5
_VAIN_S: Final = 30.0
"""So long after a question in vain nobody is asked, if there are tables."""
_LATER_S: Final = 3.0
_ASK_S: Final = 15.0
_FETCH_S: Final = 60.0
_FETCHED_PER_S: Final = 1e6
"""Bytes of the slowest connection."""
_OLD_S: Final = 600.0

_T = TypeVar("_T")


class Tables:
    """Follows the stream of changes, whether this router keeps tables or not.

    `there` is set when there is an engine. `alone`: no other router has calls.
    """

    def __init__(
        self, bridge: Bridge, shelf: TablesShelf, bounds: Bounds, facts: Facts, lookups: ExchangeLookups,
        there: trio.Event, now_ms: Callable[[], int], *, alone: bool,
    ) -> None:  # fmt: skip
        self._bridge = bridge
        self._shelf = shelf
        self._bounds = bounds
        self._facts = facts
        self._lookups = lookups
        self._there = there
        self._now_ms = now_ms
        self._alone = alone
        place = shelf.open() if bounds.any else None
        self._place: list[int] = [] if place is None else [place]
        self._items = bridge.follow_changes(self._place, _MOST_WAITING)
        self._held: Built | None = None
        """What the tables are; the tables themselves are among them while they are aside."""
        self._seat = Seat(facts)
        self._pending = Pending(_MOST_PENDING)
        self._gap = False
        self._last = 0
        """The last message that there was when the connection was made."""
        self._caught_up = False
        self._seen: FactsChanged | None = None
        self._vain_until = 0.0
        self._missed_until = 0
        self._cut_off = False
        self._made: TablesMade | None = None
        self._bad: set[str] = set()
        self._look = trio.Event()
        self._loading = False
        self._calls: dict[str, int] = {}
        """Calls that were heard of and that no change has told: tables made of the database are told them again."""
        self._poke = trio.Event()
        self._lines: deque[bytes] = deque()
        self._lines_bytes = 0
        self._more_lines = trio.Event()
        self._later: dict[str, float] = {}
        """Numbers to be forgotten then: the engine may have learnt what is not so."""
        self._turn = trio.Lock()
        self._disk = trio.Lock()
        self._log = structlog.get_logger().bind(router=bridge.name)
        lookups.in_vain = self._asked_in_vain

    # --- how it is

    @property
    def in_use(self) -> bool:
        """Whether calls are answered from the tables."""
        return self._seat.taken

    @property
    def behind(self) -> int:
        """How many messages with changes are known of that the tables lack."""
        if self._held is None or self._seen is None:
            return 0
        return max(0, self._seen.sequence - self._held.sequence) if self._seen.epoch == self._held.epoch else 1

    @property
    def age_s(self) -> float:
        """The tables are what was so as many seconds ago; -1 while there are none."""
        return -1.0 if self._held is None else max(0.0, (self._now_ms() - self._held.at) / 1000)

    def numbers(self, kind: Kind) -> int:
        """How many numbers a table had when it was taken."""
        return self._seat.sizes.get(kind, (0, 0))[0]

    def memory(self, kind: Kind) -> int:
        """What these took in memory."""
        return self._seat.sizes.get(kind, (0, 0))[1]

    @property
    def state(self) -> str:
        """In words."""
        if not self._bounds.any:
            return "off"
        if self._held is None:
            return "none yet"
        if self._bridge.away:
            return f"of {self.age_s:.0f} s ago: the exchange is away"
        if self._gap:
            return "behind: new ones are wanted"
        if self.age_s > _OLD_S:
            return f"old: of {self.age_s:.0f} s ago"
        return "current" if self._seat.taken else "catching up"

    # --- what is told

    def ended(self, caller: str, began_ms: int) -> None:
        """A call of this router has ended; the engine knows already."""
        number = self._facts.normal(caller)
        if number is not None and self._bounds.callers:
            self._heard({number: began_ms})
            self._keep(own(number, began_ms))

    async def run(self) -> None:
        """Follow until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._follow)
                nursery.start_soon(self._tick)
                nursery.start_soon(self._seat.run)
                if self._bounds.any:
                    await self._begin()
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._renew)
        finally:
            with suppress(OSError):
                self._shelf.append(self._lines)
            self._shelf.close()

    async def _begin(self) -> None:
        """What is on the disk."""
        try:
            built = await _in_thread(lambda going_on: self._shelf.load(self._bounds, going_on))
        except OSError as error:
            self._log.critical("kept tables cannot be read", alarm="tables", reason=str(error))
            return
        if built is not None and await self._adopt(built):
            self._log.info("kept tables are here", tables=built.name, sequence=built.sequence)

    async def _follow(self) -> None:
        while True:
            item = await self._items.get()
            async with self._turn:
                if isinstance(item, Following):
                    self._began(item)
                else:
                    await self._take(item)
                    self._caught_up = self._caught_up or item.sequence >= self._last
                self._settle()

    def _began(self, following: Following) -> None:
        self._last, self._caught_up = following.last, following.after >= following.last
        if following.gap:
            self._log.warning("changes may have been missed")
            self._missed()
            self._lookups.forget_all()
        if following.made is not None:
            self._offered(following.made)

    async def _take(self, stored: Stored) -> None:
        try:
            if stored.subject == CHANGED_SUBJECT:
                await self._changed(stored, decode(stored.payload, FactsChanged))
            elif stored.subject == CALLED_SUBJECT:
                self._called(stored, decode(stored.payload, Called))
            elif stored.subject == MADE_SUBJECT:
                self._offered(decode(stored.payload, TablesMade))
        except ExchangeMessageBad as error:
            self._log.error("a change cannot be read", alarm="tables", subject=stored.subject, reason=str(error))
            if stored.subject == CHANGED_SUBJECT:
                self._lookups.forget_all()
                self._go_wrong("a change cannot be read")
            else:
                self._missed()

    def _called(self, stored: Stored, told: Called) -> None:
        """Calls of some router have ended."""
        calls: dict[str, int] = {}
        for raw, at in told.callers:
            number = self._facts.normal(raw)
            if number is not None:
                calls[number] = max(at, calls.get(number, at))
                self._facts.called(number, at)
        if self._bounds.callers:
            self._heard(calls)
            self._keep(line(stored.sequence, CALLS, encode(Called(tuple(calls.items())))))

    def _heard(self, calls: Mapping[str, int]) -> None:
        for number, at in calls.items():
            self._calls[number] = max(at, self._calls.pop(number, at))
        if self._held is not None:
            self._held.called(calls)
        while len(self._calls) > _MOST_CALLS:
            del self._calls[next(iter(self._calls))]
            self._missed_until = self._now_ms()

    async def _changed(self, stored: Stored, changed: FactsChanged) -> None:
        self._seen = changed
        something = bool(changed.owners or changed.calls)
        if something and self._bounds.any:
            self._keep(line(stored.sequence, FACTS, stored.payload))
        lately = self._lookups.lately()
        for number, _ in changed.owners:
            if number in lately:
                self._later[number] = trio.current_time() + _LATER_S
        for number, at in changed.calls:
            if self._calls.get(number, at + 1) <= at:
                del self._calls[number]
        held = self._held
        if held is not None and not self._gap:
            before = held.sequence
            if not held.take(changed):
                self._go_wrong(f"of the changes after {before}, {changed.sequence} came first")
            elif held.sequence == before:
                return  # it was told before, or says that nothing has changed
        if something and self._bounds.any and (held is None or self._gap or self._loading):
            self._pending.add(changed)
        await self._tell(changed)

    async def _tell(self, changed: FactsChanged) -> None:
        """The engine; tables that are aside know already, or are made anew."""
        known = self._seat.answers("owners") and not self._gap
        for begin in range(0, len(changed.owners), _AT_ONCE):
            for number, employee in changed.owners[begin : begin + _AT_ONCE]:
                if known:
                    self._facts.owner_is(number, employee)
                else:
                    self._lookups.forget(number)
            await trio.lowlevel.checkpoint()
        for begin in range(0, len(changed.calls), _AT_ONCE):
            for number, at in changed.calls[begin : begin + _AT_ONCE]:
                self._facts.called(number, at)
            await trio.lowlevel.checkpoint()

    def _go_wrong(self, reason: str) -> None:
        """The tables can be gone on from no more."""
        if self._bounds.any and not self._gap and self._held is not None:
            self._log.error(
                "the tables are not what the database says; new ones are wanted", alarm="tables", reason=reason
            )
        self._gap = True
        self._look.set()

    def _missed(self) -> None:
        """Calls of other routers may not have been heard of."""
        if not self._alone:
            self._missed_until = self._now_ms()
            self._facts.missed_calls(self._missed_until)
            self._look.set()

    def _asked_in_vain(self) -> None:
        self._vain_until = trio.current_time() + _VAIN_S
        self._poke.set()

    async def _tick(self) -> None:
        told_old = False
        while True:
            with trio.move_on_after(_TICK_S):
                await self._poke.wait()
            self._poke = trio.Event()
            async with self._turn:
                self._settle()
                now = trio.current_time()
                for number in [number for number, at in self._later.items() if at <= now]:
                    del self._later[number]
                    self._facts.forget_owner(number)
            old = self.age_s > _OLD_S
            if old and not told_old:
                self._log.warning("the tables are old", tables=self.state)
            told_old = old

    # --- into the engine, and out of it

    def _settle(self) -> None:
        """Have the tables where they belong."""
        held = self._held
        if held is None or not self._there.is_set():
            return
        true = self._bridge.connected and self._caught_up and not self._gap
        wanted = true or self._bridge.away or trio.current_time() < self._vain_until
        if wanted != self._seat.taken:
            (self._swap_in if wanted else self._seat.swap_out)(held)
        if self._alone or not self._seat.answers("callers"):
            return
        if not true:
            self._cut_off = True
            self._facts.missed_calls(self._now_ms())
        elif self._cut_off:  # what was said meanwhile has been heard: again nobody is asked for
            self._seat.swap_out(held)
            self._swap_in(held)

    def _swap_in(self, held: Built) -> None:
        for number in self._lookups.lately():
            self._later[number] = trio.current_time() + _LATER_S
        self._seat.swap_in(held, self._missed_until)
        self._cut_off = False

    async def _adopt(self, built: Built) -> bool:
        """Go on from tables made aside; False where that cannot be, and the last ones stay."""
        for number, at in built.calls.items():
            self._calls[number] = max(at, self._calls.pop(number, at))
        whole = True
        while whole and len(self._pending.messages) > 1:  # what came meanwhile, while more comes
            whole = await trio.to_thread.run_sync(built.take_all, self._pending.take())
        async with self._turn:
            whole = whole and built.take_all(self._pending.take())
            calls = dict(self._calls)
            await trio.to_thread.run_sync(built.called, calls)
            built.called({number: at for number, at in self._calls.items() if calls.get(number) != at})
            old = self._held
            if old is not None and (not whole or (not self._gap and built.sequence < old.sequence)):
                return False
            if old is not None:
                if self._seat.taken:
                    self._seat.swap_out(old)
                self._seat.let_go(old)
            self._held, self._gap = built, not whole
            if built.calls_until is not None and built.calls_until > self._missed_until:
                self._missed_until = 0
            self._settle()
        return True

    # --- the disk, and new tables

    def _keep(self, kept: bytes) -> None:
        self._lines.append(kept)
        self._lines_bytes += len(kept)
        while self._lines_bytes > _MOST_LINES:
            self._lines_bytes -= len(self._lines.popleft())
        self._more_lines.set()

    async def _write(self) -> None:
        troubled = False
        while True:
            await self._more_lines.wait()
            self._more_lines = trio.Event()
            if self._shelf.name is None:
                continue
            lines, self._lines, self._lines_bytes = self._lines, deque(), 0
            try:
                async with self._disk:
                    await trio.to_thread.run_sync(self._shelf.append, lines)
                troubled = False
            except OSError as error:
                if not troubled:
                    self._log.critical("changes cannot be kept on disk", alarm="tables", reason=str(error))
                troubled = True

    def _offered(self, made: TablesMade) -> None:
        self._made = made
        self._look.set()

    async def _renew(self) -> None:
        """The supervisor of getting new tables."""
        said, pause_s = "", _ASK_S
        while True:
            with trio.move_on_after(pause_s):
                await self._look.wait()
            self._look = trio.Event()
            pause_s = 1.0 if pause_s == _ASK_S else min(2 * pause_s, _ASK_S)
            try:
                await self._look_for_new()
                said, pause_s = "", _ASK_S
            except ExchangeError as error:
                if said != str(error):
                    said = str(error)
                    self._log.warning("tables cannot be had yet", code=error.code, reason=said)
            except (TablesBad, OSError) as error:
                if said != str(error):
                    said = str(error)
                    self._log.critical("tables cannot be loaded; the last ones stay", alarm="tables", reason=said)

    async def _look_for_new(self) -> None:
        made, wanted = self._made, self._held is None or self._gap
        doubtful = bool(self._missed_until and self._bounds.callers)
        if not self._bridge.connected:
            return
        if made is not None and made.name not in self._bad and self._fits(made):
            if wanted or (doubtful and (made.calls_until or 0) > self._missed_until):
                await self._load(made)
                return
            if self._shelf.name != made.name:
                await self._fetch(made)
        if (wanted or doubtful) and self._caught_up:
            asked = encode(TablesWanted(self._bridge.name, self.state if wanted else "calls may have been missed"))
            await self._bridge.request(TABLES_SUBJECT, asked, self._bridge.settings.request_s)

    def _fits(self, made: TablesMade) -> bool:
        """Whether all that has changed after these is known here."""
        if self._seen is not None and self._seen.epoch != made.epoch:
            return False
        if self._pending.messages:
            first = self._pending.messages[0]
            return first.epoch == made.epoch and first.sequence <= made.sequence + 1
        if self._held is not None and not self._gap:
            return made.epoch == self._held.epoch
        return self._seen is None or self._seen.sequence <= made.sequence

    async def _load(self, made: TablesMade) -> None:
        self._loading = True  # what comes meanwhile waits for these, too
        try:
            await self._fetch(made)
            built = await _in_thread(lambda going_on: self._shelf.build(made.name, self._bounds, going_on))
            adopted = await self._adopt(built)
        except TablesBad:
            self._bad.add(made.name)
            raise
        finally:
            self._loading = False
            if self._held is not None and not self._gap:
                self._pending.clear()
        if adopted:
            self._log.info(
                "tables are loaded",
                tables=built.name,
                sequence=built.sequence,
                owners=made.owners,
                callers=made.callers,
            )

    async def _fetch(self, made: TablesMade) -> None:
        """Onto the disk. Raises `ExchangeError`, `TablesBad`, `OSError`."""
        if self._shelf.name == made.name:
            return
        part = self._shelf.new(made.name)
        seconds = _FETCH_S + made.bytes / _FETCHED_PER_S
        try:
            with await trio.to_thread.run_sync(private_file, part) as file:
                there = await self._bridge.call(lambda c: c.fetch_file(TABLES, made.name, file, seconds), seconds)
            if not there:
                self._bad.add(made.name)
                raise ExchangeError(f"the tables {made.name} are not there any more")
            async with self._disk:
                await trio.to_thread.run_sync(self._shelf.put, part)
        except TablesBad:
            self._bad.add(made.name)
            raise
        finally:
            part.unlink(missing_ok=True)
        self._more_lines.set()


async def _in_thread(work: Callable[[Callable[[], bool]], _T]) -> _T:
    """Long work of a thread, which is given up with the task: it asks whether to go on."""
    going_on = True
    try:
        return await trio.to_thread.run_sync(lambda: work(lambda: going_on), abandon_on_cancel=True)
    finally:
        going_on = False

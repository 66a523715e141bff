"""Claims on employees of other PBXs.

The router that serves the PBX where a phone is registered owns the claim on its employee, in its engine's memory.
Another router asks it once a round, before it rings, and feeds a refusal to its engine as `taken`. Silence is a
refusal: who cannot be asked counts as unreachable. A claim holds for a minute and is asked again meanwhile; one that
could not be is given up before it lapses, so that nobody is rung twice, whatever is cut.

`ClaimingPbx` goes around an adapter's `Pbx`; neither the adapter nor the routing loop knows of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, Protocol

import structlog
import trio

from kommutator.errors import EngineError, ExchangeError
from kommutator.exchange.bridge import Bridge
from kommutator.exchange.homes import Homes
from kommutator.exchange.messages import ClaimAnswer, ClaimAsked, claims_subject, decode, encode
from kommutator.routing.conversation import Arrangement, Standing
from kommutator.routing.ports import Call, Clock, FloorSink, Pbx
from kommutator.routing.turn import Event, Ring, Transfer, Turn

HOLDS_S = 60.0
"""How long the engine keeps a reservation."""
RENEW_S = 10.0
"""How often claims are asked again."""
MARGIN_S = 5.0
"""So much before it lapses, a claim that could not be asked again is given up."""
_GIVEN_BACK_AT_ONCE = 1024
_AGAIN_S = 1.0
"""So often owners are told again of what could not be given back."""


class ClaimEngine(Protocol):
    """The engine, as far as claims need it."""

    def reserve(self, employee: str, call_id: str, now_ms: int) -> bool: ...
    def release(self, employee: str, call_id: str) -> None: ...


class ClaimOwner:
    """Answers other routers for the employees of this PBX.

    `freed` is told of an employee whom another router has let go: this router's waiting calls may want him.
    """

    def __init__(
        self,
        bridge: Bridge,
        pbx: str,
        engine: ClaimEngine,
        clock: Clock,
        freed: Callable[[str], None] | None = None,
        holds_s: float = HOLDS_S,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._freed = freed
        self._holds_s = holds_s
        self._log = structlog.get_logger()
        bridge.serve(claims_subject(pbx), self._answer)

    async def _answer(self, payload: bytes) -> bytes | None:
        asked = decode(payload, ClaimAsked)
        now_ms = self._clock.now_ms()
        taken = []
        for employee in asked.employees:
            try:
                if asked.release:
                    self._engine.release(employee, asked.call)
                    if self._freed is not None:
                        self._freed(employee)
                elif not self._engine.reserve(employee, asked.call, now_ms):
                    taken.append(employee)
            except EngineError as error:
                self._log.warning("a claim was refused", employee=employee, by=asked.by, code=error.code)
                taken.append(employee)
        return encode(ClaimAnswer(tuple(taken), self._holds_s))


class _Held:
    """What one call holds elsewhere: until when by employee, in trio's time."""

    __slots__ = ("lost", "ringing", "until")

    def __init__(self) -> None:
        self.until: dict[str, float] = {}
        self.lost: set[str] = set()
        self.ringing: trio.CancelScope | None = None


class _Answer(NamedTuple):
    """What owners said: until when claims are granted, who is another's, and about whom nobody said anything."""

    granted: dict[str, float]
    taken: frozenset[str]
    silent: frozenset[str]


class _GivenBack(NamedTuple):
    """Whom a call wants no more, of one PBX; the claims lapse at `until`, in trio's time, if the owner is never told."""

    pbx: str
    call_id: str
    employees: tuple[str, ...]
    until: float


class Claims:
    """The claims that this router's calls hold on employees of other PBXs."""

    def __init__(
        self, bridge: Bridge, pbx: str, homes: Homes, renew_s: float = RENEW_S, margin_s: float = MARGIN_S
    ) -> None:
        self._renew_s = renew_s
        self._margin_s = margin_s
        self._bridge = bridge
        self._pbx = pbx
        self._homes = homes
        self._held: dict[str, _Held] = {}
        self._back_in, self._back_out = trio.open_memory_channel[_GivenBack](_GIVEN_BACK_AT_ONCE)
        self._untold: list[_GivenBack] = []
        self._log = structlog.get_logger()

    async def run(self) -> None:
        """Ask for claims again before they lapse, and give back what is no longer wanted, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_owners)
            nursery.start_soon(self._tell_again)
            nursery.start_soon(self._renew_all)

    def foreign(self, employees: Iterable[str | None]) -> frozenset[str]:
        """Those of them whose phones are at another PBX."""
        homes = self._homes()
        return frozenset(e for e in employees if e is not None and homes.get(e, self._pbx) != self._pbx)

    async def claim(self, call_id: str, wanted: frozenset[str]) -> frozenset[str]:
        """Hold exactly these for a call; returns those that cannot be had. Waits for `claim_s` at most."""
        self.keep_only(call_id, wanted)
        if not wanted:
            return frozenset()
        answer = await self._ask_or_give_back(call_id, wanted)
        held = self._held.setdefault(call_id, _Held())
        sure = trio.current_time() + self._margin_s
        still = {employee for employee in answer.silent if held.until.get(employee, 0.0) > sure}
        held.until.update(answer.granted)
        self._give_back(call_id, answer.silent - still)
        refused = answer.taken | (answer.silent - still)
        self.keep_only(call_id, wanted - refused)
        return refused

    async def add(self, call_id: str, employee: str) -> bool:
        """Hold one more for a call, such as whom an operator consults; False when he cannot be had."""
        if not self.foreign((employee,)):
            return True
        answer = await self._ask_or_give_back(call_id, (employee,))
        if answer.granted:
            self._held.setdefault(call_id, _Held()).until.update(answer.granted)
        self._give_back(call_id, answer.silent)
        return employee in answer.granted

    def drop(self, call_id: str, employee: str) -> None:
        """Give one back."""
        held = self._held.get(call_id)
        if held is not None:
            self.keep_only(call_id, frozenset(held.until.keys() - {employee}))

    def holds_beyond(self, call_id: str, wanted: frozenset[str]) -> bool:
        """Whether the call holds anybody else."""
        held = self._held.get(call_id)
        return held is not None and not held.until.keys() <= wanted

    def keep_only(self, call_id: str, wanted: frozenset[str]) -> None:
        """Give back what the call holds beyond these."""
        held = self._held.get(call_id)
        if held is None:
            return
        unwanted = frozenset(held.until.keys() - wanted)
        for employee in unwanted:
            del held.until[employee]
        self._give_back(call_id, unwanted)
        if not held.until and held.ringing is None:
            del self._held[call_id]

    @contextmanager
    def guarding(self, call_id: str, ringing: trio.CancelScope) -> Iterator[set[str]]:
        """While in it, `ringing` is cancelled when a claim of the call is lost; yields the employees lost."""
        held = self._held.setdefault(call_id, _Held())
        held.ringing, held.lost = ringing, set()
        try:
            yield held.lost
        finally:
            held.ringing = None
            if not held.until:
                self._held.pop(call_id, None)

    # --- inside

    def _by_home(self, employees: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        homes = self._homes()
        found: dict[str, tuple[str, ...]] = {}
        for employee in sorted(employees):
            pbx = homes.get(employee, self._pbx)
            found[pbx] = (*found.get(pbx, ()), employee)
        return found

    async def _ask_or_give_back(self, call_id: str, wanted: Iterable[str]) -> _Answer:
        try:
            return await self._ask(call_id, wanted)
        except trio.Cancelled:
            # Who asked is gone, and what may have been granted is nobody's.
            held = self._held.get(call_id)
            self._give_back(call_id, frozenset(wanted) - (held.until.keys() if held is not None else frozenset()))
            raise

    async def _ask(self, call_id: str, wanted: Iterable[str]) -> _Answer:
        """Ask the owners, all at once. What is granted is held from the moment of asking, which was before it was
        granted."""
        asked_at = trio.current_time()
        by_home = self._by_home(wanted)
        asked = {
            claims_subject(pbx): encode(ClaimAsked(call_id, employees, self._bridge.name))
            for pbx, employees in by_home.items()
        }
        try:
            answers = await self._bridge.request_all(asked, self._bridge.settings.claim_s)
        except ExchangeError as error:
            self._log.warning("employees of other PBXs cannot be asked for", call=call_id, code=error.code)
            answers = {}
        granted: dict[str, float] = {}
        taken: set[str] = set()
        silent: set[str] = set()
        for pbx, employees in by_home.items():
            told = self._read(answers.get(claims_subject(pbx)))
            if told is None:
                silent.update(employees)
                continue
            refused = frozenset(told.taken)
            taken.update(refused.intersection(employees))
            granted.update({employee: asked_at + told.holds_s for employee in employees if employee not in refused})
        return _Answer(granted, frozenset(taken), frozenset(silent))

    def _read(self, answer: bytes | None) -> ClaimAnswer | None:
        try:
            return None if answer is None else decode(answer, ClaimAnswer)
        except ExchangeError as error:
            self._log.error("the answer to a claim cannot be read", reason=str(error))
            return None

    async def _renew_all(self) -> None:
        while True:
            await trio.sleep(self._renew_s)
            for call_id, held in list(self._held.items()):
                if held.until:
                    await self._renew(call_id, held)

    async def _renew(self, call_id: str, held: _Held) -> None:
        answer = await self._ask(call_id, tuple(held.until))
        if self._held.get(call_id) is not held:
            self._give_back(call_id, frozenset(answer.granted))
            return
        for employee, until in answer.granted.items():
            if employee in held.until:
                held.until[employee] = until
            else:
                self._give_back(call_id, frozenset((employee,)))
        # The next asking comes too late for whoever has not been granted again by then.
        sure = trio.current_time() + self._renew_s + self._bridge.settings.claim_s + self._margin_s
        for employee, until in list(held.until.items()):
            if employee in answer.taken or until < sure:
                self._lose(call_id, held, employee)

    def _lose(self, call_id: str, held: _Held, employee: str) -> None:
        del held.until[employee]
        held.lost.add(employee)
        self._log.warning("a claim was lost", call=call_id, employee=employee)
        if held.ringing is not None:
            held.ringing.cancel()

    def _give_back(self, call_id: str, employees: frozenset[str]) -> None:
        """Have the owners told; at the bound, and when they cannot be, the claims lapse by themselves."""
        until = trio.current_time() + HOLDS_S
        for pbx, own in self._by_home(employees).items():
            try:
                self._back_in.send_nowait(_GivenBack(pbx, call_id, own, until))
            except trio.WouldBlock:
                self._lapses(call_id, own)

    def _lapses(self, call_id: str, employees: tuple[str, ...]) -> None:
        self._log.warning("too many claims to give back at once: these lapse", call=call_id, employees=employees)

    async def _tell_owners(self) -> None:
        async for back in self._back_out:
            if await self._tell_owner(back):
                continue
            if len(self._untold) < _GIVEN_BACK_AT_ONCE:
                self._untold.append(back)
            else:
                self._lapses(back.call_id, back.employees)

    async def _tell_again(self) -> None:
        """Owners who could not be told: an exchange that was away for a moment keeps nobody from his phone for a minute."""
        while True:
            await trio.sleep(_AGAIN_S)
            untold, self._untold = self._untold, []
            silent: set[str] = set()
            for back in untold:
                if back.until <= trio.current_time():
                    continue
                if back.pbx in silent or not await self._tell_owner(back):
                    silent.add(back.pbx)
                    self._untold.append(back)

    async def _tell_owner(self, back: _GivenBack) -> bool:
        held = self._held.get(back.call_id)
        # Whom the call has claimed again meanwhile it wants.
        unwanted = tuple(each for each in back.employees if held is None or each not in held.until)
        if not unwanted:
            return True
        payload = encode(ClaimAsked(back.call_id, unwanted, self._bridge.name, release=True))
        try:
            await self._bridge.request(claims_subject(back.pbx), payload, self._bridge.settings.claim_s)
        except ExchangeError as error:
            self._log.info("a claim could not be given back yet", call=back.call_id, code=error.code)
            return False
        return True


class ClaimingPbx:
    """A `Pbx` whose calls claim employees of other PBXs before these ring.

    `refused` is asked first about all employees, where other processes of this router ring them too: it answers whom these
    hold.
    """

    def __init__(
        self, inner: Pbx, claims: Claims, refused: Callable[[Iterable[str]], frozenset[str]] = lambda _: frozenset()
    ) -> None:
        self._inner = inner
        self._claims = claims
        self._refused = refused

    async def run(self, on_call: Callable[[Call], Awaitable[None]], floor: FloorSink) -> None:
        """Serve until cancelled."""

        async def on_claiming_call(call: Call) -> None:
            await on_call(ClaimingCall(call, self._claims, self._refused))

        await self._inner.run(on_claiming_call, floor)

    async def found_calls(self) -> frozenset[str]:
        """The calls that were alive at first."""
        return await self._inner.found_calls()

    async def epitaph(self, call_id: str, turn: Turn) -> Event:
        """How a call ended while nobody watched."""
        return await self._inner.epitaph(call_id, turn)

    async def call_back(self, call_id: str, endpoint: str, number: str, tell: Callable[[str], None]) -> str | None:
        """Call a number back."""
        return await self._inner.call_back(call_id, endpoint, number, tell)

    async def call_back_over(self, call_id: str) -> bool:
        """Wait for the end of a call back."""
        return await self._inner.call_back_over(call_id)

    async def hang_up_call_back(self, call_id: str) -> None:
        """End a call back."""
        await self._inner.hang_up_call_back(call_id)


class ClaimingCall:
    """A `Call` that claims employees of other PBXs before they ring, and gives them back when it has no use for them."""

    def __init__(
        self, inner: Call, claims: Claims, refused: Callable[[Iterable[str]], frozenset[str]] = lambda _: frozenset()
    ) -> None:
        self._inner = inner
        self._claims = claims
        self._refused = refused
        self._phones: dict[str, str] = {}
        """Whose phone each endpoint is that was rung."""

    @property
    def call_id(self) -> str:
        """The call's id."""
        return self._inner.call_id

    @property
    def did(self) -> str:
        """The number dialled."""
        return self._inner.did

    @property
    def caller(self) -> str | None:
        """The calling number."""
        return self._inner.caller

    @property
    def saved_state(self) -> str | None:
        """The state found with the channel."""
        return self._inner.saved_state

    @property
    def takes_orders(self) -> bool:
        """Whether desks can order something of the call."""
        return self._inner.takes_orders

    async def save(self, turn: Turn) -> None:
        """Keep the turn's state with the channel."""
        await self._inner.save(turn)

    async def perform(self, turn: Turn) -> Event:
        """Perform the action; `taken` when somebody whom it would ring is claimed elsewhere, or can no longer be."""
        match turn.action:
            case Ring(endpoints=endpoints):
                self._phones.update({each.endpoint: each.employee for each in endpoints if each.employee is not None})
                wanted = self._claims.foreign(each.employee for each in endpoints)
                await self._let_go(wanted, [each.endpoint for each in endpoints])
                here = self._refused(each.employee for each in endpoints if each.employee is not None)
                refused = here or await self._claims.claim(self.call_id, wanted)
                if refused:
                    return _taken(refused)
                if not wanted:
                    return await self._inner.perform(turn)
                with trio.CancelScope() as ringing, self._claims.guarding(self.call_id, ringing) as lost:
                    return await self._inner.perform(turn)
                return _taken(lost)
            case Transfer(to=endpoint):
                await self._let_go(frozenset(), [endpoint])
            case _:
                await self._let_go(frozenset(), [])
        return await self._inner.perform(turn)

    async def _let_go(self, wanted: frozenset[str], endpoints: Sequence[str]) -> None:
        """Give back whom the call holds beyond these. Their phones ring no more then, for their owners may have them rung
        for other calls at once."""
        if self._claims.holds_beyond(self.call_id, wanted):
            await self._inner.stop_ringing(endpoints)
            self._claims.keep_only(self.call_id, wanted)

    def pick_up(self, endpoint: str) -> None:
        """Have a ringing phone answer by itself."""
        self._inner.pick_up(endpoint)

    async def arrangement(self) -> Arrangement | None:
        """What was kept with the channel."""
        return await self._inner.arrangement()

    async def keep(self, arrangement: Arrangement) -> None:
        """Keep the arrangement with the channel."""
        await self._inner.keep(arrangement)

    async def converse(self, arrangement: Arrangement, seen: Standing, seconds: float | None) -> Standing:
        """Make the arrangement true; whoever is no longer in it is given back."""
        known = {party.employee or self._phones.get(party.endpoint) for party in arrangement.parties}
        known.add(arrangement.operator.employee)
        self._claims.keep_only(self.call_id, frozenset(employee for employee in known if employee is not None))
        return await self._inner.converse(arrangement, seen, seconds)

    async def stop_ringing(self, keep: Sequence[str]) -> None:
        """Cancel the legs at other endpoints."""
        await self._inner.stop_ringing(keep)

    def interrupt(self) -> None:
        """Let `converse` return."""
        self._inner.interrupt()

    async def close(self, turn: Turn | None) -> None:
        """Hang up whatever is left, and give everybody back."""
        try:
            await self._inner.close(turn)
        finally:
            self._claims.keep_only(self.call_id, frozenset())


def _taken(employees: Iterable[str]) -> Event:
    return {"type": "taken", "employees": sorted(employees)}

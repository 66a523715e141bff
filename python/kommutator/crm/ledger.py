"""The ledger's writer: from the entries of routers' spools to calls, turns, legs, and everything that calls leave
behind.

Entries may come twice, late, out of order between two routers, and in batches of any size: the same entries give the
same ledger. A turn is known by (call id, sequence), an effect by its id, an end by its call: the first end counts.
Everything of a batch is written in one transaction, so that no effect is without its turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import asyncpg
import msgspec
import structlog

from kommutator.crm import clients, doings, effects, missed, versions
from kommutator.crm.effects import Effects
from kommutator.crm.numbers import normalize
from kommutator.crm.pool import Database, Tx
from kommutator.engine import Engine
from kommutator.errors import BadEntry, BadState
from kommutator.routing.doings import Doing
from kommutator.routing.entries import Began, CallEntry, Ended, Kept, SpoolEntry, Turned, read
from kommutator.routing.record import CallRecord
from kommutator.routing.turn import Turn

_MISSED: Final = ("abandoned", "no_answer", "busy", "unavailable", "failed")
_UNALLOCATED: Final = ("failed", "caller")
"""The number dialled has no scheme: nobody's missed call."""
_NEVER: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    msgspec.ValidationError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
)
"""What an entry itself causes, and would cause again. A defect of ours that looks like it puts entries aside with an alarm too: kept,
and holding up no others."""


class Told(Protocol):
    """An entry, and whose it is."""

    @property
    def router(self) -> str:
        """The router's name."""
        ...

    @property
    def pbx(self) -> str:
        """The PBX where the call is."""
        ...

    @property
    def entry(self) -> CallEntry:
        """What happened."""
        ...


class Ledger:
    """Writes what happened to calls."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log = structlog.get_logger()

    async def write(self, told: Sequence[Told]) -> None:
        """Writes entries as the exchange brings them, all or none. Idempotent. What people did with an answered call is
        for the desks' screens: of a transfer the ledger has the turn, and the rest is not written.

        About ten statements a batch, four more for each call that ends and two for each effect: some 900 whole calls a second in
        batches of 300 entries. Raises `BadEntry` for one that cannot be written, and then writes nothing; `DatabaseUnreachable`.
        """
        await self._write([each.entry for each in told], {each.entry.call: (each.router, each.pbx) for each in told})

    async def write_lines(self, lines: Sequence[bytes], router: str = "", pbx: str = "") -> None:
        """`write` for lines of one router's spool."""
        entries = [read(line) for line in lines]
        await self._write(entries, {entry.call: (router, pbx) for entry in entries})

    async def _write(self, entries: Sequence[SpoolEntry], sources: Mapping[str, tuple[str, str]]) -> None:
        if not entries:
            return
        try:
            async with self._database.transaction("ledger") as tx:
                await _Batch(tx, await clients.country(tx), entries, sources, self._log).write()
        except _NEVER as error:
            raise BadEntry(f"an entry of a call cannot be written: {error!r}") from error


class _Batch:
    def __init__(
        self, tx: Tx, country: str, entries: Sequence[SpoolEntry], sources: Mapping[str, tuple[str, str]], log: Any
    ) -> None:
        self._tx = tx
        self._country = country
        self._doings = [entry for entry in entries if isinstance(entry, Doing)]
        self._entries = [entry for entry in entries if not isinstance(entry, Doing)]
        self._sources = sources
        self._log = log
        self._touched = sorted({entry.call for entry in self._entries})

    async def write(self) -> None:
        # The calls' rows are taken in one order, so that two writers wait for each other and never lock each other out.
        await self._begin()
        new: list[Effects] = []
        for entry in self._entries:
            if isinstance(entry, Kept):
                new += await self._keep(entry.record)
        new += await self._turn([entry for entry in self._entries if isinstance(entry, Turned)])
        ended = await self._end([entry for entry in self._entries if isinstance(entry, Ended)])
        await effects.write(self._tx, new)
        await doings.write(self._tx, self._doings, self._country)
        await self._fold(ended)

    async def _begin(self) -> None:
        """A row for every call of the batch, with what is told of its arrival; locks them."""
        known: dict[str, Began] = {}
        for entry in self._entries:
            if isinstance(entry, Began):
                known.setdefault(entry.call, entry)
            elif isinstance(entry, Kept):
                record = entry.record
                known.setdefault(record.call_id, Began(record.call_id, record.did, record.caller, record.began_ms))
        told = [known.get(call) for call in self._touched]
        await self._tx.run(
            """insert into calls (company_id, call_id, did, caller, did_number, caller_number, began_at,
                   router, pbx)
               select $1, given.* from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                   $7::timestamptz[], $8::text[], $9::text[]) as given
               on conflict (company_id, call_id) do update set
                   did = coalesce(calls.did, excluded.did), caller = coalesce(calls.caller, excluded.caller),
                   did_number = coalesce(calls.did_number, excluded.did_number),
                   caller_number = coalesce(calls.caller_number, excluded.caller_number),
                   began_at = least(calls.began_at, excluded.began_at),
                   router = coalesce(calls.router, excluded.router), pbx = coalesce(calls.pbx, excluded.pbx)""",
            self._touched,
            [began and began.did for began in told],
            [began and began.caller for began in told],
            [began and normalize(began.did, self._country) for began in told],
            [began and normalize(began.caller, self._country) for began in told],
            [_time(began.at) if began else None for began in told],
            [self._sources[call][0] or None for call in self._touched],
            [self._sources[call][1] or None for call in self._touched],
        )  # fmt: skip

    async def _turn(self, turned: Sequence[Turned]) -> list[Effects]:
        """Writes the turns that are not known, and returns what they leave behind."""
        if not turned:
            return []
        rows = await self._tx.fetch(
            """insert into call_turns (company_id, call_id, sequence, at, event, action, trace, rounds, effects, scheme)
               select $1, given.* from unnest($2::text[], $3::integer[], $4::timestamptz[], $5::jsonb[], $6::jsonb[],
                   $7::jsonb[], $8::jsonb[], $9::jsonb[], $10::text[]) as given
               on conflict (company_id, call_id, sequence) do nothing returning call_id, sequence""",
            [entry.call for entry in turned],
            [entry.turn.sequence for entry in turned],
            [_time(entry.at) for entry in turned],
            [entry.event for entry in turned],
            [msgspec.to_builtins(entry.turn.action) for entry in turned],
            [entry.turn.trace for entry in turned],
            [entry.turn.rounds for entry in turned],
            [entry.turn.effects for entry in turned],
            [entry.turn.scheme for entry in turned],
        )  # fmt: skip
        new = {(row["call_id"], row["sequence"]) for row in rows}
        await self._note_versions([entry for entry in turned if (entry.call, entry.turn.sequence) in new])
        left: dict[tuple[str, int], Effects] = {}
        for entry in turned:
            key = (entry.call, entry.turn.sequence)
            if key in new and entry.turn.effects:
                left.setdefault(key, Effects(entry.call, _time(entry.at), entry.turn.effects))
        return list(left.values())

    async def _note_versions(self, turned: Sequence[Turned]) -> None:
        """Which version each call began on: of those of the same meaning, the last that was active then."""
        known: dict[str, str] = {}
        for entry in turned:
            if entry.turn.sequence == 0:
                # A state that the engine cannot read is no reason to lose the turn.
                with suppress(BadState):
                    known[entry.call] = versions.identity(Engine.version_of(entry.turn.state))
        if known:
            await self._tx.run(
                """update calls c set engine_version = given.engine_version, version = (
                       select v.number from company_versions v
                       left join activations a on a.company_id = $1 and a.version = v.number
                            and a.at <= coalesce(c.began_at, now())
                       where v.company_id = $1 and v.engine_version = given.engine_version
                       order by a.id desc nulls last, v.number desc limit 1)
                   from unnest($2::text[], $3::text[]) as given (call_id, engine_version)
                   where c.company_id = $1 and c.call_id = given.call_id""",
                list(known), list(known.values()),
            )  # fmt: skip

    async def _keep(self, record: CallRecord) -> list[Effects]:
        """A call that is told whole: its turns are known already, or nobody ever will tell them one by one."""
        if record.turn is None:
            return []
        turn = record.turn
        known = await self._tx.value(
            "select exists (select 1 from call_turns where company_id = $1 and call_id = $2 and sequence <= $3)",
            record.call_id, turn.sequence,
        )  # fmt: skip
        if not known:
            await self._tx.run(
                "update calls set found = $3 where company_id = $1 and call_id = $2",
                record.call_id,
                msgspec.to_builtins(record),
            )
            whole = Turn(
                turn.state, turn.sequence, turn.action, tuple(record.effects), tuple(record.trace),
                tuple(record.rounds), record.scheme,
            )  # fmt: skip
            return await self._turn([Turned(record.call_id, record.began_ms, None, whole)])
        return [Effects(record.call_id, _time(record.began_ms), tuple(record.effects))] if record.effects else []

    async def _end(self, ended: Sequence[Ended]) -> set[str]:
        """Ends the calls that had not ended; returns those whose turns are to be told anew: ended in this batch or
        before it."""
        if ended:
            await self._tx.run(
                """update calls c set ended_at = greatest(given.ended_at, c.began_at), disposition = given.disposition,
                       fault = given.fault
                   from unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[])
                       as given (call_id, ended_at, disposition, fault)
                   where c.company_id = $1 and c.call_id = given.call_id and c.ended_at is null""",
                *zip(*{entry.call: (entry.call, _time(entry.at), entry.disposition, entry.fault)
                       for entry in reversed(ended)}.values(), strict=True),
            )  # fmt: skip
        rows = await self._tx.fetch(
            """select call_id, disposition, fault from calls
               where company_id = $1 and call_id = any($2::text[]) and ended_at is not null""",
            self._touched,
        )
        is_now = {row["call_id"]: row for row in rows}
        for entry in ended:
            row = is_now[entry.call]
            if (row["disposition"], row["fault"]) != (entry.disposition, entry.fault):
                self._log.error(
                    "a call ended twice", call=entry.call, kept=row["disposition"], refused=entry.disposition
                )
        return set(is_now)

    async def _fold(self, ended: set[str]) -> None:
        """Legs, scheme, tags, who answered, who has called before, and who was reached: from all turns of the calls
        that have ended."""
        for call_id in sorted(ended):
            await _fold_one(self._tx, call_id)


async def _fold_one(tx: Tx, call_id: str) -> None:
    call = await tx.one(
        """select did, caller, caller_number, began_at, ended_at, disposition, fault, did_number, counted, found, purged_at
           from calls
           where company_id = $1 and call_id = $2""",
        call_id,
    )
    assert call is not None
    if call["purged_at"] is not None:
        return
    rows = await tx.fetch(
        """select sequence, at, event, action, trace, rounds, effects, scheme from call_turns
           where company_id = $1 and call_id = $2 order by sequence""",
        call_id,
    )
    record = CallRecord(call_id, call["did"] or "", call["caller"], 0)
    if call["found"] is not None:
        record = msgspec.convert(call["found"], CallRecord)
    rang = [call["began_at"]] * len(record.legs)
    over = [call["began_at"] if leg.outcome else None for leg in record.legs]
    tags: dict[str, Any] = {}
    for row in rows:
        turn = msgspec.convert({"state": "", **dict(row)}, Turn)
        record.take(row["event"], turn)
        rang += [row["at"]] * (len(record.legs) - len(rang))
        over += [None] * (len(record.legs) - len(over))
        over = [then or (row["at"] if leg.outcome else None) for then, leg in zip(over, record.legs, strict=True)]
        for effect in turn.effects:
            if effect.get("type") == "tag":
                tags.update(effect.get("set") or {})
    for leg in record.legs:
        leg.outcome = leg.outcome or "cancelled"
    await tx.run("delete from call_legs where company_id = $1 and call_id = $2", call_id)
    await tx.run(
        """insert into call_legs (company_id, call_id, number, endpoint, employee, round, rang_at, ended_at, outcome)
           select $1, $2, place, endpoint, employee, round, rang_at, coalesce(ended_at, $9), outcome
           from unnest($3::text[], $4::text[], $5::integer[], $6::timestamptz[], $7::timestamptz[], $8::text[])
               with ordinality as given (endpoint, employee, round, rang_at, ended_at, outcome, place)""",
        call_id,
        [leg.endpoint for leg in record.legs],
        [leg.employee for leg in record.legs],
        [leg.round for leg in record.legs],
        rang,
        over,
        [leg.outcome for leg in record.legs],
        call["ended_at"],
    )  # fmt: skip
    if call["disposition"] in _MISSED and (call["disposition"], call["fault"]) != _UNALLOCATED:
        began = call["began_at"] or call["ended_at"]
        await missed.unheard(tx, call_id, call["caller_number"], call["did_number"], began)
    count = not call["counted"] and call["caller_number"] is not None and call["began_at"] is not None
    answered = next((i for i, leg in enumerate(record.legs) if leg.outcome == "answered"), None)
    await tx.run(
        """update calls set scheme = $3, tags = $4, answered_by = $5, answered_at = $6, counted = $7
           where company_id = $1 and call_id = $2""",
        call_id, record.scheme, tags,
        None if answered is None else record.legs[answered].employee,
        None if answered is None else over[answered],
        call["counted"] or count,
    )  # fmt: skip
    if not count:
        return
    await tx.run(
        """insert into callers (company_id, number, first_call_at, last_call_at, calls) values ($1, $2, $3, $3, 1)
           on conflict (company_id, number) do update set first_call_at = least(callers.first_call_at,
           excluded.first_call_at),
               last_call_at = greatest(callers.last_call_at, excluded.last_call_at), calls = callers.calls + 1""",
        call["caller_number"], call["began_at"],
    )  # fmt: skip
    await tx.run("insert into caller_changes (company_id, number) values ($1, $2)", call["caller_number"])
    if call["disposition"] in missed.REACHED:
        await missed.reached(tx, call["caller_number"], call["ended_at"])


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)

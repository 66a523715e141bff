"""The outbox of the database as the sender of notices needs it, and what it reads from beside."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kommutator.crm import outbox
from kommutator.crm.outbox import Claim, OutboxSettings
from kommutator.crm.pool import Database, Row
from kommutator.notify.ports import ChannelName, Content, Letter, Notice, Receipt, Sms, Voicemail


@dataclass(frozen=True, slots=True)
class CrmOutbox:
    """`kommutator.notify.ports.Outbox` over `kommutator.crm.outbox`. `by` names this sender in the rows that it has claimed."""

    database: Database
    by: str
    settings: OutboxSettings = field(default_factory=OutboxSettings)

    async def claim(self, channel: ChannelName, limit: int, now_ms: int) -> Sequence[Notice]:
        """What is due, at most one a recipient. Two statements."""
        async with self.database.transaction() as tx:
            claims = await outbox.claim(tx, channel, self.by, self.settings, _time(now_ms), limit)
            if not claims:
                return []
            rows = await tx.fetch(
                """select o.id, o.doubts, coalesce(c.caller_number, c.caller) as caller, coalesce(c.did_number, c.did) as did,
                       array(select p.part from outbox_parts p where p.company_id = $1 and p.outbox_id = o.id) as parts
                   from outbox o left join calls c on c.company_id = $1 and c.call_id = o.call_id
                   where o.company_id = $1 and o.id = any($2::text[])""",
                [claim.id for claim in claims],
            )
        known = {row["id"]: row for row in rows}
        return [_notice(claim, known[claim.id]) for claim in claims]

    async def next_due_ms(self, channel: ChannelName) -> int | None:
        """When the next claim may find something: of each recipient, the first notice counts. Reads all that wait."""
        async with self.database.transaction() as tx:
            due = await tx.value(
                """select min(next_at) from (select distinct on (recipient) next_at from outbox
                   where company_id = $1 and channel = $2 and state = 'waiting' order by recipient, place) as first""",
                channel,
            )
        return None if due is None else int(due.timestamp() * 1000)

    async def hand_over(self, notice: Notice, until_ms: int) -> bool:
        """The mark, and a longer lease."""
        async with self.database.transaction() as tx:
            done = await tx.run(
                """update outbox set doubts = doubts + 1, next_at = $4
                   where company_id = $1 and id = $2 and attempts = $3 and state = 'waiting' and claimed_by is not null""",
                notice.id, notice.attempt, _time(until_ms),
            )  # fmt: skip
        return bool(done)

    async def accepted(self, notice: Notice, part: int, provider_id: str | None, now_ms: int) -> None:
        """A part by its provider's id, or by our own where the provider gives none."""
        async with self.database.transaction() as tx:
            await tx.run(
                """insert into outbox_parts (company_id, channel, provider_id, outbox_id, part, at)
                   select $1, channel, $3, id, $4, $5 from outbox where company_id = $1 and id = $2
                   on conflict (company_id, channel, provider_id)
                   do update set outbox_id = excluded.outbox_id, part = excluded.part""",
                notice.id, provider_id or f"{notice.id}/{part}", part, _time(now_ms),
            )  # fmt: skip

    async def sent(self, notice: Notice, now_ms: int) -> None:
        """Final, but for receipts: those that came already count."""
        async with self.database.transaction() as tx:
            rows = await tx.fetch(
                "select provider_id from outbox_parts where company_id = $1 and outbox_id = $2 order by part", notice.id
            )
            await outbox.sent(tx, _claim(notice), _time(now_ms), [row["provider_id"] for row in rows])

    async def again(self, notice: Notice, at_ms: int, reason: str, *, doubtful: bool) -> None:
        """Due again then."""
        async with self.database.transaction() as tx:
            await tx.run(
                """update outbox set next_at = $4, last_error = $5, claimed_by = null, doubts = doubts - $6::smallint
                   where company_id = $1 and id = $2 and attempts = $3 and state = 'waiting'""",
                notice.id, notice.attempt, _time(at_ms), reason[:2000], 0 if doubtful else 1,
            )  # fmt: skip

    async def failed(self, notice: Notice, reason: str, now_ms: int) -> None:
        """Final."""
        async with self.database.transaction() as tx:
            await outbox.failed(tx, _claim(notice), reason, self.settings, _time(now_ms), final=True)

    async def receipt(self, channel: ChannelName, receipt: Receipt, now_ms: int) -> str | None:
        """Kept even where the part is not known yet."""
        async with self.database.transaction() as tx:
            return await outbox.receipt(
                tx, channel, receipt.provider_id, receipt.delivered, _time(now_ms), receipt.error
            )


@dataclass(frozen=True, slots=True)
class RecordingFolder:
    """`kommutator.notify.email.Recordings` over a folder of `<name>.wav`."""

    folder: Path

    async def wav(self, name: str) -> bytes | None:
        """The recording; None while it has not arrived."""
        if Path(name).name != name:
            return None
        try:
            return await asyncio.to_thread((self.folder / f"{name}.wav").read_bytes)
        except FileNotFoundError:
            return None


def content(payload: Mapping[str, Any], channel: ChannelName, facts: Mapping[str, Any], at_ms: int) -> Content:
    """What an effect's payload says, as `kommutator.crm.effects` writes it, with what is known of its call."""
    if "voicemail" in payload:
        return Voicemail(payload["voicemail"], float(payload["seconds"]), facts["caller"], facts["did"], at_ms)
    text = payload.get("text") or ""
    return Sms(text) if channel == "sms" else Letter(text, payload.get("subject"))


def _notice(claim: Claim, row: Row) -> Notice:
    at_ms = int(claim.created_at.timestamp() * 1000)
    return Notice(
        id=claim.id,
        recipient=claim.recipient,
        content=content(claim.payload, claim.channel, dict(row), at_ms),
        created_at_ms=at_ms,
        attempt=claim.attempt,
        doubts=row["doubts"],
        parts=frozenset(part for part in row["parts"] if part is not None),
        call_id=claim.call_id,
    )


def _claim(notice: Notice) -> Claim:
    """The claim again: what is told of it goes by its id and attempt."""
    channel: ChannelName = "sms" if isinstance(notice.content, Sms) else "email"
    at = _time(notice.created_at_ms)
    return Claim(notice.id, channel, notice.recipient, {}, notice.call_id, notice.attempt, at)


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)

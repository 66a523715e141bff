"""The outbox of the database as the sender of notices needs it, and what it reads from beside."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr

from kommutator.crm import outbox, people
from kommutator.crm.outbox import Claim, OutboxSettings
from kommutator.crm.pool import Database, Row
from kommutator.notify.letters import Letterhead
from kommutator.notify.ports import ChannelName, Content, Letter, Notice, Receipt, Sms, Voicemail
from kommutator.routing.entries import recording_key
from kommutator.routing.ports import Clock


@dataclass(frozen=True, slots=True)
class CrmOutbox:
    """`kommutator.notify.ports.Outbox` over `kommutator.crm.outbox`. `by` names this sender in the rows that it has claimed: no two
    that live have one name."""

    database: Database
    by: str
    settings: OutboxSettings = field(default_factory=OutboxSettings)

    async def release(self, now_ms: int) -> int:
        """Give back what an earlier sender of this name had claimed: it is dead. How many notices that were. What it had handed
        over counts as in doubt. One look at all that wait."""
        async with self.database.transaction() as tx:
            return await tx.run(
                """update outbox set next_at = least(next_at, $3), claimed_by = null
                   where company_id = $1 and claimed_by = $2 and state = 'waiting'""",
                self.by, _time(now_ms),
            )  # fmt: skip

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
        """The recording, by its name in the ledger; None while it has not arrived."""
        try:
            return await asyncio.to_thread((self.folder / f"{recording_key(name)}.wav").read_bytes)
        except FileNotFoundError:
            return None


class CompanyHead:
    """The head of letters, as the active version has it: `kommutator.notify.letters.Head`."""

    def __init__(self, database: Database, sender: str) -> None:
        self._database = database
        self._head = Letterhead(sender, "Kommutator")

    def __call__(self) -> Letterhead:
        """The head as last read."""
        return self._head

    async def refresh(self) -> None:
        """Read it again, as after an activation. One row by key. Raises `DatabaseUnreachable`."""
        async with self._database.transaction() as tx:
            company = await people.company(tx)
        self._head = replace(
            self._head,
            company=company.name or self._head.company,
            timezone=company.timezone,
            language=company.language,
        )


@dataclass(frozen=True, slots=True)
class ReceiptForm:
    """How an SMS gateway tells by HTTP what became of a message: the names of its parameters, and the values of `state`."""

    token: SecretStr
    id: str
    state: str
    delivered: frozenset[str]
    undelivered: frozenset[str]
    error: str | None = None


class HttpReceipts:
    """What SMS gateways tell by HTTP."""

    def __init__(self, outbox: CrmOutbox, form: ReceiptForm, clock: Clock) -> None:
        self._outbox = outbox
        self._form = form
        self._clock = clock
        self._log = structlog.get_logger()

    async def http_receipt(self, params: Mapping[str, str]) -> bool:
        """Take one request's parameters; False for a wrong `token`, or where no message is named: nothing is written then.

        A receipt that comes before its message is written down as sent, or twice, counts once. Raises `DatabaseUnreachable`:
        the gateway should tell it again.
        """
        form = self._form
        given = params.get("token", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, form.token.get_secret_value().encode()):
            self._log.warning("a receipt without the right token was refused")
            return False
        provider_id, state = params.get(form.id, ""), params.get(form.state, "")
        if not provider_id:
            return False
        if state in form.delivered or state in form.undelivered:
            error = None if state in form.delivered else (params.get(form.error) if form.error else None) or state
            receipt = Receipt(provider_id, state in form.delivered, error)
            notice = await self._outbox.receipt("sms", receipt, self._clock.now_ms())
            self._log.info("a receipt came", notice=notice, provider_id=provider_id, state=state)
        return True


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

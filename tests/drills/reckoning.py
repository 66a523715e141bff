"""What every drill comes to: each call in one line everywhere, each effect done once, and nothing left waiting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import asyncpg

from tests.drills.stack import PATIENCE_S, Line, Stack

_CALLS = """
    select c.call_id, c.disposition, c.fault, c.caller_number, c.router, c.answered_by,
           (select count(*) from call_turns t where t.company_id = c.company_id and t.call_id = c.call_id) as turns,
           (select max(sequence) from call_turns t where t.company_id = c.company_id and t.call_id = c.call_id) as last
    from calls c
"""
_NOTICES = "select id, channel, recipient, call_id, state, doubts, payload from outbox"


async def settled(stack: Stack, router: str, calls: int, patience_s: float = PATIENCE_S) -> None:
    """Wait until the ledgers have so many ended calls, and nothing waits: neither in the spool nor in the outbox."""
    await stack.until(
        lambda: len(stack.ledger(router)) >= calls, f"{calls} lines in the ledger of {router}", patience_s
    )

    async def in_database() -> bool:
        """Also while there may be no database."""
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return await ended() >= calls
        return False

    async def ended() -> int:
        found: int = await stack.value(f"select count(*) from calls where ended_at is not null and router = '{router}'")
        return found

    await stack.until(in_database, f"{calls} calls of {router} in the database", patience_s)

    async def drained() -> bool:
        return await stack.figure(router, "kommutator_spool_entries") == 0

    await stack.until(drained, f"the spool of {router} is drained")
    assert await stack.figure(router, "kommutator_spool_lost_entries") == 0
    assert await stack.figure(router, "kommutator_journal_lost_lines") == 0

    async def nothing_waits() -> bool:
        """A text is done when it is sent: the receipt of one that was under way when its desk was killed may have died with it."""
        return bool(await stack.value("select count(*) from outbox where state = 'waiting'") == 0)

    await stack.until(nothing_waits, "the outbox is empty", patience_s)


async def agree(stack: Stack, router: str, calls: Collection[str]) -> dict[str, Line]:
    """The database, the router's own ledger and the PBX know the same calls, and of each the same end. The lines."""
    lines = stack.ledger(router)
    rows = {row["call_id"]: row for row in await stack.rows(_CALLS) if row["router"] == router}
    assert set(lines) == set(calls), f"ledger and PBX differ: {sorted(set(lines) ^ set(calls))[:10]}"
    assert set(rows) == set(calls), f"database and PBX differ: {sorted(set(rows) ^ set(calls))[:10]}"
    for call_id, row in rows.items():
        line = lines[call_id]
        assert (row["disposition"], row["fault"]) == (line["disposition"], line["fault"]), call_id
        assert row["turns"] == row["last"] + 1, f"{call_id}: a turn is missing"
    return lines


async def effects_once(stack: Stack, lines: dict[str, Line]) -> None:
    """Every effect of every line has been performed, and none twice by its identity.

    An SMSC knows no identity: what was under way when a desk died is in doubt, and is told once more; that is counted.
    """
    effects: dict[str, list[dict[str, Any]]] = {}
    for line in lines.values():
        for effect in line["effects"]:
            effects.setdefault(effect["type"], []).append(effect)
    notices = await stack.rows(_NOTICES)
    assert all(notice["state"] in ("sent", "delivered") for notice in notices), Counter(n["state"] for n in notices)

    texts = Counter(notice["recipient"] for notice in notices if notice["channel"] == "sms")
    assert texts == Counter(effect["to"] for effect in effects.get("sms", []))
    came = stack.smsc.counts()
    assert set(came) == set(texts)
    doubted = {notice["recipient"] for notice in notices if notice["doubts"] > 1}
    twice = {to for to in came if came[to] > texts[to]}
    assert twice <= doubted, f"sent twice without any doubt: {sorted(twice - doubted)}"
    assert all(came[to] <= texts[to] + 1 for to in came)

    letters = stack.mailbox.letters()
    assert len({letter["Message-ID"] for letter in letters}) == sum(n["channel"] == "email" for n in notices)
    by_call = Counter(notice["call_id"] for notice in notices if notice["channel"] == "email")
    messages = {call_id for call_id, line in lines.items() if line["disposition"] == "voicemail"}
    assert by_call == Counter(dict.fromkeys(messages, 1))
    for letter in letters:
        (sound,) = letter.iter_attachments()
        assert sound.get_content_type() == "audio/wav"

    tasks = {row["id"] for row in await stack.rows("select id from tasks where kind = 'task'")}
    assert len(tasks) == len(effects.get("task", []))
    missed = Counter(row["call_id"] for row in await stack.rows("select call_id from missed_calls"))
    lost = ("abandoned", "no_answer", "busy", "unavailable", "failed")
    assert missed == Counter({call_id: 1 for call_id, line in lines.items() if line["disposition"] in lost})
    stored = await stack.value("select count(*) from recordings where location is not null")
    assert stored == len(messages) == len(list((stack.data / "desk" / "recordings").glob("*.wav")))

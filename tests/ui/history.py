"""What has happened before a page is opened: calls with their stories, a recording, notices."""

from __future__ import annotations

import math
import struct
import wave
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kommutator.crm import recordings
from kommutator.crm.pool import Tx
from kommutator.desk.services import Services

_CALLS = (
    ("call-a", "+79161112233", "no_answer", "callee", None, 25, 58),
    ("call-b", "+73432223344", "answered", "none", "ilya", 70, 214),
    ("call-c", "+79031234567", "voicemail", "callee", None, 190, 41),
    ("call-d", "+74957654321", "abandoned", "caller", None, 1500, 12),
    ("call-e", "+78123334455", "transferred", "none", "anna", 1640, 305),
)
_TURNS: tuple[tuple[dict[str, Any], list[dict[str, Any]]], ...] = (
    ({"type": "play", "prompt": "greeting"}, []),
    (
        {
            "type": "ring",
            "round": 1,
            "seconds": 25,
            "endpoints": [
                {"endpoint": "PJSIP/101", "employee": "anna"},
                {"endpoint": "PJSIP/102", "employee": "boris"},
            ],
        },
        [{"node": "hello", "exit": "done", "why": {"kind": "played"}}],
    ),
    (
        {"type": "record", "seconds": 120, "prompt": "leave-message"},
        [{"node": "team", "exit": "no_answer", "why": {"kind": "nobody_answered"}}],
    ),
    ({"type": "end", "disposition": "voicemail", "fault": "callee"}, []),
)
_NOTICES = (
    ("n1", "sms", "+79161230001", {"text": "Пропущен звонок от +7 916 111-22-33 в 11:35."}, "delivered", 1, None),
    ("n2", "email", "office@example.test", {"subject": "Голосовое сообщение", "text": "41 с"}, "sent", 1, None),
    ("n3", "sms", "+79161230008", {"text": "Пропущен звонок."}, "failed", 15, "номер не обслуживается"),
    ("n4", "email", "viktor@example.test", {"subject": "Задача", "text": "Перезвонить"}, "waiting", 2, "421 try later"),
)


async def fill(services: Services, now: datetime) -> None:
    """Writes it all."""
    async with services.database.transaction("stage") as tx:
        for call in _CALLS:
            await _call(tx, call, now)
        for sequence, (action, trace) in enumerate(_TURNS):
            at = now - timedelta(minutes=190) + timedelta(seconds=8 * sequence)
            await tx.run(
                """insert into call_turns (company_id, call_id, sequence, at, event, action, trace, rounds, effects, scheme)
                   values ($1, 'call-c', $2, $3, null, $4, $5, '[]', '[]', 'office-hours')""",
                sequence, at, action, trace,
            )  # fmt: skip
        for number, employee in enumerate(("anna", "boris"), 1):
            await tx.run(
                """insert into call_legs (company_id, call_id, number, endpoint, employee, round, rang_at, ended_at, outcome)
                   values ($1, 'call-c', $2, $3, $4, 1, $5, $5, 'no_answer')""",
                number, f"PJSIP/10{number}", employee, now - timedelta(minutes=190) + timedelta(seconds=8),
            )  # fmt: skip
        await recordings.expect(
            tx, "message-c", "voicemail", "call-c", 3.0, now - timedelta(minutes=189), assign="sales"
        )
        size = _sound(services.recordings / "message-c.wav")
        await recordings.stored(tx, "message-c", "message-c.wav", size, "audio/wav", now)
        for id, channel, recipient, payload, state, attempts, error in _NOTICES:
            await tx.run(
                """insert into outbox (company_id, id, channel, recipient, payload, call_id, state, attempts, created_at,
                                       next_at, last_error)
                   values ($1, $2, $3, $4, $5, 'call-c', $6, $7, $8, $8, $9)""",
                id, channel, recipient, payload, state, attempts, now - timedelta(minutes=188), error,
            )  # fmt: skip


async def _call(tx: Tx, call: tuple[str, str, str, str, str | None, int, int], now: datetime) -> None:
    call_id, caller, disposition, fault, answered_by, minutes, seconds = call
    began = now - timedelta(minutes=minutes)
    await tx.run(
        """insert into calls (company_id, call_id, did, caller, did_number, caller_number, began_at, ended_at, disposition,
                              fault, scheme, answered_by, answered_at)
           values ($1, $2, '+74951112201', $3, '+74951112201', $3, $4, $5, $6, $7, 'office-hours', $8, $9)""",
        call_id, caller, began, began + timedelta(seconds=seconds), disposition, fault, answered_by,
        began if answered_by else None,
    )  # fmt: skip


def _sound(path: Path) -> int:
    """Three seconds of a soft tone."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        samples = (round(3000 * math.sin(n * 2 * math.pi * 440 / 8000)) for n in range(24000))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return path.stat().st_size

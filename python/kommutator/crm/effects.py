"""What calls leave behind: each effect becomes what the company works with, once by its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from kommutator.crm import missed, outbox, recordings, tasks
from kommutator.crm.pool import Tx
from kommutator.errors import BadEntry

_RECORDING: Final = timedelta(seconds=15)
"""A letter is tried so long after its call, when its recording has not come by then."""


@dataclass(frozen=True, slots=True)
class Effects:
    """The effects of one turn."""

    call_id: str
    at: datetime
    effects: tuple[dict[str, Any], ...]


async def write(tx: Tx, turns: Sequence[Effects]) -> None:
    """Writes what does not exist yet. One or two statements each.

    `sms` and `email` go to the outbox; `voicemail` becomes a recording to be fetched, an e-mail to each address, and
    a task for whom it is assigned to (for everybody, when it goes to nobody: a message must not lie unheard); `task` and
    `missed_call` wait on a workplace; a `tag` is folded with the call's turns. A task of the turn in which the call was
    missed belongs to the missed call. Raises `BadEntry` for an effect that lacks what it must have.
    """
    for turn in turns:
        missed_id = next((str(each.get("id")) for each in turn.effects if each.get("type") == "missed_call"), None)
        for effect in turn.effects:
            try:
                await _write(tx, turn.call_id, turn.at, effect, missed_id)
            except (KeyError, TypeError, AttributeError) as error:
                raise BadEntry(f"an effect of call {turn.call_id} is malformed: {error!r}") from error


async def _write(tx: Tx, call_id: str, at: datetime, effect: Mapping[str, Any], missed_id: str | None) -> None:
    id = str(effect["id"])
    match effect["type"]:
        case "sms":
            payload = {"template": effect["template"], "text": effect["text"]}
            await outbox.enqueue(tx, id, "sms", effect["to"], payload, at, call_id=call_id)
        case "email":
            payload = {key: effect.get(key) for key in ("template", "subject", "text")}
            await outbox.enqueue(tx, id, "email", effect["to"], payload, at, call_id=call_id)
        case "voicemail":
            await recordings.expect(
                tx, effect["recording"], "voicemail", call_id, float(effect["seconds"]), at, assign=effect.get("assign")
            )
            assign = effect.get("assign") or ("" if not effect["email"] else None)
            if assign is not None:
                await tasks.add(tx, id, "voicemail", call_id, assign, "", at)
            payload = {"voicemail": effect["recording"], "seconds": effect["seconds"]}
            # The sound comes a moment after the ledger's entry, and makes its letters due.
            due = at if await recordings.arrived(tx, effect["recording"]) else at + _RECORDING
            for index, address in enumerate(effect["email"], 1):
                await outbox.enqueue(tx, f"{id}:{index}", "email", address, payload, at, call_id=call_id, due=due)
        case "task":
            await tasks.add(tx, id, "task", call_id, effect["assign"], effect["title"], at, missed_id=missed_id)
        case "missed_call":
            await missed.add(tx, id, call_id, effect.get("caller"), effect.get("did"), effect.get("owner") or None, at)
        case "tag":
            effect["set"].items()
        case other:
            raise BadEntry(f"an effect of call {call_id} is of an unknown type {other}")

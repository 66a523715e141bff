"""Delivery receipts of SMPP 3.4, in both of their forms: the text of appendix B, and optional parameters (5.3.2.12, 5.3.2.35)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from kommutator.notify.ports import Receipt

RECEIPTED_MESSAGE_ID: Final = 0x001E
MESSAGE_STATE: Final = 0x0427
_FIELD = re.compile(r"\b(id|stat|err):(\S*)", re.IGNORECASE)
_STATES = {2: "DELIVRD", 3: "EXPIRED", 4: "DELETED", 5: "UNDELIV", 8: "REJECTD"}
_UNDELIVERED = {"EXPIRED", "DELETED", "UNDELIV", "REJECTD"}


def is_receipt(esm_class: int) -> bool:
    """Whether a `deliver_sm` of this class is a receipt of the SMSC (5.2.12, bits 5 to 2)."""
    return esm_class & 0x3C == 0x04


def read_receipt(text: str, parameters: Mapping[int, bytes]) -> Receipt | None:
    """What a receipt says; None for one that names no message, or tells of a state that is not final (ENROUTE, ACCEPTD, UNKNOWN)."""
    fields = {name.lower(): value for name, value in reversed(_FIELD.findall(text))}
    told_id = parameters.get(RECEIPTED_MESSAGE_ID, b"").rstrip(b"\0").decode("latin-1") or fields.get("id", "")
    state = _STATES.get(int.from_bytes(parameters.get(MESSAGE_STATE, b""))) or fields.get("stat", "").upper()
    if not told_id or (state != "DELIVRD" and state not in _UNDELIVERED):
        return None
    delivered = state == "DELIVRD"
    error = None if delivered else " ".join(filter(None, (state, fields.get("err", ""))))
    return Receipt(told_id, delivered, error)

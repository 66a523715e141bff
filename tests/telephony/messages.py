"""What a party said and heard in SIP, read from SIPp's message log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

_MARK = re.compile(r"^-{40,} (?P<time>\d{4}-.*)$", re.MULTILINE)
_DIRECTION = re.compile(r"^\w+ (?:control )?message (?P<way>sent|received) [(\[]\d+[\])]? bytes\)? ?:", re.MULTILINE)
_REMARK = "\n" + 47 * "-" + "\n"
"""What SIPp remarks about a message, such as that it is unexpected, follows such a line without a time."""
_CONTROL_HEADER = "X-Harness"


@dataclass(frozen=True)
class SipEvent:
    """One SIP message of one party.

    `at` is seconds since the epoch. `name` is the method, or the status of a response (`"180"`); `of` is the method
    that a response answers, and the method itself in a request. `number` is the user part of the request's URI or of
    the To header.
    """

    at: float
    sent: bool
    name: str
    of: str
    call_id: str
    number: str
    text: str

    @property
    def received(self) -> bool:
        """Whether the message came to this party."""
        return not self.sent

    def header(self, name: str) -> str | None:
        """The first value of a header, `None` when it is not there."""
        found = re.search(rf"^{re.escape(name)}\s*:\s*(.*?)\s*$", self.text, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else None


def read(path: Path) -> list[SipEvent]:
    """The messages of a log, oldest first, without retransmissions; `[]` when there is no log yet."""
    return parse(path.read_text(encoding="utf-8", errors="replace")) if path.exists() else []


def parse(log: str) -> list[SipEvent]:
    """The messages of a log's text. A last entry that is not written to its end yet is left out."""
    marks = list(_MARK.finditer(log))
    seen: set[tuple[bool, str]] = set()
    events: list[SipEvent] = []
    for mark, following in zip(marks, (*marks[1:], None), strict=False):
        entry = log[mark.end() : following.start() if following else len(log)]
        direction = _DIRECTION.search(entry)
        if direction is None:
            continue
        text, _, _ = entry[direction.end() :].partition(_REMARK)
        text = text.strip("\r\n").replace("\r\n", "\n") + "\n\n"
        if following is None and "\n\n" not in text:
            continue
        sent = direction["way"] == "sent"
        if f"\n{_CONTROL_HEADER}:" in text or (sent, text) in seen:
            continue
        seen.add((sent, text))
        event = _event(_time(mark["time"]), sent, text)
        if event is not None:
            events.append(event)
    return events


def first(events: Iterable[SipEvent], name: str, *, of: str | None = None, after: float = 0.0) -> SipEvent | None:
    """The first event of that name, optionally only as the answer to `of`, and not before `after`."""
    for event in events:
        if event.name == name and (of is None or event.of == of) and event.at >= after:
            return event
    return None


def by_call(events: Iterable[SipEvent]) -> list[list[SipEvent]]:
    """The events of each call of a party, in the order in which the calls began."""
    calls: dict[str, list[SipEvent]] = {}
    for event in events:
        if event.of != "OPTIONS":
            calls.setdefault(event.call_id, []).append(event)
    return list(calls.values())


def over(call: Iterable[SipEvent]) -> bool:
    """Whether a phone's call is over to the last message: its refusal was acknowledged, or a BYE answered."""
    events = list(call)
    if any(event.of == "INVITE" and event.name[0] in "3456" for event in events):
        return any(event.name == "ACK" for event in events)
    return any(event.of == "BYE" and event.name != "BYE" for event in events)


def summary(events: Iterable[SipEvent]) -> str:
    """The events as the party sees them, `←INVITE →180 →200 ←ACK ←BYE`, call by call with a bar between.

    Left out are the 100s and the answers to BYE, CANCEL and INFO.
    """
    shown = (event for event in events if event.name != "100" and not (event.name == "200" and event.of != "INVITE"))
    return " | ".join(" ".join(("→" if e.sent else "←") + e.name for e in call) for call in by_call(shown))


def _event(at: float, sent: bool, text: str) -> SipEvent | None:
    start = text.partition("\n")[0].split(" ", 2)
    if len(start) < 3:
        return None
    cseq = re.search(r"^CSeq\s*:\s*\d+\s+(\w+)", text, re.MULTILINE | re.IGNORECASE)
    call_id = re.search(r"^(?:Call-ID|i)\s*:\s*(\S+)", text, re.MULTILINE | re.IGNORECASE)
    if cseq is None or call_id is None:
        return None
    response = start[0].startswith("SIP/")
    to = re.search(r"^(?:To|t)\s*:.*?sips?:([^@>;\s]*)@", text, re.MULTILINE | re.IGNORECASE)
    uri = to if response else re.match(r"\w+ sips?:([^@>;\s]*)@", text)
    number = uri[1] if uri else ""
    return SipEvent(at, sent, start[1] if response else start[0], cseq[1], call_id[1], number, text)


def _time(text: str) -> float:
    """SIPp ≤ 3.7 ends the line with seconds since the epoch; 3.8 writes ISO 8601 with an offset."""
    epoch = re.search(r"\t(\d{9,}\.\d+)$", text)
    return float(epoch[1]) if epoch else datetime.fromisoformat(text.strip()).timestamp()

"""Logs of SIPp 3.6 and 3.8 are read alike."""

from __future__ import annotations

import pytest

from . import messages

INVITE = "INVITE sip:101@127.0.0.1:5060 SIP/2.0\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n\r\nv=0\r\n"
RINGING = "SIP/2.0 180 Ringing\r\nTo: <sip:101@127.0.0.1>\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n\r\n"
ORDER = "MESSAGE sip:127.0.0.1 SIP/2.0\r\nCall-ID: one\r\nCSeq: 1 MESSAGE\r\nX-Harness: 7\r\n\r\n"
RULE = 47 * "-"

NEW = (
    f"{RULE} 2026-11-21T21:27:53.500000Z\nUDP message received [891] bytes:\n\n{INVITE}\n"
    f"{RULE} 2026-11-21T21:27:53.750000Z\nUDP message sent [315] bytes:\n\n{RINGING}\n"
)
OLD = (
    f"{RULE} 2026-11-21\t21:27:53.500000\t1795296473.500000\nUDP message received [891] bytes :\n\n{INVITE}\n"
    f"{RULE} 2026-11-21\t21:27:53.750000\t1795296473.750000\nUDP message sent (315 bytes):\n\n{RINGING}\n"
)


@pytest.mark.parametrize("log", [NEW, OLD], ids=["3.8", "3.6"])
def test_times_directions_and_names(log: str) -> None:
    invite, ringing = messages.parse(log)
    assert (invite.at, invite.received, invite.name, invite.number) == (1795296473.5, True, "INVITE", "101")
    assert (ringing.at, ringing.sent, ringing.name, ringing.of) == (1795296473.75, True, "180", "INVITE")
    assert ringing.header("to") == "<sip:101@127.0.0.1>"
    assert messages.summary([invite, ringing]) == "←INVITE →180"
    assert messages.first([invite, ringing], "180", after=1795296474) is None


def test_retransmissions_orders_and_remarks_are_left_out() -> None:
    repeated = NEW + NEW.replace("21:27:53", "21:27:54")
    order = f"{RULE} 2026-11-21T21:27:55.000000Z\nUDP message received [99] bytes:\n\n{ORDER}\n"
    remark = f"{RULE}\nUnexpected UDP message received:\n\n{INVITE}\n"
    assert messages.parse(repeated + remark + order) == messages.parse(NEW)


def test_an_entry_that_is_still_being_written_is_left_out() -> None:
    cut = NEW[: NEW.index("Call-ID", NEW.index("180"))]
    assert [event.name for event in messages.parse(cut)] == ["INVITE"]

"""Delivery receipts in the spellings of several SMSCs."""

import pytest

from kommutator.notify.ports import Receipt
from kommutator.notify.sms_receipt import MESSAGE_STATE, RECEIPTED_MESSAGE_ID, is_receipt, read_receipt

_TEXT = (
    "id:{} sub:001 dlvrd:001 submit date:2611181200 done date:2611181201 stat:{} err:{} text:Пропущен id:9 stat:UNDELIV"
)


@pytest.mark.parametrize(
    ("text", "parameters", "receipt"),
    [
        (_TEXT.format("a-1", "DELIVRD", "000"), {}, Receipt("a-1", True)),
        (_TEXT.format("a-1", "UNDELIV", "034"), {}, Receipt("a-1", False, "UNDELIV 034")),
        ("ID:7F STAT:EXPIRED", {}, Receipt("7F", False, "EXPIRED")),
        ("", {RECEIPTED_MESSAGE_ID: b"abc\0", MESSAGE_STATE: b"\x02"}, Receipt("abc", True)),
        (
            "id:other stat:ENROUTE",
            {RECEIPTED_MESSAGE_ID: b"abc\0", MESSAGE_STATE: b"\x08"},
            Receipt("abc", False, "REJECTD"),
        ),
        (_TEXT.format("a-1", "ENROUTE", "000"), {}, None),
        (_TEXT.format("a-1", "ACCEPTD", "000"), {MESSAGE_STATE: b"\x06"}, None),
        ("stat:DELIVRD", {}, None),
        ("hello", {}, None),
    ],
)
def test_what_a_receipt_says(text: str, parameters: dict[int, bytes], receipt: Receipt | None) -> None:
    assert read_receipt(text, parameters) == receipt


def test_only_the_smscs_own_receipts_are_receipts() -> None:
    assert [value for value in range(0x80) if is_receipt(value)] == [0x04, 0x05, 0x06, 0x07, 0x44, 0x45, 0x46, 0x47]

"""Fifty calls at once by FastAGI: the tests of those by ARI, and the PBX's own records."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.telephony.test_fifty import (
    _CALLS,
    Fifty,
    company,
    place_fifty,
    test_all_are_there_at_once_and_each_has_its_line,
    test_desks_that_several_calls_share_answer_as_many_as_they_can,
    test_dispositions_agree_with_everybodys_sip,
    test_no_channel_and_no_claim_is_left,
    test_nobody_is_rung_for_two_calls_at_once,
)

from .house import AgiAsterisk, AgiRouter

__all__ = [
    "test_all_are_there_at_once_and_each_has_its_line",
    "test_desks_that_several_calls_share_answer_as_many_as_they_can",
    "test_dispositions_agree_with_everybodys_sip",
    "test_no_channel_and_no_claim_is_left",
    "test_nobody_is_rung_for_two_calls_at_once",
]
pytestmark = pytest.mark.telephony


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fifty]:
    """The calls, placed and over."""
    folder = tmp_path_factory.mktemp("fifty")
    with AgiAsterisk() as asterisk:
        yield place_fifty(asterisk, AgiRouter.of_document(asterisk, company(folder), folder / "data"))


def test_dispositions_agree_with_the_pbxs_own_records(fifty: Fifty) -> None:
    for number in range(len(_CALLS)):
        line = fifty.line(number)
        records = [record for record in fifty.cdr if record["uniqueid"] == line["call_id"]]
        assert records, f"Asterisk knows nothing of {line['call_id']}"
        dialled = {record["disposition"] for record in records if record["dstchannel"]}
        if line["disposition"] == "answered":
            assert "ANSWERED" in dialled, records
        else:
            assert dialled <= {_DIALLED[line["disposition"]]}, records
    known = {line["call_id"] for line in fifty.lines} | {fifty.after["call_id"]}
    assert {record["uniqueid"] for record in fifty.cdr if record["dcontext"] == "kommutator-agi"} <= known


_DIALLED = {
    "busy": "BUSY",
    "voicemail": "BUSY",
    "unavailable": "NO ANSWER",
    "no_answer": "NO ANSWER",
    "abandoned": "NO ANSWER",
}
"""How Asterisk's record of a `Dial()` says that a call came to this; the callers of messages had found a phone busy."""

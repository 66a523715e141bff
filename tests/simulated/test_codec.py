"""The language of the simulated PBX: the same messages, however their bytes are cut."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from kommutator.errors import PbxProtocolError
from kommutator.pbx.simulated import codec
from kommutator.pbx.simulated.behaviour import CallerAct, PhoneAct
from kommutator.routing.turn import End, Endpoint, Ring, Turn

RING = Turn("c3RhdGU", 3, Ring((Endpoint("PJSIP/101", "anna"),), 12.5, "music"), trace=({"node": "a", "exit": "b"},))
TO_PBX: list[tuple[codec.Message, bytes]] = [
    (
        codec.Hello(1, "router", "abc"),
        b'{"is":"hello","protocol":1,"role":"router","instance":"abc","replaces":true}\n',
    ),
    (
        codec.Ask(7, codec.Press("c-1", "1#")),
        b'{"is":"ask","id":7,"what":{"is":"press","call_id":"c-1","keys":"1#"}}\n',
    ),
    (
        codec.Ask(8, codec.Perform("c-1", RING)),
        b'{"is":"ask","id":8,"what":{"is":"perform","call_id":"c-1","turn":{"state":"c3RhdGU","sequence":3,'
        b'"action":{"type":"ring","endpoints":[{"endpoint":"PJSIP/101","employee":"anna"}],"seconds":12.5,'
        b'"music":"music","round":1},"effects":[],"trace":[{"node":"a","exit":"b"}],"rounds":[],"scheme":null}}}\n',
    ),
    (codec.Drop(8), b'{"is":"drop","id":8}\n'),
    (
        codec.Ask(9, codec.Behave("PJSIP/101", (PhoneAct("busy"),))),
        b'{"is":"ask","id":9,"what":{"is":"behave","endpoint":"PJSIP/101","acts":[{"does":"busy","after":0,'
        b'"talks":null}]}}\n',
    ),
]
FROM_PBX: list[tuple[codec.Message, bytes]] = [
    (codec.Welcome(1, "main", "x"), b'{"is":"welcome","protocol":1,"pbx":"main","instance":"x"}\n'),
    (
        codec.Came("c-1", "+74951110001", None),
        b'{"is":"came","call_id":"c-1","did":"+74951110001","caller":null,"saved_state":null}\n',
    ),
    (
        codec.Answer(8, {"type": "answered", "endpoint": "PJSIP/101"}),
        b'{"is":"answer","id":8,"value":{"type":"answered","endpoint":"PJSIP/101"}}\n',
    ),
    (codec.Failure(9, "call_gone", "нет"), '{"is":"failure","id":9,"code":"call_gone","reason":"нет"}\n'.encode()),
    (
        codec.Happened(5, "c-1", "rings", "PJSIP/101"),
        b'{"is":"happened","at_ms":5,"call_id":"c-1","what":"rings","endpoint":"PJSIP/101","detail":null}\n',
    ),
    (
        codec.Over(6, "c-1", "answered", "none"),
        b'{"is":"over","at_ms":6,"call_id":"c-1","disposition":"answered","fault":"none"}\n',
    ),
]
ALL = [(codec.ToPbx, TO_PBX), (codec.FromPbx, FROM_PBX)]


def test_messages_are_written_as_stated() -> None:
    for message, line in TO_PBX + FROM_PBX:
        assert codec.encode(message) == line


@pytest.mark.parametrize(("kind", "vectors"), ALL)
def test_messages_are_read_whole_and_together(kind: Any, vectors: list[tuple[codec.Message, bytes]]) -> None:
    for message, line in vectors:
        assert codec.Incoming[Any](kind).feed(line) == [message]
    together = b"".join(line for _, line in vectors)
    assert codec.Incoming[Any](kind).feed(together) == [message for message, _ in vectors]


@pytest.mark.parametrize(("kind", "vectors"), ALL)
def test_messages_are_read_byte_by_byte(kind: Any, vectors: list[tuple[codec.Message, bytes]]) -> None:
    incoming = codec.Incoming[Any](kind)
    for message, line in vectors:
        for number in range(len(line) - 1):
            assert incoming.feed(line[number : number + 1]) == []
        assert incoming.feed(line[-1:]) == [message]


@pytest.mark.parametrize(("kind", "vectors"), ALL)
def test_what_trails_belongs_to_the_next_message(kind: Any, vectors: list[tuple[codec.Message, bytes]]) -> None:
    (first, line), (second, other) = vectors[:2]
    for cut in range(len(other)):
        incoming = codec.Incoming[Any](kind)
        assert incoming.feed(line + other[:cut]) == [first]
        assert incoming.feed(other[cut:]) == [second]


@given(some.lists(some.integers(0, 2000), max_size=40))
def test_messages_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    together = b"".join(line for _, line in TO_PBX)
    places = sorted({0, len(together), *(cut for cut in cuts if cut < len(together))})
    incoming = codec.Incoming[Any](codec.ToPbx)
    read = [message for begin, end in pairwise(places) for message in incoming.feed(together[begin:end])]
    assert read == [message for message, _ in TO_PBX]


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"hello\n",
        b"[]\n",
        b'{"is":"hello"}\n',
        b'{"is":"nothing","id":1}\n',
        b'{"is":"ask","id":1,"what":{"is":"fly"}}\n',
        b'{"is":"ask","id":1,"what":{"is":"behave","endpoint":"x","acts":[{"does":"dance"}]}}\n',
        b'{"is":"drop","id":"\xff"}\n',
    ],
)
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(PbxProtocolError):
        codec.Incoming[Any](codec.ToPbx).feed(line)


def test_a_line_without_an_end_is_refused_and_not_kept() -> None:
    incoming = codec.Incoming[Any](codec.ToPbx)
    assert incoming.feed(b"x" * (codec.LONGEST_LINE - 1)) == []
    with pytest.raises(PbxProtocolError, match="more than"):
        incoming.feed(b"x")


def test_a_message_that_nobody_would_take_is_not_written() -> None:
    with pytest.raises(PbxProtocolError, match="too long"):
        codec.encode(codec.Ask(1, codec.Press("c", "1" * codec.LONGEST_LINE)))


def test_keys_of_a_newer_writer_are_passed_over() -> None:
    line = b'{"is":"drop","id":8,"why":"new"}\n'
    assert codec.Incoming[Any](codec.ToPbx).feed(line) == [codec.Drop(8)]


def test_every_piece_of_sound_fits_a_message() -> None:
    line = codec.encode(codec.Answer(1, codec.Piece(b"\0" * codec.CHUNK, 10**7)))
    (answer,) = codec.Incoming[Any](codec.FromPbx).feed(line)
    assert len(msgspec.convert(answer.value, codec.Piece).sound) == codec.CHUNK


def test_a_place_carries_what_people_do() -> None:
    place = codec.Place("+7", "8", "c", (CallerAct("menu", press="12"),), {"PJSIP/101": (PhoneAct("answer", 1, 2),)})
    (read,) = codec.Incoming[Any](codec.ToPbx).feed(codec.encode(codec.Ask(1, place)))
    assert read.what == place
    assert read.what.acts[0].press == "12"


def test_an_end_goes_over_whole() -> None:
    close = codec.Ask(1, codec.Close("c", Turn("s", 9, End("answered", "none"))))
    assert codec.Incoming[Any](codec.ToPbx).feed(codec.encode(close)) == [close]

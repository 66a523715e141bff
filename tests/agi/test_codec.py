"""FastAGI's wire forms, as Asterisk 22.10 sends and takes them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kommutator.errors import PbxProtocolError
from kommutator.pbx.agi.codec import LONGEST_COMMAND, Decoder, Environment, HungUp, Message, Reply, command

GREETING = (
    b"agi_network: yes\nagi_network_script: call\nagi_request: agi://127.0.0.1:4573/call\n"
    b"agi_channel: PJSIP/trunk-00000000\nagi_language: en\nagi_type: PJSIP\nagi_uniqueid: test-1795320352.31\n"
    b"agi_version: 22.10.1\nagi_callerid: 89161230099\nagi_calleridname: unknown\nagi_dnid: +74951112233\n"
    b"agi_extension: +74951112233\nagi_accountcode: \nagi_arg_1: +74951112233\nagi_arg_2: b, c\n\n"
)
REPLIES = (
    b"200 result=1\n"
    b"200 result=0 endpos=16000\n"
    b"200 result=49 endpos=812\n"
    b"200 result=1 (anna (\xd0\x90\xd0\xbd\xd0\xbd\xd0\xb0))\n"
    b"200 result=1 ()\n"
    b"200 result=-1 (hangup) endpos=9440\n"
    b"HANGUP\n"
    b"511 Command Not Permitted on a dead channel or intercept routine\n"
    b"510 Invalid or unknown command\n"
    b"520-Invalid command syntax.  Proper usage follows:\nUsage: STREAM FILE <filename>\n\tSend a file.\n\n"
    b"520 End of proper usage.\n"
    b"200 result=1 (one\nHANGUP\n200 result=0)\n"
    b"200 result=12# (timeout)\n"
    b"200 result= (timeout)\n"
)
MESSAGES: list[Message] = [
    Reply(200, "1"),
    Reply(200, "0", None, 16000),
    Reply(200, "49", None, 812),
    Reply(200, "1", "anna (Анна)"),
    Reply(200, "1", ""),
    Reply(200, "-1", "hangup", 9440),
    HungUp(),
    Reply(511, text="Command Not Permitted on a dead channel or intercept routine"),
    Reply(510, text="Invalid or unknown command"),
    Reply(
        520,
        text="Invalid command syntax.  Proper usage follows:\nUsage: STREAM FILE <filename>\n\tSend a file.\n\n"
        "520 End of proper usage.",
    ),
    Reply(200, "1", "one\nHANGUP\n200 result=0"),
    Reply(200, "12#", "timeout"),
    Reply(200, "", "timeout"),
]


def test_a_connection_begins_with_its_call() -> None:
    (greeting,) = Decoder().feed(GREETING)
    assert isinstance(greeting, Environment)
    assert greeting.variables["uniqueid"] == "test-1795320352.31"
    assert greeting.variables["network_script"] == "call"
    assert greeting.variables["accountcode"] == ""
    assert greeting.arguments == ("+74951112233", "b, c")


@given(cuts=st.lists(st.integers(0, len(GREETING + REPLIES)), max_size=12), bytewise=st.booleans())
def test_any_split_of_the_bytes_gives_the_same(cuts: list[int], bytewise: bool) -> None:
    sent = GREETING + REPLIES
    ends = list(range(1, len(sent) + 1)) if bytewise else sorted({*cuts, len(sent)})
    decoder, found, at = Decoder(), list[Message](), 0
    for end in ends:
        found += decoder.feed(sent[at:end])
        at = end
    assert found[1:] == MESSAGES


@given(
    st.binary(max_size=400)
    | st.lists(st.sampled_from([*REPLIES.splitlines(True), *GREETING.splitlines(True), b"\n"])).map(b"".join)
)
@settings(max_examples=400)
def test_hostile_bytes_are_an_error_and_nothing_else(sent: bytes) -> None:
    for before in (b"", GREETING):
        decoder = Decoder()
        try:
            found = decoder.feed(before + sent)
        except PbxProtocolError:
            with pytest.raises(PbxProtocolError):
                decoder.feed(b"\n")
        else:
            assert all(isinstance(message, Environment | Reply | HungUp) for message in found)


@pytest.mark.parametrize(
    "endless",
    [
        b"a" * 70_000,
        b"agi_a: b\n" * 2 + b"agi_" + b"x" * 70 + b": y\n",
        b"".join(b"agi_v%d: x\n" % number for number in range(300)),
        b"\n",
        b"agi_channel: x\n\n",
        b"GET / HTTP/1.1\r\n",
        GREETING + b"200 result=1 (" + b"a\n" * 600,
        GREETING + b"520-\n" + b"a" * 60_000 + b"\n" + b"a" * 60_000 + b"\n",
        GREETING + b"200 result=x y\n",
        GREETING + b"hello\n",
    ],
    ids=lambda endless: repr(endless[:12]),
)
def test_what_has_no_end_or_no_sense_is_refused(endless: bytes) -> None:
    with pytest.raises(PbxProtocolError):
        Decoder().feed(endless)


@given(st.lists(st.text(st.characters(blacklist_categories=("Cc", "Cs")), max_size=60), max_size=6))
def test_asterisk_reads_the_arguments_that_were_given(arguments: list[str]) -> None:
    line = command("SET VARIABLE", *arguments)
    assert line.endswith(b"\n")
    assert _parse_args(line[:-1].decode()) == ["SET", "VARIABLE", *arguments]


def test_what_asterisk_would_take_for_another_command_is_not_sent() -> None:
    for argument in ("a\nHANGUP", "a\rb", "a\0b"):
        with pytest.raises(PbxProtocolError):
            command("SET VARIABLE", "NAME", argument)
    with pytest.raises(PbxProtocolError):
        command("EXEC", "Dial", "x" * LONGEST_COMMAND)


def _parse_args(line: str) -> list[str]:
    """How `parse_args()` of `res_agi.c` reads a line."""
    words: list[str] = []
    quoted = escaped = False
    between = True
    for letter in line:
        if letter == '"' and not escaped:
            quoted = not quoted
            if quoted and between:
                words.append("")
                between = False
        elif letter in " \t" and not quoted and not escaped:
            between = True
        elif letter == "\\" and not escaped:
            escaped = True
        else:
            if between:
                words.append("")
                between = False
            words[-1] += letter
            escaped = False
    return words

"""Texts cut into short messages, and joined again."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kommutator.notify.sms_text import GSM7, UCS2, Joiner, decode, split, take_header

_GSM = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCxyzÄÖÑÜ§¿äöñüà^{}\\[~]|€"


@pytest.mark.parametrize(
    ("text", "coding", "sizes"),
    [
        ("", GSM7, [0]),
        ("a" * 160, GSM7, [160]),
        ("a" * 161, GSM7, [152, 9]),
        ("€" * 80, GSM7, [160]),
        ("a" * 151 + "€" + "b" * 20, GSM7, [151, 22]),  # the euro is an escape and a letter: neither goes alone
        ("\x1b", UCS2, [2]),  # an escape is no character of the alphabet: it says how to read the next
        ("я" * 70, UCS2, [140]),
        ("я" * 71, UCS2, [132, 10]),
        ("я" * 65 + "😀" + "я" * 10, UCS2, [130, 24]),  # nor does half of a surrogate pair
    ],
)
def test_a_text_takes_as_few_messages_as_the_alphabet_allows(text: str, coding: int, sizes: list[int]) -> None:
    parts = split(text, "n1")
    assert [part.coding for part in parts] == [coding] * len(sizes)
    assert [len(part.body) for part in parts] == sizes
    assert [part.number for part in parts] == list(range(1, len(sizes) + 1))


def test_a_part_begins_with_the_header_of_3gpp_23_040() -> None:
    first, second = split("я" * 100, "call-1.3")
    reference = first.reference.to_bytes(2)
    assert first.header == b"\x06\x08\x04" + reference + b"\x02\x01"
    assert second.header == b"\x06\x08\x04" + reference + b"\x02\x02"
    assert split("short", "call-1.3")[0].header == b""
    assert split("я" * 100, "call-1.3") == [first, second], "a repetition has the same reference"
    assert split("я" * 100, "call-1.4")[0].reference != first.reference


def test_an_smsc_without_the_alphabet_gets_ucs2() -> None:
    assert split("plain", "n", gsm7=False)[0].body == "plain".encode("utf-16-be")


def test_a_text_of_more_than_255_parts_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        split("a" * (152 * 255 + 1), "n")
    assert len(split("a" * 152 * 255, "n")) == 255


@given(st.one_of(st.text(max_size=700), st.text(_GSM, max_size=700)), st.randoms())
def test_parts_in_any_order_are_the_text_again(text: str, random: Random) -> None:
    text = text.encode("utf-16-be", "replace").decode("utf-16-be")  # lone surrogates are no text
    parts = split(text, "n1")
    random.shuffle(parts)
    joiner = Joiner()
    whole: list[tuple[str, str]] = []
    for part in parts:
        assert len(part.header + part.body) <= (140 if part.coding == UCS2 else 160)
        header, body = take_header(part.header + part.body) if part.of > 1 else (None, part.body)
        assert body == part.body
        whole += joiner.take("79161230099", header, decode(body, part.coding))
    assert whole == [("79161230099", text)]


def test_parts_of_two_senders_are_not_mixed_up() -> None:
    joiner = Joiner()
    here, there = split("a" * 200, "same"), split("b" * 200, "same")
    heads = [take_header(part.header + part.body) for part in (here[0], there[0], there[1], here[1])]
    senders = ["1", "2", "2", "1"]
    told = [joiner.take(sender, head, decode(body, GSM7)) for sender, (head, body) in zip(senders, heads, strict=True)]
    assert told == [[], [], [("2", "b" * 200)], [("1", "a" * 200)]]


def test_the_oldest_incomplete_text_makes_room() -> None:
    joiner = Joiner(texts=2)
    first = [take_header(part.header + part.body) for part in (split("x" * 200, f"n{n}")[0] for n in range(3))]
    told = [joiner.take(str(n), head, decode(body, GSM7)) for n, (head, body) in enumerate(first)]
    assert told == [[], [], [("0", "x" * 152)]]


@pytest.mark.parametrize("message", [b"", b"\x05", b"\xff" * 3, b"\x03\x08\x04\x00rest", b"\x01\x00rest"])
def test_a_broken_header_breaks_nothing(message: bytes) -> None:
    assert take_header(message)[0] is None


def test_an_unknown_octet_is_marked() -> None:
    assert decode(b"a\x1b\x01b", GSM7) == "a�b"
    assert decode(b"\x1b", GSM7) == "�"
    assert decode(b"\xd8\x00", UCS2) == "�"

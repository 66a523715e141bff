"""Texts as short messages: the alphabet, the parts of a long one, and parts joined again. Bytes in, bytes out.

Alphabets and lengths are those of 3GPP TS 23.038, the header of a part that of TS 23.040 (9.2.3.24.8, a 16-bit reference).
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gsm0338 import Codec

GSM7: Final = 0x00
"""SMPP's data coding of the SMSC's default alphabet, here GSM 7-bit, one character an octet."""
UCS2: Final = 0x08
LATIN1: Final = 0x03
_MOST_PARTS: Final = 255
_ESCAPE: Final = 0x1B
_HEADER_OCTETS: Final = 7
_gsm = Codec()


@dataclass(frozen=True, slots=True)
class Part:
    """One short message."""

    number: int
    """Counted from 1."""
    of: int
    reference: int
    """The same in all parts of a text; 0 to 65535."""
    coding: int
    """`GSM7` or `UCS2`."""
    body: bytes
    """Without a header."""

    @property
    def header(self) -> bytes:
        """The user data header that tells the telephone how to join the parts; empty for a text of one part."""
        if self.of == 1:
            return b""
        return bytes((6, 0x08, 4)) + self.reference.to_bytes(2) + bytes((self.of, self.number))


def split(text: str, identity: str, *, gsm7: bool = True) -> list[Part]:
    """The parts of a text; the same identity always gives the same parts with the same reference.

    GSM 7-bit where every character is in it and `gsm7` says that the SMSC's default alphabet is that: 160 characters, or 152 in
    each of several parts. Otherwise UCS-2 (UTF-16BE): 70, or 66. No character is torn apart.
    Raises `ValueError` for a text of more than 255 parts.
    """
    body, coding = _encode(text, gsm7)
    whole, each = (160, 160 - (_HEADER_OCTETS * 8 + 6) // 7) if coding == GSM7 else (140, 140 - _HEADER_OCTETS - 1)
    pieces = [body] if len(body) <= whole else _cut(body, each, coding)
    if len(pieces) > _MOST_PARTS:
        raise ValueError(f"a text of {len(text)} characters is too long for {_MOST_PARTS} short messages")
    reference = zlib.crc32(identity.encode()) & 0xFFFF
    return [Part(number, len(pieces), reference, coding, piece) for number, piece in enumerate(pieces, 1)]


def decode(body: bytes, coding: int) -> str:
    """The text of a body without a header. What cannot be understood becomes U+FFFD."""
    if coding == UCS2:
        return body.decode("utf-16-be", "replace")
    if coding == LATIN1:
        return body.decode("latin-1")
    return "".join(_septets(body))


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a received part says."""

    reference: int
    of: int
    number: int


def take_header(message: bytes) -> tuple[Header | None, bytes]:
    """A received message with a user data header, as what it says of joining, and the body. A header of another purpose is dropped."""
    if not message or message[0] + 1 > len(message):
        return None, message
    elements, body = message[1 : message[0] + 1], message[message[0] + 1 :]
    found = None
    while len(elements) >= 2:
        kind, length = elements[0], elements[1]
        value, elements = elements[2 : 2 + length], elements[2 + length :]
        if (kind == 0x00 and len(value) == 3) or (kind == 0x08 and len(value) == 4):
            found = Header(int.from_bytes(value[:-2]), value[-2], value[-1])
    return found, body


class Joiner:
    """Joins the parts of received texts, in any order. At most `texts` incomplete ones wait; then the oldest is given out as it is."""

    def __init__(self, texts: int = 256) -> None:
        self._most = texts
        self._waiting: OrderedDict[tuple[str, int, int], dict[int, str]] = OrderedDict()

    def take(self, sender: str, header: Header | None, text: str) -> Sequence[tuple[str, str]]:
        """The texts that are whole now, each with its sender; usually none or one."""
        if header is None or header.of <= 1 or not 1 <= header.number <= header.of:
            return [(sender, text)]
        key = (sender, header.reference, header.of)
        parts = self._waiting.setdefault(key, {})
        parts[header.number] = text
        if len(parts) == header.of:
            del self._waiting[key]
            return [(sender, _joined(parts))]
        if len(self._waiting) > self._most:
            (oldest, _, _), torn = self._waiting.popitem(last=False)
            return [(oldest, _joined(torn))]
        return []


def _joined(parts: dict[int, str]) -> str:
    return "".join(text for _, text in sorted(parts.items()))


def _encode(text: str, gsm7: bool) -> tuple[bytes, int]:
    if gsm7:
        try:
            body, _ = _gsm.encode(text)
        except UnicodeEncodeError:
            pass
        else:
            # A control character may have a septet of its own that means something else to a telephone: the escape does.
            if decode(body, GSM7) == text:
                return body, GSM7
    return text.encode("utf-16-be", "replace"), UCS2


def _cut(body: bytes, each: int, coding: int) -> list[bytes]:
    pieces = []
    while body:
        end = min(each, len(body))
        if end < len(body) and _torn(body, end, coding):
            end -= 1 if coding == GSM7 else 2
        pieces.append(body[:end])
        body = body[end:]
    return pieces


def _torn(body: bytes, end: int, coding: int) -> bool:
    """Whether a cut here would part an escape from its character, or one surrogate from the other."""
    return body[end - 1] == _ESCAPE if coding == GSM7 else 0xD8 <= body[end - 2] < 0xDC


def _septets(body: bytes) -> list[str]:
    found, at = [], 0
    while at < len(body):
        length = 2 if body[at] == _ESCAPE and at + 1 < len(body) else 1
        try:
            found.append(_gsm.decode(body[at : at + length])[0] or "�")
        except UnicodeDecodeError:
            found.append("�")
        at += length
    return found

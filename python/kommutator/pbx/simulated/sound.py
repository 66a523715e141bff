"""What a simulated caller's message sounds like: syllables of a buzzing voice, as a WAV file."""

from __future__ import annotations

import math
import struct
from functools import cache
from typing import Final

RATE: Final = 8000
"""Samples a second, of 16 bits, one channel: what a telephone carries."""
_HEADER: Final = 44
_PATTERN_S: Final = 2
"""The pattern of syllables comes again after so long."""
_SYLLABLES: Final = ((120, 0.22), (0, 0.05), (140, 0.16), (0, 0.04), (110, 0.28), (0, 0.25),
                     (130, 0.2), (0, 0.06), (150, 0.14), (100, 0.35), (0, 0.25))  # fmt: skip
"""Pitch in Hz (0: silence) and seconds, one after the other: a pattern of 2 s."""


def size(seconds: float) -> int:
    """Bytes of the file of a message."""
    return _HEADER + 2 * _samples(seconds)


def piece(seconds: float, offset: int, longest: int) -> bytes:
    """Up to so many bytes of the file of a message, from the offset on; equal lengths give equal files."""
    content = bytearray()
    if offset < _HEADER:
        content += _header(2 * _samples(seconds))[offset : offset + longest]
    end = min(size(seconds), offset + longest) - _HEADER
    at = max(0, offset - _HEADER)
    pattern = _pattern()
    while at < end:
        begin = at % len(pattern)
        taken = pattern[begin : begin + end - at]
        content += taken
        at += len(taken)
    return bytes(content)


def _samples(seconds: float) -> int:
    return round(max(0.0, seconds) * RATE)


def _header(data: int) -> bytes:
    """RIFF, PCM of 16 bits (Microsoft Multimedia Programming Interface 1.0, "WAVE")."""
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + data, b"WAVE", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16, b"data", data
    )


@cache
def _pattern() -> bytes:
    samples: list[int] = []
    for pitch, seconds in _SYLLABLES:
        count = round(seconds * RATE)
        for number in range(count):
            swell = math.sin(math.pi * number / count)
            samples.append(round(9000 * swell * _voice(pitch, number / RATE)) if pitch else 0)
    assert len(samples) == _PATTERN_S * RATE
    return struct.pack(f"<{len(samples)}h", *samples)


def _voice(pitch: float, at_s: float) -> float:
    """A few overtones, weaker and weaker."""
    return sum(math.sin(2 * math.pi * pitch * overtone * at_s) / overtone for overtone in (1, 2, 3, 5)) / 2

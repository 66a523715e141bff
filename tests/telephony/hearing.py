"""Who hears what: voices of parties, and the tones of the test's Asterisk."""

from __future__ import annotations

import array
import math
import time

from . import sound
from .media import Line

MUSIC_HZ, RINGBACK_HZ, VOICE_HZ = 440, 425, 220
"""What waiting parties hear, what an operator hears while a manager's phone rings, and what parties speak with."""
_LISTENS_S = 0.3
"""So much of what is heard is looked at."""


def talk(one: Line, other: Line) -> None:
    """Both hear each other, and no music."""
    for speaker, listener in ((one, other), (other, one)):
        began = time.time()
        speaker.speak(sound.murmur(0.4))
        listener.wait_sound(since=began, loudness=1000)
        heard = listener.heard(since=began + 0.1)
        assert loudness_at(heard, VOICE_HZ) > 3 * loudness_at(heard, MUSIC_HZ)


def hears(line: Line, hertz: int, since: float) -> None:
    """Somebody hears a tone of the PBX, and nobody's voice."""
    line.wait_sound(since=since)
    deadline = time.monotonic() + 5
    while len(heard := line.heard(since=since)) < _LISTENS_S * sound.RATE:
        assert time.monotonic() < deadline, f"only {len(heard)} samples came"
        time.sleep(0.02)
    assert loudness_at(heard, hertz) > 100
    assert loudness_at(heard, hertz) > 3 * loudness_at(heard, VOICE_HZ)


def loudness_at(samples: array.array[int], hertz: int) -> float:
    """How loud a frequency is among samples (Goertzel), in the scale of `sound.rms`."""
    turn = 2 * math.cos(2 * math.pi * hertz / sound.RATE)
    before, last = 0.0, 0.0
    for sample in samples:
        before, last = last, sample + turn * last - before
    power = before * before + last * last - turn * before * last
    return math.sqrt(2 * max(power, 0.0)) / max(len(samples), 1)

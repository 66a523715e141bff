"""Who hears what: voices of parties, and the tones of the test's Asterisk."""

from __future__ import annotations

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
        assert sound.loudness_at(heard, VOICE_HZ) > 3 * sound.loudness_at(heard, MUSIC_HZ)


def hears(line: Line, hertz: int, since: float) -> None:
    """Somebody hears a tone of the PBX, and nobody's voice."""
    line.wait_sound(since=since)
    deadline = time.monotonic() + 5
    while len(heard := line.heard(since=since)) < _LISTENS_S * sound.RATE:
        assert time.monotonic() < deadline, f"only {len(heard)} samples came"
        time.sleep(0.02)
    assert sound.loudness_at(heard, hertz) > 100
    assert sound.loudness_at(heard, hertz) > 3 * sound.loudness_at(heard, VOICE_HZ)

"""Who hears what: voices of parties, and the tones of the test's Asterisk.

Whoever has just been told something may hear of it some milliseconds later, or a second on a busy machine: what shall be
heard is waited for, and what must not be heard is looked for from then on.
"""

from __future__ import annotations

import time

from . import sound
from .media import Line

MUSIC_HZ, RINGBACK_HZ, VOICE_HZ = 440, 425, 220
"""What waiting parties hear, what an operator hears while a manager's phone rings, and what parties speak with."""
_LISTENS_S = 0.3
"""So much of what is heard is looked at."""
_PATIENCE_S = 30.0
_ARRIVES_S = 1.0
"""How long after its end something said may still come; after that it is said again."""
_STEP_S = 0.1


def talk(one: Line, other: Line) -> None:
    """Both hear each other, and no music."""
    for speaker, listener in ((one, other), (other, one)):
        deadline = time.monotonic() + _PATIENCE_S
        while not _is_heard(speaker, listener):
            if time.monotonic() > deadline:
                raise AssertionError(f"port {listener.port} did not hear port {speaker.port} within {_PATIENCE_S} s")


def hears(line: Line, hertz: int, since: float) -> None:
    """Wait until somebody hears a tone of the PBX, and nobody's voice."""
    deadline = time.monotonic() + _PATIENCE_S
    while not _has_heard(line, hertz, VOICE_HZ, since, 100):
        if time.monotonic() > deadline:
            heard = line.heard(since=since)
            raise AssertionError(f"{hertz} Hz was not heard on port {line.port}, {len(heard)} samples were")
        time.sleep(_STEP_S)


def hears_nobody(line: Line, since: float) -> None:
    """What has been heard since then, which must be something, is nobody's voice."""
    heard = line.heard(since=since)
    assert len(heard) >= _LISTENS_S * sound.RATE, f"only {len(heard)} samples came"
    assert sound.loudness_at(heard, MUSIC_HZ) > 3 * sound.loudness_at(heard, VOICE_HZ)


def _is_heard(speaker: Line, listener: Line) -> bool:
    """Say something once; whether it came."""
    began = time.time()
    speaker.speak(sound.murmur(2 * _LISTENS_S))
    until = time.monotonic() + _ARRIVES_S
    while not _has_heard(listener, VOICE_HZ, MUSIC_HZ, began, 1000):
        if time.monotonic() > until:
            return False
        time.sleep(_STEP_S)
    return True


def _has_heard(line: Line, hertz: int, other: int, since: float, loudness: float) -> bool:
    """Whether there was a time in which one tone was heard and the other was not."""
    heard = line.heard(since=since)
    length, step = round(_LISTENS_S * sound.RATE), round(_STEP_S * sound.RATE)
    for start in range(0, len(heard) - length + 1, step):
        piece = heard[start : start + length]
        level = sound.loudness_at(piece, hertz)
        if level > loudness and level > 3 * sound.loudness_at(piece, other):
            return True
    return False

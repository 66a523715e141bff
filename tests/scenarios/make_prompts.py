"""Write the sounds of the scenario companies: short tone melodies, 8 kHz mono 16-bit WAV, under 40 KB each.

Run it only to change a sound; the files are committed, so that tests need no sound tool.
"""

from __future__ import annotations

import math
import struct
import wave
from pathlib import Path

RATE_HZ = 8000
NOTES_HZ = (440, 554, 659, 880)

SOUNDS: dict[str, float] = {
    "1-office-hours/prompts/greeting.wav": 1.5,
    "1-office-hours/prompts/leave-message.wav": 1.0,
    "2-list-and-menu/prompts/greeting.wav": 1.5,
    "2-list-and-menu/prompts/menu.wav": 2.0,
    "3-first-or-repeat/prompts/greeting.wav": 1.5,
    "4-regions/prompts/greeting-moscow.wav": 1.0,
    "5-card-and-vip/prompts/greeting.wav": 1.5,
    "6-hold-and-repeat/prompts/greeting.wav": 1.5,
    "7-owner-first/prompts/greeting.wav": 1.5,
    "8-expanding/prompts/leave-message.wav": 1.0,
}


def melody(seconds: float) -> bytes:
    """Equal notes that fill `seconds`, each faded at both ends so that it does not click."""
    total = round(seconds * RATE_HZ)
    length = total / len(NOTES_HZ)
    samples = bytearray()
    for index in range(total):
        note = min(int(index / length), len(NOTES_HZ) - 1)
        phase = (index - note * length) / length
        volume = 9000 * math.sin(math.pi * min(max(phase, 0.0), 1.0))
        samples += struct.pack("<h", round(volume * math.sin(2 * math.pi * NOTES_HZ[note] * index / RATE_HZ)))
    return bytes(samples)


def main() -> None:
    """Write every sound beside this file."""
    for name, seconds in SOUNDS.items():
        path = Path(__file__).parent / name
        path.parent.mkdir(exist_ok=True)
        with wave.open(str(path), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(RATE_HZ)
            sound.writeframes(melody(seconds))


if __name__ == "__main__":
    main()

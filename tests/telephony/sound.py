"""Sound for callers and proofs that there is sound: WAV files of 8 kHz, 16 bit, mono."""

from __future__ import annotations

import array
import math
import sys
import wave
from pathlib import Path

RATE = 8000
"""Samples a second: what a telephone line carries."""


def tone(path: Path, *, hertz: float, seconds: float, amplitude: int = 8000) -> Path:
    """Writes a sine wave."""
    count = int(seconds * RATE)
    step = 2 * math.pi * hertz / RATE
    _write(path, array.array("h", (int(amplitude * math.sin(step * n)) for n in range(count))))
    return path


def murmur(seconds: float) -> bytes:
    """Raw A-law that sounds like a voice to a silence detector: a tone that swells three times a second."""
    count = int(seconds * RATE)
    waves = (math.sin(2 * math.pi * 220 * n / RATE) * abs(math.sin(3 * math.pi * n / RATE)) for n in range(count))
    return bytes(_alaw(int(12_000 * wave)) for wave in waves)


def seconds(path: Path) -> float:
    """How long a WAV file plays."""
    with wave.open(str(path), "rb") as file:
        return file.getnframes() / file.getframerate()


def loudness(path: Path) -> float:
    """The root mean square of a WAV file's samples, 0 (silence) to 32767; a spoken message has some thousands."""
    return rms(_samples(path))


def rms(samples: array.array[int]) -> float:
    """The root mean square of samples."""
    return math.sqrt(sum(sample * sample for sample in samples) / len(samples)) if samples else 0.0


def loudness_at(samples: array.array[int], hertz: int) -> float:
    """How loud a frequency is among samples (Goertzel), in the scale of `rms`."""
    turn = 2 * math.cos(2 * math.pi * hertz / RATE)
    before, last = 0.0, 0.0
    for sample in samples:
        before, last = last, sample + turn * last - before
    power = before * before + last * last - turn * before * last
    return math.sqrt(2 * max(power, 0.0)) / max(len(samples), 1)


def from_alaw(data: bytes) -> array.array[int]:
    """Decodes raw A-law to samples."""
    return array.array("h", (_ALAW_SAMPLES[byte] for byte in data))


def _samples(path: Path) -> array.array[int]:
    with wave.open(str(path), "rb") as file:
        if file.getsampwidth() != 2 or file.getnchannels() != 1:
            raise ValueError(f"{path} is not 16 bit mono")
        samples = array.array("h", file.readframes(file.getnframes()))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _write(path: Path, samples: array.array[int]) -> None:
    if sys.byteorder == "big":
        samples.byteswap()
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())


def _alaw(sample: int) -> int:
    """One sample by ITU-T G.711 A-law."""
    sign, magnitude = (0x80, sample >> 3) if sample >= 0 else (0, (-sample - 1) >> 3)
    magnitude = min(magnitude, 0xFFF)
    exponent = max(magnitude.bit_length() - 5, 0)
    mantissa = (magnitude >> max(exponent, 1)) & 0xF
    return (sign | (exponent << 4) | mantissa) ^ 0x55


def _alaw_sample(byte: int) -> int:
    byte ^= 0x55
    exponent, mantissa = (byte >> 4) & 7, byte & 0xF
    magnitude = (mantissa << 4) + 8 if exponent == 0 else ((mantissa << 4) + 0x108) << (exponent - 1)
    return magnitude if byte & 0x80 else -magnitude


_ALAW_SAMPLES = tuple(_alaw_sample(byte) for byte in range(256))

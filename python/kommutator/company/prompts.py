"""How long an announcement lasts, and what is to be played or said."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_PROMPT_BYTES: Final = 64 * 1024 * 1024
SAY_SECONDS: Final = 10.0
"""What a text that is said counts for in the longest time of a call, unless it says so itself."""


@dataclass(frozen=True, slots=True)
class PromptSource:
    """What an adapter makes sound from: a file, or a text in a language."""

    seconds: float
    file: Path | None = None
    say: str | None = None
    language: str | None = None


class BadPrompt(ValueError):
    """The file is no WAV that can be played."""


def wav_seconds(file: Path) -> float:
    """The length of a WAV file's sound in seconds.

    What counts is the sound that is there: a header written to a pipe states no true length. Only linear PCM is read.
    Raises `BadPrompt`; OSError when the file cannot be read.
    """
    if file.stat().st_size > MAX_PROMPT_BYTES:
        raise BadPrompt(f"larger than {MAX_PROMPT_BYTES:,} bytes")
    try:
        with wave.open(str(file), "rb") as sound:
            frame_bytes = sound.getsampwidth() * sound.getnchannels()
            rate = sound.getframerate()
            frames = len(sound.readframes(sound.getnframes())) // frame_bytes
    except (wave.Error, EOFError, ZeroDivisionError) as error:
        reason = str(error) or "it ends too early"
        raise BadPrompt(f"no WAV file of linear PCM: {reason}") from error
    if frames == 0 or rate <= 0:
        raise BadPrompt("it holds no sound")
    return frames / rate

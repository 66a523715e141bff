"""Company documents for the reader's tests: text becomes files in a fresh folder."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

Write = Callable[[str, str], Path]

CARD = "company: {name: Ромашка, timezone: Europe/Moscow, country: RU, language: ru}\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a text, its indentation removed, into a file of the test's folder."""

    def write_file(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text), encoding="utf-8")
        return file

    return write_file


def write_wav(file: Path, seconds: float, rate: int = 8000) -> None:
    """A WAV file of silence."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(file), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"\0\0" * round(seconds * rate))

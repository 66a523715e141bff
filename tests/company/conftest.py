"""Company documents for the reader's tests: text becomes files in a fresh folder."""

from __future__ import annotations

import wave
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from kommutator.company.numbering_plan import import_files

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


@pytest.fixture
def romashka(tmp_path: Path) -> Path:
    """The folder of the example company of the scheme language, with all the files that it names."""
    folder = tmp_path / "romashka"
    folder.mkdir()
    example = Path(__file__).with_name("romashka") / "company.yaml"
    (folder / "company.yaml").write_bytes(example.read_bytes())
    (folder / "lists").mkdir()
    (folder / "lists/vip.csv").write_text("number\n89161230011\n", encoding="utf-8")
    write_wav(folder / "prompts/greeting.wav", 2.5)
    write_wav(folder / "prompts/leave-message.wav", 3)
    plan = tmp_path / "plan.csv"
    plan.write_text(
        "343;2000000;2999999;1000000;А;Свердловская обл.\n351;2000000;2999999;1000000;Б;Челябинская область\n",
        encoding="utf-8",
    )
    import_files([plan], folder / "numbering-plan.csv.gz")
    return folder

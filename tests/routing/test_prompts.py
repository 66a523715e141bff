"""Prompts become what a telephone plays."""

from __future__ import annotations

import itertools
import math
import shutil
import struct
import sys
import wave
from pathlib import Path

import pytest
import trio

from kommutator.company.prompts import PromptSource
from kommutator.errors import PromptNotMade
from kommutator.routing.prompts import PromptLibrary


def tone(path: Path, rate: int, channels: int, hertz: float, seconds: float = 1.0) -> PromptSource:
    with wave.open(str(path), "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(
            b"".join(
                struct.pack("<h", int(12000 * math.sin(2 * math.pi * hertz * n / rate))) * channels
                for n in range(int(rate * seconds))
            )
        )
    return PromptSource(seconds=seconds, file=path)


def samples(path: Path) -> tuple[int, ...]:
    with wave.open(str(path)) as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (8000, 1, 2)
        frames = reader.readframes(reader.getnframes())
    return struct.unpack(f"<{len(frames) // 2}h", frames)


def loudness(values: tuple[int, ...]) -> float:
    return math.sqrt(sum(value * value for value in values) / len(values))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_wav_becomes_8_khz_mono(tmp_path: Path, rate: int, channels: int) -> None:
    library = PromptLibrary(tmp_path / "made")
    trio.run(library.prepare, {"hello": tone(tmp_path / "hello.wav", rate, channels, 440)})
    played = samples(library.path("hello"))
    assert abs(len(played) - 8000) <= 16
    crossings = sum(a < 0 <= b for a, b in itertools.pairwise(played))
    assert abs(crossings - 440) <= 3
    assert 0.8 < loudness(played) / (12000 / math.sqrt(2)) < 1.1
    assert library.media("hello") == f"sound:{library.path('hello').with_suffix('')}"


def test_what_a_telephone_cannot_carry_is_filtered(tmp_path: Path) -> None:
    library = PromptLibrary(tmp_path / "made")
    trio.run(library.prepare, {"hiss": tone(tmp_path / "hiss.wav", 44100, 1, 9000)})
    assert loudness(samples(library.path("hiss"))) < 12000 / math.sqrt(2) / 3, "it would be heard as 1000 Hz"


def test_equal_content_is_made_once_and_found_again(tmp_path: Path) -> None:
    source = tone(tmp_path / "a.wav", 16000, 1, 440)
    shutil.copy(tmp_path / "a.wav", tmp_path / "b.wav")
    first = PromptLibrary(tmp_path / "made")
    trio.run(first.prepare, {"a": source, "b": PromptSource(seconds=1, file=tmp_path / "b.wav")})
    assert first.path("a") == first.path("b")
    made = first.path("a").stat().st_mtime_ns
    second = PromptLibrary(tmp_path / "made")
    trio.run(second.prepare, {"a": source})
    assert second.path("a").stat().st_mtime_ns == made
    assert [path.name for path in (tmp_path / "made").iterdir()] == [first.path("a").name]


def test_a_text_is_spoken_by_the_command_once(tmp_path: Path) -> None:
    tone(tmp_path / "voice.wav", 22050, 1, 300)
    speak = (
        "import shutil, sys\n"
        "said = sys.stdin.buffer.read().decode()\n"
        f"open({str(tmp_path / 'said')!r}, 'a').write(sys.argv[1] + ' ' + said + '\\n')\n"
        f"shutil.copy({str(tmp_path / 'voice.wav')!r}, sys.argv[2])\n"
    )
    tts = (sys.executable, "-c", speak, "{language}", "{output}")
    prompts = {"closed": PromptSource(seconds=4, say="Мы закрыты {сегодня}", language="ru")}
    for _ in range(2):
        library = PromptLibrary(tmp_path / "made", tts)
        trio.run(library.prepare, prompts)
        assert len(samples(library.path("closed"))) > 7900
    assert (tmp_path / "said").read_text(encoding="utf-8") == "ru Мы закрыты {сегодня}\n"


@pytest.mark.parametrize(
    ("tts", "why"),
    [
        (("/does/not/exist",), "No such file"),
        ((sys.executable, "-c", "raise SystemExit(1)"), "non-zero exit status 1"),
        ((sys.executable, "-c", ""), "has written no file"),
    ],
)
def test_a_command_that_does_not_speak_is_told(tmp_path: Path, tts: tuple[str, ...], why: str) -> None:
    library = PromptLibrary(tmp_path / "made", tts)
    with pytest.raises(PromptNotMade, match=f"`closed`: .*{why}"):
        trio.run(library.prepare, {"closed": PromptSource(seconds=4, say="x", language="ru")})
    assert list((tmp_path / "made").iterdir()) == []


def test_an_unreadable_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF....")
    for file in (tmp_path / "bad.wav", tmp_path / "none.wav"):
        library = PromptLibrary(tmp_path / "made")
        with pytest.raises(PromptNotMade, match="hello"):
            trio.run(library.prepare, {"hello": PromptSource(seconds=1, file=file)})
    with pytest.raises(PromptNotMade, match="other"):
        PromptLibrary(tmp_path / "made").media("other")

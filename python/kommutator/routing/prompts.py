"""Prompts as a PBX plays them: WAV, 8 kHz, mono, 16 bit, in a folder that it can read, named by their content.

Decoding and resampling is miniaudio's: one small wheel without dependencies of its own beyond cffi, filtered, and it
reads FLAC, MP3 and Vorbis too. Texts are spoken by a command, espeak-ng by default.
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
import tempfile
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path

import miniaudio
import trio

from kommutator.company.prompts import PromptSource
from kommutator.errors import PromptNotMade

DEFAULT_TTS = ("espeak-ng", "-v", "{language}", "--stdin", "-w", "{output}")
"""Speaks the text on its standard input (UTF-8) into a WAV file."""

_RATE = 8000
_FORM = b"wav 8000 mono s16 1\0"
_SPEAKING_DEADLINE_S = 60.0
_AT_ONCE = 4


class PromptLibrary:
    """The prompts of a company, made once and found again by their content.

    `folder` must be absolute and readable by the PBX. `tts` is the command that speaks, with `{language}` and
    `{output}`.
    """

    def __init__(self, folder: Path, tts: Sequence[str] = DEFAULT_TTS) -> None:
        self._folder = folder
        self._tts = tuple(tts)
        self._files: dict[str, Path] = {}

    async def prepare(self, prompts: Mapping[str, PromptSource]) -> None:
        """Make what is not there yet. Raises `PromptNotMade` for the first that cannot be made."""
        self._folder.mkdir(parents=True, exist_ok=True)
        failures: list[PromptNotMade] = []
        limiter = trio.CapacityLimiter(_AT_ONCE)

        async def one(prompt: str, source: PromptSource) -> None:
            try:
                self._files[prompt] = await trio.to_thread.run_sync(self._make, prompt, source, limiter=limiter)
            except PromptNotMade as error:
                failures.append(error)

        async with trio.open_nursery() as nursery:
            for prompt, source in prompts.items():
                nursery.start_soon(one, prompt, source)
        if failures:
            raise failures[0]

    def path(self, prompt: str) -> Path:
        """The file of a prompt that was prepared. Raises `PromptNotMade`."""
        try:
            return self._files[prompt]
        except KeyError:
            raise PromptNotMade(f"there is no prompt `{prompt}`") from None

    def media(self, prompt: str, _state: str = "") -> str:
        """The prompt as a media URI of Asterisk: an absolute path without extension."""
        return f"sound:{self.path(prompt).with_suffix('')}"

    def _make(self, prompt: str, source: PromptSource) -> Path:
        try:
            if source.file is not None:
                content = source.file.read_bytes()
                target = self._target(content)
                if not target.exists():
                    _write(target, _resample(content))
                return target
            return self._speak(source.say or "", source.language or "en")
        except PromptNotMade as error:
            raise PromptNotMade(f"prompt `{prompt}`: {error}") from None
        except (OSError, miniaudio.MiniaudioError, subprocess.SubprocessError) as error:
            raise PromptNotMade(f"prompt `{prompt}`: {error}") from error

    def _speak(self, text: str, language: str) -> Path:
        target = self._target(repr((self._tts, language, text)).encode())
        if not target.exists():
            with tempfile.TemporaryDirectory(prefix="kommutator-") as folder:
                spoken = Path(folder) / "spoken.wav"
                command = [part.format(language=language, output=spoken) for part in self._tts]
                subprocess.run(
                    command, input=text.encode(), check=True, capture_output=True, timeout=_SPEAKING_DEADLINE_S
                )
                if not spoken.exists():
                    raise PromptNotMade(f"`{shlex.join(self._tts)}` has written no file")
                _write(target, _resample(spoken.read_bytes()))
        return target

    def _target(self, key: bytes) -> Path:
        return self._folder / f"{hashlib.sha256(_FORM + key).hexdigest()[:32]}.wav"


def _resample(content: bytes) -> bytes:
    """Any sound file as 8 kHz mono 16-bit samples."""
    form = miniaudio.SampleFormat.SIGNED16
    samples: bytes = miniaudio.decode(content, output_format=form, nchannels=1, sample_rate=_RATE).samples.tobytes()
    return samples


def _write(target: Path, samples: bytes) -> None:
    """Write a WAV file whole or not at all."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".making-", delete=False) as part:
        with wave.open(part, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(_RATE)
            writer.writeframes(samples)
        made = Path(part.name)
    made.chmod(0o644)
    made.replace(target)

"""A company version as it travels: the engine document with the prompts' own sound, so that a router needs no file of
the desk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from kommutator.company.prompts import PromptSource
from kommutator.errors import ExchangeMessageBad
from kommutator.exchange.messages import CompanyVersion, SoundFile


def bundle(version: str, engine_json: bytes, prompts: Mapping[str, PromptSource]) -> CompanyVersion:
    """The version with its prompts' files in it. Raises `OSError` when one cannot be read."""
    sounds = {
        prompt: SoundFile(
            source.seconds,
            source.file.read_bytes() if source.file is not None else None,
            source.say,
            source.language,
        )
        for prompt, source in prompts.items()
    }
    return CompanyVersion(version, engine_json, sounds)


def unbundle(version: CompanyVersion, folder: Path) -> dict[str, PromptSource]:
    """The version's prompts, their sound in files of this folder named by content. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    sources: dict[str, PromptSource] = {}
    for prompt, sound in version.prompts.items():
        file: Path | None = None
        if sound.sound is not None:
            file = folder / f"{hashlib.sha256(sound.sound).hexdigest()[:32]}.wav"
            if not file.exists():
                part = file.with_suffix(".new")
                part.write_bytes(sound.sound)
                part.replace(file)
        sources[prompt] = PromptSource(sound.seconds, file, sound.say, sound.language)
    return sources


def pack(version: CompanyVersion) -> bytes:
    """The version as one object."""
    return msgspec.msgpack.encode(version)


def unpack(content: bytes) -> CompanyVersion:
    """The version in an object. Raises `ExchangeMessageBad`."""
    try:
        return msgspec.msgpack.decode(content, type=CompanyVersion)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ExchangeMessageBad(f"no company version: {error}") from error

"""A caller's message as a file that any mail program plays: WAV while it is small, MP3 above that.

MP3 and not Opus: Outlook and the mail programs of telephones play it without help. Samples at 8 kHz are put up to 16 kHz, since not
all players of MP3 know MPEG 2.5, the only one with 8 kHz.
"""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass

import lameenc
import miniaudio

_MP3_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


@dataclass(frozen=True, slots=True)
class SoundSettings:
    """What is attached."""

    wav_bytes: int = 1_000_000
    """A WAV up to this size is attached as it is: about a minute from a telephone."""
    mp3_kbps: int = 32
    """Of the MP3: 240 kB a minute."""
    attachment_bytes: int = 15_000_000
    """What is larger is not attached: mail servers refuse it."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A file to attach."""

    content: bytes
    subtype: str
    """Of the media type `audio/…`."""
    suffix: str


def playable(wav: bytes, settings: SoundSettings) -> Sound | None:
    """The recording as a file of fitting size; None when it is too long, or no sound.

    Encoding takes about a second for ten minutes: not for the event loop.
    """
    if len(wav) <= settings.wav_bytes and _is_pcm(wav):
        return Sound(wav, "wav", ".wav")
    try:
        mp3 = _mp3(wav, settings.mp3_kbps)
    except miniaudio.DecodeError:
        return None
    return Sound(mp3, "mpeg", ".mp3") if len(mp3) <= settings.attachment_bytes else None


def _is_pcm(wav: bytes) -> bool:
    try:
        with wave.open(io.BytesIO(wav)) as reader:
            return bool(reader.getsampwidth() == 2 and reader.getnframes() > 0)
    except (wave.Error, EOFError):
        return False


def _mp3(wav: bytes, kbps: int) -> bytes:
    told = miniaudio.wav_get_info(wav).sample_rate
    rate = next((each for each in _MP3_RATES if each >= told), _MP3_RATES[-1])
    decoded = miniaudio.decode(wav, output_format=miniaudio.SampleFormat.SIGNED16, nchannels=1, sample_rate=rate)
    encoder = lameenc.Encoder()
    encoder.silence()
    encoder.set_channels(1)
    encoder.set_in_sample_rate(rate)
    encoder.set_bit_rate(kbps)
    encoder.set_quality(5)
    return bytes(encoder.encode(decoded.samples.tobytes()) + encoder.flush())

"""What messages sound like."""

import io
import struct
import wave

import pytest

from kommutator.pbx.simulated import sound


@pytest.mark.parametrize("seconds", [0.0, 0.31, 2.0, 7.123, 120.0])
def test_a_message_is_a_wav_file_of_its_length(seconds: float) -> None:
    content = sound.piece(seconds, 0, 10**8)
    assert len(content) == sound.size(seconds)
    with wave.open(io.BytesIO(content)) as reader:
        assert reader.getparams()[:3] == (1, 2, 8000)
        assert reader.getnframes() == round(seconds * 8000)


def test_it_can_be_heard_and_has_silences() -> None:
    data = sound.piece(4.0, 44, 10**6)
    samples = struct.unpack(f"<{len(data) // 2}h", data)
    loud = [max(abs(each) for each in samples[begin : begin + 80]) for begin in range(0, len(samples), 80)]
    assert max(loud) > 6000
    assert 0.1 < sum(each == 0 for each in loud) / len(loud) < 0.6


@pytest.mark.parametrize("longest", [1, 43, 44, 45, 777, 100_000])
def test_pieces_make_the_whole(longest: int) -> None:
    whole = sound.piece(0.7, 0, 10**6)
    assert b"".join(sound.piece(0.7, at, longest) for at in range(0, len(whole), longest)) == whole
    assert sound.piece(0.7, len(whole), longest) == b""

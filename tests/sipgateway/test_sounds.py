"""G.711 and files made into it."""

import array
import io
import math
import wave
from itertools import pairwise

import pytest

from sipgateway import sounds
from sipgateway.sounds import NotSound


def wav(samples, rate=8000, channels=1, width=2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(width)
        writer.setframerate(rate)
        writer.writeframes(array.array("h", samples).tobytes())
    return file.getvalue()


def tone(rate, seconds=0.5, hertz=440):
    return [int(12000 * math.sin(2 * math.pi * hertz * at / rate)) for at in range(int(rate * seconds))]


@pytest.mark.parametrize(
    ("sample", "byte"), [(0, 0xFF), (-1, 0x7F), (32767, 0x80), (-32768, 0x00), (1000, 0xCE), (-1000, 0x4E), (8, 0xFE)]
)
def test_samples_are_coded_as_g711_says(sample, byte):
    assert sounds.ulaw_of_samples(array.array("h", [sample])) == bytes([byte])


def test_all_256_codes_come_back_as_they_were():
    codes = bytes(range(256))
    coded = sounds.ulaw_of_samples(sounds.samples_of_ulaw(codes))
    # 0x7F and 0xFF are both zero.
    assert coded.replace(b"\x7f", b"\xff") == codes.replace(b"\x7f", b"\xff")


def test_silence_is_silence_in_both_codes():
    assert sounds.ulaw_of_samples(array.array("h", [0] * 3)) == sounds.SILENCE * 3
    assert sounds.alaw_of_ulaw(sounds.SILENCE) == b"\xd5"
    # By G.711's own pairs: the loudest samples, and a soft one.
    assert sounds.alaw_of_ulaw(b"\x80\x00") == b"\xaa\x2a"


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_a_file_of_any_rate_has_its_length_and_its_tone(rate):
    samples = sounds.samples_of_ulaw(sounds.ulaw_of_wav(wav(tone(rate), rate)))
    assert abs(len(samples) - 4000) <= 1
    crossings = sum((first < 0) != (second < 0) for first, second in pairwise(samples))
    assert abs(crossings - 440) <= 4
    assert max(samples) > 9000


def test_of_two_channels_the_first_is_heard():
    both = [sample for value in tone(8000) for sample in (value, 0)]
    assert sounds.ulaw_of_wav(wav(both, channels=2)) == sounds.ulaw_of_wav(wav(tone(8000)))


def test_a_file_whose_length_is_not_known_is_read_to_its_end():
    file = bytearray(wav(tone(8000)))
    file[4:8] = file[40:44] = b"\xff\xff\xff\x7f"  # as a program writes it into a pipe
    assert len(sounds.ulaw_of_wav(bytes(file))) == 4000


@pytest.mark.parametrize("file", [b"", b"RIFF", b"ID3\x03mp3", wav(tone(8000))[:20], wav([0] * 8, width=1)])
def test_what_is_no_sound_is_refused(file):
    with pytest.raises(NotSound):
        sounds.ulaw_of_wav(file)

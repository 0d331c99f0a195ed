"""Sound as it goes over the line: G.711 at 8,000 samples a second, and files made into it. Pure."""

import array
import io
import math
import sys
import wave
from functools import cache
from itertools import pairwise

RATE = 8000
# 20 milliseconds.
FRAME = 160
SILENCE = b"\xff"


class NotSound(Exception):
    """The file holds no sound that can be read here; the message says why."""


def ulaw_of_wav(file: bytes) -> bytes:
    """Return the sound of a WAV file, as PCMU. Raises NotSound."""
    try:
        with wave.open(io.BytesIO(file)) as reader:
            channels, width, rate, _, _, _ = reader.getparams()
            # A program that writes to a pipe does not know the length, and writes the largest one.
            data = reader.readframes(len(file))
    except (wave.Error, EOFError, ValueError) as error:
        raise NotSound(f"it is no WAV file of plain samples: {error}") from error
    if width != 2 or not 1 <= channels <= 8 or not 4000 <= rate <= 192_000:
        raise NotSound(f"samples of {8 * width} bits, {channels} channels, {rate} a second are not read here")
    samples = array.array("h", data[: len(data) // (2 * channels) * (2 * channels)])
    if sys.byteorder == "big":
        samples.byteswap()
    return ulaw_of_samples(_at_our_rate(samples[::channels], rate))


def ulaw_of_raw(data: bytes) -> bytes:
    """Return the sound of 16-bit little-endian samples at 8,000 a second, as PCMU."""
    samples = array.array("h", data[: len(data) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return ulaw_of_samples(samples)


def ulaw_of_samples(samples: "array.array[int]") -> bytes:
    table = _ulaw_table()
    return bytes([table[sample] for sample in samples])


def alaw_of_ulaw(sound: bytes) -> bytes:
    """Return PCMU as PCMA."""
    return sound.translate(_alaw_by_ulaw())


def samples_of_ulaw(sound: bytes) -> "array.array[int]":
    """Return the samples of PCMU."""
    table = [_linear_of_ulaw(byte) for byte in range(256)]
    return array.array("h", [table[byte] for byte in sound])


def _at_our_rate(samples: "array.array[int]", rate: int) -> "array.array[int]":
    """Resample: each sample is the mean of those in its place, which also takes out what would sound as noise."""
    if rate == RATE:
        return samples
    if rate < RATE:
        return array.array("h", [samples[at * rate // RATE] for at in range(len(samples) * RATE // rate)])
    sums = [0]
    for sample in samples:
        sums.append(sums[-1] + sample)
    ends = [at * rate // RATE for at in range(len(samples) * RATE // rate + 1)]
    return array.array("h", [(sums[end] - sums[start]) // (end - start) for start, end in pairwise(ends)])


@cache
def _ulaw_table() -> bytes:
    """Return PCMU by sample (ITU-T G.711). A negative sample counts from the end, as indexes of Python do."""
    return bytes([_ulaw_of_linear(sample) for sample in [*range(32768), *range(-32768, 0)]])


def _ulaw_of_linear(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), 32635) + 132
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | magnitude >> exponent + 3 & 0x0F) & 0xFF


def _linear_of_ulaw(byte: int) -> int:
    byte = ~byte & 0xFF
    magnitude = (((byte & 0x0F) << 3) + 132 << (byte >> 4 & 7)) - 132
    return -magnitude if byte & 0x80 else magnitude


def _alaw_of_linear(sample: int) -> int:
    sign = 0x80 if sample >= 0 else 0
    magnitude = min(sample if sample >= 0 else -sample - 1, 32767) >> 4
    exponent = max(magnitude.bit_length() - 4, 0)
    mantissa = magnitude >> max(exponent - 1, 0) & 0x0F
    return (sign | exponent << 4 | mantissa) ^ 0x55


@cache
def _alaw_by_ulaw() -> bytes:
    return bytes([_alaw_of_linear(_linear_of_ulaw(byte)) for byte in range(256)])


def ulaw_of_alaw(sound: bytes) -> bytes:
    """Return PCMA as PCMU."""
    return sound.translate(_ulaw_by_alaw())


@cache
def _ulaw_by_alaw() -> bytes:
    return bytes([_ulaw_of_linear(_linear_of_alaw(byte)) for byte in range(256)])


def _linear_of_alaw(byte: int) -> int:
    byte ^= 0x55
    exponent = byte >> 4 & 7
    magnitude = ((byte & 0x0F) << 4) + 8
    if exponent:
        magnitude = magnitude + 0x100 << exponent - 1
    return magnitude if byte & 0x80 else -magnitude


# What is made here ----------------------------------------------------------------------------------------------------

# Hertz by row and column of the keys (ITU-T Q.23).
_ROWS, _COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477)
_KEYS = ("123", "456", "789", "*0#")
_KEY_SECONDS, _KEY_PAUSE = 0.1, 0.06
# Of 32,767, for each frequency.
_LOUDNESS = 6000


@cache
def key_tone(key: str) -> bytes:
    """Return the tone of a key, and a pause, as PCMU."""
    [(row, column)] = [(row, keys.index(key)) for row, keys in enumerate(_KEYS) if key in keys]
    return _tone(_KEY_SECONDS, _ROWS[row], _COLUMNS[column]) + SILENCE * int(RATE * _KEY_PAUSE)


@cache
def ring_back() -> bytes:
    """Return what a caller hears while a phone rings, once, as PCMU: as exchanges of India and Britain do it."""
    ring = _tone(0.4, 400)
    return ring + SILENCE * int(RATE * 0.2) + ring + SILENCE * int(RATE * 2.0)


def _tone(seconds: float, *frequencies: int) -> bytes:
    turns = [2 * math.pi * frequency / RATE for frequency in frequencies]
    samples = (int(sum(_LOUDNESS * math.sin(turn * at) for turn in turns)) for at in range(int(RATE * seconds)))
    return ulaw_of_samples(array.array("h", samples))


@cache
def beep() -> bytes:
    """Return the tone before a recording, as PCMU."""
    return _tone(0.4, 1000)


# Loudness -------------------------------------------------------------------------------------------------------------

# Of 255: what a frame of speech has on the average, and a line's own noise has not.
_QUIET = 2


def is_loud(frame: bytes) -> bool:
    """Tell whether somebody speaks in a frame (PCMU), rather than the line hums."""
    return sum(frame.translate(_loudness_by_ulaw())) > _QUIET * len(frame)


@cache
def _loudness_by_ulaw() -> bytes:
    return bytes([abs(_linear_of_ulaw(byte)) >> 7 for byte in range(256)])


def linear_of_ulaw(sound: bytes) -> bytes:
    """Return PCMU as 16-bit little-endian samples, without a step of Python for each of them."""
    low, high = _linear_bytes()
    samples = bytearray(2 * len(sound))
    samples[0::2], samples[1::2] = sound.translate(low), sound.translate(high)
    return bytes(samples)


@cache
def _linear_bytes() -> tuple[bytes, bytes]:
    written = [_linear_of_ulaw(byte).to_bytes(2, "little", signed=True) for byte in range(256)]
    return bytes(pair[0] for pair in written), bytes(pair[1] for pair in written)

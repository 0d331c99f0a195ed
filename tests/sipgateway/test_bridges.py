"""Sound and keys on their way from one end of a connected call to the other."""

import random
import struct

import pytest

from sipgateway import sounds
from sipgateway.bridges import KEPT_BACK, MOST_KEPT, Keys, Passage
from sipgateway.session_descriptions import PCMA, PCMU


def packet(sequence, sound, *, kind=PCMU, flags=0x80, source=7, before=b""):
    return struct.pack("!BBHII", flags, kind, sequence % 2**16, 160 * sequence % 2**32, source) + before + sound


def frames(passage):
    """All that it has."""
    while frame := passage.frame():
        yield frame


@pytest.mark.parametrize("size", [80, 160, 240, 320])
def test_sound_comes_whole_and_in_frames_however_it_was_packed(size):
    sound = random.Random(size).randbytes(960)
    passage = Passage()
    for at in range(0, len(sound), size):
        passage.put(packet(at // size, sound[at : at + size]))
    heard = list(frames(passage))
    assert b"".join(heard) == sound
    assert {len(frame) for frame in heard} == {160}


def test_alaw_is_heard_as_ulaw():
    passage = Passage()
    sound = bytes(range(256)) * 2
    passage.put(packet(0, sounds.alaw_of_ulaw(sound), kind=PCMA))
    heard = sounds.samples_of_ulaw(b"".join(frames(passage)))
    # Both codes have steps of a sixteenth of the sound at the most.
    for sample, again in zip(sounds.samples_of_ulaw(sound), heard, strict=True):
        assert abs(sample - again) <= abs(sample) / 16 + 16


def test_a_little_is_kept_back_before_it_begins_and_after_it_ran_out():
    passage = Passage()
    for _ in range(2):
        passage.put(packet(0, b"a" * (KEPT_BACK - 1), source=random.getrandbits(32)))
        assert passage.frame() == b""
        passage.put(packet(1, b"a", source=random.getrandbits(32)))
        assert len(list(frames(passage))) == KEPT_BACK // 160
        assert passage.frame() == b""


def test_what_comes_too_fast_is_not_heard_ever_later():
    passage = Passage()
    for at in range(500):
        passage.put(packet(at, bytes([at % 256]) * 160))
        if at % 3:
            passage.frame()
    assert len(passage._kept) <= MOST_KEPT
    assert passage.frame()[0] > (499 - MOST_KEPT // 160) % 256 - 1


def test_packets_that_come_late_or_twice_are_left_out_also_where_their_numbers_begin_again():
    passage = Passage()
    for sequence in (65534, 65535, 65535, 0, 65534, 2, 1, 3):
        passage.put(packet(sequence, bytes([sequence % 256]) * 160))
    assert [frame[0] for frame in frames(passage)] == [254, 255, 0, 2, 3]


def test_another_source_begins_with_any_number():
    passage = Passage()
    passage.put(packet(5000, b"a" * 160))
    passage.put(packet(1, b"b" * 160, source=8))
    assert [frame[:1] for frame in frames(passage)] == [b"a", b"b"]


@pytest.mark.parametrize(
    ("given", "sound"),
    [
        (packet(1, b"s" * 320, flags=0x82, before=b"\0" * 8), b"s" * 320),
        (packet(1, b"s" * 320, flags=0x90, before=b"\0\0\0\1extn"), b"s" * 320),
        (packet(1, b"s" * 320 + b"\0\0\3", flags=0xA0), b"s" * 320),
        (packet(1, b"s" * 320, flags=0x90, before=b"\0\0\xff\xff"), b""),
        (packet(1, b"s" * 320 + b"\xff", flags=0xA0)[:100], b""),
        (packet(1, b"s" * 320, flags=0x40), b""),
        (packet(1, b"s" * 320, kind=101), b""),
        (b"\x80\0", b""),
    ],
)
def test_only_sound_is_heard(given, sound):
    passage = Passage()
    passage.put(given)
    assert b"".join(frames(passage)) == sound


def test_a_key_lasts_for_some_packets_and_its_end_is_told_three_times():
    keys = Keys()
    for code in (5, 11):
        keys.press(code)
    sent = []
    while keys:
        begins = keys.begins
        code, flags, lasts = struct.unpack("!BBH", keys.event())
        sent.append((code, begins, flags >> 7, lasts))
    one = [(True, 0, 160), (False, 0, 320), (False, 0, 480), (False, 0, 640), (False, 0, 800), *[(False, 1, 800)] * 3]
    assert sent == [(5, *event) for event in one] + [(11, *event) for event in one]

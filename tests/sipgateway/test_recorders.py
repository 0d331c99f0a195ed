"""What a callee says, as a file."""

import struct
import wave

import pytest

from sipgateway import sounds
from sipgateway.recorders import FRAMES_A_SECOND, Recorder
from sipgateway.session_descriptions import PCMU
from tests.sipgateway.test_sounds import tone

LOUD = sounds.ulaw_of_raw(struct.pack("<160h", *tone(8000)[:160]))


@pytest.fixture
def recorder_of():
    """Makes recorders, which are closed at the end."""
    made = []

    def make(**limits):
        made.append(Recorder(**limits))
        return made[-1]

    yield make
    for recorder in made:
        recorder.close()


class Callee:
    """Speaks, or says nothing, for so many frames. Tells after how many of all the recording was over."""

    def __init__(self, recorder):
        self.recorder, self.sequence, self.ended_after = recorder, 0, None

    def speaks(self, frames, sound=LOUD):
        for _ in range(frames):
            if sound:
                self.recorder.put(struct.pack("!BBHII", 0x80, PCMU, self.sequence, 160 * self.sequence, 7) + sound)
            self.sequence += 1
            if self.recorder.tick() and self.ended_after is None:
                self.ended_after = self.sequence


def samples(recorder):
    with recorder.wav() as file, wave.open(file, "rb") as reader:
        assert (reader.getframerate(), reader.getnchannels(), reader.getsampwidth()) == (8000, 1, 2)
        return struct.unpack(f"<{reader.getnframes()}h", reader.readframes(reader.getnframes()))


def test_what_is_said_is_written_down_with_its_pauses(recorder_of):
    recorder = recorder_of(seconds=10, silence=5)
    callee = Callee(recorder)
    for sound in (LOUD, None, LOUD):
        callee.speaks(50, sound)
    assert (callee.ended_after, recorder.seconds, recorder.is_empty) == (None, 3, False)
    heard = samples(recorder)
    assert len(heard) == 150 * 160
    spoken = [max(map(abs, heard[at : at + 160])) > 1000 for at in range(0, len(heard), 160)]
    # Two frames are kept back where sound begins.
    assert spoken.count(True) == pytest.approx(100, abs=4)
    assert not any(spoken[53:98])


def test_it_is_over_after_so_many_seconds(recorder_of):
    callee = Callee(recorder_of(seconds=2, silence=5))
    callee.speaks(150)
    assert callee.ended_after == 2 * FRAMES_A_SECOND


def test_it_is_over_after_so_much_silence(recorder_of):
    callee = Callee(recorder_of(seconds=60, silence=1))
    callee.speaks(40)
    callee.speaks(100, sounds.SILENCE * 160)
    assert callee.ended_after == pytest.approx(40 + FRAMES_A_SECOND, abs=2)


@pytest.mark.parametrize("sound", [None, sounds.SILENCE * 160, b"\xff\x7e\xfd\x7f" * 40])
def test_a_line_on_which_nobody_speaks_is_empty(recorder_of, sound):
    recorder = recorder_of(seconds=60, silence=1)
    Callee(recorder).speaks(60, sound)
    assert recorder.is_empty

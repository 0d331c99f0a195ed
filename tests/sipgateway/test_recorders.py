"""What is recorded of calls, as files."""

import errno
import struct
import wave

import pytest
from uuid_utils.compat import uuid7

from sipgateway import recording_files, sounds
from sipgateway.recorders import FRAMES_A_SECOND, CallRecorder, Recorder
from sipgateway.recording_files import About, RecordingFile
from sipgateway.session_descriptions import PCMU
from tests.sipgateway.test_sounds import tone

LOUD = sounds.ulaw_of_raw(struct.pack("<160h", *tone(8000)[:160]))


def file_of(tmp_path, channels=1):
    return RecordingFile(tmp_path, About(uuid7(), uuid7(), "0.1", channels))


@pytest.fixture
def recorder_of(tmp_path):
    """Makes recorders, whose files are closed at the end."""
    files = []

    def make(**limits):
        files.append(file_of(tmp_path))
        return Recorder(files[-1], **limits)

    yield make
    for file in files:
        if not file._file.closed:
            file.finish()


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


def ended(recorder):
    """End a recording. Returns its length, whether nobody speaks in it, and the samples of each channel."""
    with recording_files.taken(recorder.finish()) as left:
        assert left
        assert not left.is_cut
        with left.wav() as file, wave.open(file, "rb") as reader:
            channels = reader.getnchannels()
            assert (reader.getframerate(), channels, reader.getsampwidth()) == (8000, left.about.channels, 2)
            read = reader.readframes(reader.getnframes())
            samples = struct.unpack(f"<{reader.getnframes() * channels}h", read)
        return left.seconds, left.is_silent, [samples[at::channels] for at in range(channels)]


def are_loud(samples):
    """Of each frame, whether somebody speaks in it."""
    return [max(map(abs, samples[at : at + 160])) > 1000 for at in range(0, len(samples), 160)]


def test_what_is_said_is_written_down_with_its_pauses(recorder_of):
    recorder = recorder_of(seconds=10, silence=5)
    callee = Callee(recorder)
    for sound in (LOUD, None, LOUD):
        callee.speaks(50, sound)
    seconds, is_silent, [heard] = ended(recorder)
    assert (callee.ended_after, seconds, is_silent) == (None, 3, False)
    assert len(heard) == 150 * 160
    spoken = are_loud(heard)
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
def test_a_line_on_which_nobody_speaks_is_silent(recorder_of, sound):
    recorder = recorder_of(seconds=60, silence=1)
    Callee(recorder).speaks(60, sound)
    assert ended(recorder)[1]


def test_a_call_is_recorded_with_the_callee_on_the_left_and_what_it_hears_on_the_right(tmp_path):
    recorder = CallRecorder(file_of(tmp_path, channels=2))
    for at in range(100):
        if at < 50:
            recorder.put(struct.pack("!BBHII", 0x80, PCMU, at, 160 * at, 7) + LOUD)
        recorder.tick(LOUD if at >= 70 else sounds.SILENCE * 160)
    seconds, _, [heard, said] = ended(recorder)
    # Two frames are kept back where sound begins.
    assert (seconds, are_loud(heard)[2:50], any(are_loud(heard)[54:])) == (2, [True] * 48, False)
    assert are_loud(said) == [False] * 70 + [True] * 30


def test_a_full_disk_ends_a_recording_and_what_it_took_is_marked_as_cut(tmp_path):
    file = file_of(tmp_path)
    callee = Callee(Recorder(file, seconds=60, silence=5))
    callee.speaks(10)

    class Full:
        def write(self, sound):
            raise OSError(errno.ENOSPC, "No space left on device")

    kept, file._file = file._file, Full()
    callee.speaks(1)
    file._file = kept
    callee.speaks(5)  # nothing more is written
    assert callee.ended_after == 11
    with recording_files.taken(callee.recorder.finish()) as left:
        assert left
        assert (left.is_cut, left._frames) == (True, 10 * 160)

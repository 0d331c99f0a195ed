"""What is recorded of a call, 20 ms at a time. The media thread writes it, until it is told to let it go."""

from pathlib import Path

from sipgateway import sounds
from sipgateway.bridges import Passage
from sipgateway.recording_files import RecordingFile

FRAMES_A_SECOND = sounds.RATE // sounds.FRAME


class Recorder:
    """Records what the callee says at a step of the flow."""

    def __init__(self, file: RecordingFile, seconds: int, silence: int) -> None:
        """Record for so many seconds at the most, and until so many of silence."""
        self._file = file
        self._passage = Passage()
        self._frames = 0
        self._silent = 0
        self._most = seconds * FRAMES_A_SECOND
        self._most_silent = silence * FRAMES_A_SECOND

    def put(self, packet: bytes) -> None:
        """Take an RTP packet of the callee."""
        self._passage.put(packet)

    def tick(self) -> bool:
        """Write down these 20 ms, silent where nothing came. Returns whether it is over."""
        frame = self._passage.frame().ljust(sounds.FRAME, sounds.SILENCE)
        self._frames += 1
        self._silent = 0 if sounds.is_loud(frame) else self._silent + 1
        is_written = self._file.write(frame)
        return not is_written or self._frames >= self._most or self._silent >= self._most_silent

    def finish(self) -> Path:
        """End it. Returns the path of its file."""
        return self._file.finish()


class CallRecorder:
    """Records a whole call from some moment on: on the left what the callee says, on the right what it hears."""

    def __init__(self, file: RecordingFile) -> None:
        self._file = file
        self._passage = Passage()

    def put(self, packet: bytes) -> None:
        """Take an RTP packet of the callee."""
        self._passage.put(packet)

    def tick(self, said: bytes) -> None:
        """Write down these 20 ms, in which the callee hears this frame."""
        both = bytearray(2 * sounds.FRAME)
        both[0::2] = self._passage.frame().ljust(sounds.FRAME, sounds.SILENCE)
        both[1::2] = said
        self._file.write(bytes(both))

    def finish(self) -> Path:
        """End it. Returns the path of its file."""
        return self._file.finish()

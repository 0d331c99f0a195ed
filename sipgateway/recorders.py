"""What a callee says, written down as it comes: on a disk rather than in memory, as many may speak for long."""

import tempfile
import wave
from typing import IO

from sipgateway import sounds
from sipgateway.bridges import Passage

FRAMES_A_SECOND = sounds.RATE // sounds.FRAME


class Recorder:
    """One recording. The media thread writes it; it is read when that has let it go."""

    def __init__(self, seconds: int, silence: int) -> None:
        """Record for so many seconds at the most, and until so many of silence."""
        self._file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- handed on
        self._passage = Passage()
        self._frames = 0
        self._silent = 0
        self._was_loud = False
        self._most = seconds * FRAMES_A_SECOND
        self._most_silent = silence * FRAMES_A_SECOND

    @property
    def is_empty(self) -> bool:
        """Whether nobody has spoken."""
        return not self._was_loud

    @property
    def seconds(self) -> int:
        """How long it is by now, rounded up."""
        return -(-self._frames // FRAMES_A_SECOND)

    def put(self, packet: bytes) -> None:
        """Take an RTP packet of the callee."""
        self._passage.put(packet)

    def tick(self) -> bool:
        """Write down these 20 ms, silent where nothing came. Returns whether it is over."""
        frame = self._passage.frame().ljust(sounds.FRAME, sounds.SILENCE)
        self._file.write(frame)
        self._frames += 1
        is_loud = sounds.is_loud(frame)
        self._was_loud |= is_loud
        self._silent = 0 if is_loud else self._silent + 1
        return self._frames >= self._most or self._silent >= self._most_silent

    def close(self) -> None:
        """Throw it away."""
        self._file.close()

    def wav(self) -> IO[bytes]:
        """Return it as a WAV file of 16-bit samples, at its begin. The recorder is of no use afterwards."""
        made: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 -- handed on
        self._file.seek(0)
        with wave.open(made, "wb") as writer:
            writer.setparams((1, 2, sounds.RATE, 0, "NONE", ""))
            while piece := self._file.read(sounds.RATE * 10):
                writer.writeframesraw(sounds.linear_of_ulaw(piece))
        self._file.close()
        made.seek(0)
        return made

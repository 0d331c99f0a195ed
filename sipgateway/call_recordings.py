"""The recordings of one call: what its callee says at a step, and all that is heard from a step on.

Runs in sippy's loop. Each is over when the call is, if not before.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import structlog

from campaigns.flow_interpreter import Place, Record
from sipgateway.media import Line
from sipgateway.recorders import CallRecorder, Recorder
from sipgateway.recording_files import RecordingFile

log = structlog.get_logger(__name__)


class Keeper(Protocol):
    """Whoever knows which call it is."""

    def new_recording(self, place: Place, channels: int) -> RecordingFile:
        """Return a file for a recording. Raises OSError where the disk takes none."""

    def recorded(self, file: Path) -> None:
        """Keep a recording that is over."""


class CallRecordings:
    """Begins and ends them on the line of the call."""

    def __init__(self, keeper: Keeper, line: Line) -> None:
        self._keeper = keeper
        self._line = line
        self._of_step: Recorder | None = None
        self._of_call: CallRecorder | None = None

    @property
    def is_at_step(self) -> bool:
        """Whether the callee is recorded at a step."""
        return self._of_step is not None

    def begin_step(self, record: Record, on_end: Callable[[], None]) -> bool:
        """Record the callee, and tell when that is over by itself. False where the disk takes no recording."""
        if file := self._new(record.place, channels=1):
            self._of_step = Recorder(file, record.seconds, record.silence)
            self._line.record(self._of_step, on_end)
        return self.is_at_step

    def end_step(self) -> None:
        """Keep what the callee has said."""
        if self._of_step is not None:
            recorder, self._of_step = self._of_step, None
            self._line.stop_recording()
            self._keeper.recorded(recorder.finish())

    def begin_call(self, place: Place) -> None:
        """Record all that is heard from now on. A second such step of a flow adds nothing."""
        if self._of_call is None and (file := self._new(place, channels=2)):
            self._of_call = CallRecorder(file)
            self._line.record_call(self._of_call)

    def close(self) -> None:
        """Keep all that was recorded: the call is over."""
        self.end_step()
        if self._of_call is not None:
            recorder, self._of_call = self._of_call, None
            self._line.stop_recording_call()
            self._keeper.recorded(recorder.finish())

    def _new(self, place: Place, channels: int) -> RecordingFile | None:
        """Return a file. Without one the call goes on: a full disk takes nothing but the recording."""
        try:
            return self._keeper.new_recording(place, channels)
        except OSError as error:
            log.warning("recording_not_begun", error=str(error))
            return None

"""Recordings while they are made: files of this machine, which outlive the process that writes them.

A writer holds a lock on its file, which the kernel lets go whatever ends the process. Code that gets the lock may store
the recording and delete the file. The name says whether the writer came to the end: what a dead one leaves is a part.
"""

import fcntl
import json
import os
import tempfile
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO
from uuid import UUID

import structlog

from sipgateway import sounds

log = structlog.get_logger(__name__)

# A file that nobody can see yet, that is written, and that is whole.
_NEW, _PART, _WHOLE = ".new", ".part", ".whole"
# Seconds after which a file that is still new has been left by a process that died.
_NEW_FOR = 60.0
# Bytes that are given to the system at once: half a second of a call. A process that is killed takes them along.
_AT_ONCE = 8192
# Bytes that are read at once.
_PIECE = 80_000


@dataclass(frozen=True)
class About:
    """Which recording it is.

    Attributes:
        key: of its row, once it is stored.
        place: of the step in the flow.
        channels: 1: what the callee says; 2: that, and what the callee hears.
    """

    key: UUID
    attempt_id: UUID
    place: str
    channels: int

    def written(self) -> bytes:
        """Return it as the first line of a file."""
        told = {"key": self.key.hex, "attempt": self.attempt_id.hex, "place": self.place, "channels": self.channels}
        return json.dumps(told).encode() + b"\n"


def _read(line: bytes) -> About | None:
    """Return what `About.written` wrote; None where the line is another one."""
    try:
        told = json.loads(line)
        about = About(UUID(told["key"]), UUID(told["attempt"]), str(told["place"]), int(told["channels"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return about if about.channels in {1, 2} else None


class RecordingFile:
    """A recording that is written: PCMU, the bytes of two channels by turns."""

    def __init__(self, folder: Path, about: About) -> None:
        """Begin it. Raises OSError where the disk takes no file."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = folder / f"{about.key.hex}{_NEW}"
        self._path = new.with_suffix(_PART)
        self._is_writable = True
        descriptor = os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        self._file: IO[bytes] = os.fdopen(descriptor, "wb", _AT_ONCE)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file.write(about.written())
        self._file.flush()
        new.rename(self._path)

    def write(self, sound: bytes) -> bool:
        """Add sound. Returns whether the disk takes it: once it does not, nothing more is written."""
        if self._is_writable:
            try:
                self._file.write(sound)
            except OSError as error:
                self._is_writable = False
                log.warning("recording_not_written", recording=self._path.stem, error=str(error))
        return self._is_writable

    def finish(self) -> Path:
        """Close the file, and let others have it. Returns its path. What the disk did not take whole stays a part."""
        try:
            self._file.flush()
            if self._is_writable:
                self._path = self._path.rename(self._path.with_suffix(_WHOLE))
        except OSError as error:
            log.warning("recording_not_written", recording=self._path.stem, error=str(error))
        with suppress(OSError):
            self._file.close()
        return self._path


@dataclass(frozen=True)
class Left:
    """A recording that nobody writes any more.

    Attributes:
        is_cut: its writer did not come to the end.
        age: since its last sound was written.
    """

    about: About
    is_cut: bool
    age: timedelta
    _file: IO[bytes]
    _begin: int
    _frames: int

    @property
    def seconds(self) -> int:
        """How long it is, rounded up."""
        return -(-self._frames // sounds.RATE)

    @property
    def is_silent(self) -> bool:
        """Whether nobody speaks in it."""
        return not any(
            sounds.is_loud(piece[at : at + sounds.FRAME])
            for piece in self._pieces()
            for at in range(0, len(piece), sounds.FRAME)
        )

    @contextmanager
    def wav(self) -> Iterator[IO[bytes]]:
        """Give it as a WAV file of 16-bit samples, at its begin."""
        with tempfile.TemporaryFile() as made:
            with wave.open(made, "wb") as writer:
                writer.setparams((self.about.channels, 2, sounds.RATE, 0, "NONE", ""))
                for piece in self._pieces():
                    writer.writeframesraw(sounds.linear_of_ulaw(piece))
            made.seek(0)
            yield made

    def _pieces(self) -> Iterator[bytes]:
        self._file.seek(self._begin)
        left = self._frames * self.about.channels  # what a process was killed in the middle of is no frame
        while left and (piece := self._file.read(min(left, _PIECE))):
            left -= len(piece)
            yield piece


def left_in(folder: Path) -> list[Path]:
    """Return the files of a folder, oldest first. Some of them may be written."""
    old = time.time() - _NEW_FOR
    found = []
    for path in sorted(folder.glob("*.*")):
        with suppress(FileNotFoundError):  # gateways share the folder
            if path.suffix in {_PART, _WHOLE} or (path.suffix == _NEW and path.stat().st_mtime < old):
                found.append(path)
    return found


@contextmanager
def taken(path: Path) -> Iterator[Left | None]:
    """Take a recording for the length of the block, and delete its file after it, unless the block raises.

    Gives None where its writer lives, others have it, or it holds no sound.
    """
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # Or it was deleted, or found to be whole, while we came.
        if path.exists():
            yield _left(path, file)
            path.unlink()
        else:
            yield None


def _left(path: Path, file: IO[bytes]) -> Left | None:
    about = _read(file.readline())
    if about is None:
        log.error("recording_not_readable", recording=path.stem)
        return None
    status = os.fstat(file.fileno())
    begin = file.tell()
    frames = (status.st_size - begin) // about.channels
    age = timedelta(seconds=max(time.time() - status.st_mtime, 0))
    return Left(about, path.suffix != _WHOLE, age, file, begin, frames) if frames else None

"""A binary stream over pieces of bytes that are made when they are read."""

import io
from collections.abc import Iterator
from typing import IO, Any, cast


def stream_of(pieces: Iterator[bytes]) -> IO[bytes]:
    """Return the pieces, one after the other, as a stream. One of them is in memory at a time."""
    return cast(IO[bytes], io.BufferedReader(_Pieces(pieces)))


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

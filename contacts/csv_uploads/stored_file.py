"""An uploaded file in the database, in pieces, so that a worker on any machine can read it from any byte on."""

import io
from typing import IO, Any, cast

from contacts.models import CsvPiece, CsvUpload

PIECE_BYTES = 1024 * 1024


def store(upload: CsvUpload, file: IO[bytes]) -> None:
    """Store the file, from where it stands to its end."""
    for position, content in enumerate(iter(lambda: file.read(PIECE_BYTES), b"")):
        CsvPiece.objects.create(upload=upload, position=position, content=content)


def open_at(upload: CsvUpload, start: int = 0) -> IO[bytes]:
    """Return the stored file as a stream from the byte `start` on. One piece is in memory at a time."""
    return cast(IO[bytes], io.BufferedReader(_Pieces(upload, start)))


def delete(upload: CsvUpload) -> None:
    CsvPiece.objects.filter(upload=upload).delete()


class _Pieces(io.RawIOBase):
    def __init__(self, upload: CsvUpload, start: int) -> None:
        self._upload = upload
        self._position, self._skip = divmod(start, PIECE_BYTES)
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._piece:
            self._piece = self._next()
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def _next(self) -> memoryview:
        piece = CsvPiece.objects.filter(upload=self._upload, position=self._position).first()
        self._position += 1
        start, self._skip = self._skip, 0
        return memoryview(bytes(piece.content) if piece else b"")[start:]

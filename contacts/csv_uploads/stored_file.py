"""An uploaded file in the database, in pieces, so that a worker on any machine can read it from any byte on."""

import io
from typing import IO, Any, cast

from django.db.models import Sum
from django.db.models.functions import Length

from contacts.models import CsvPiece, CsvUpload

PIECE_BYTES = 1024 * 1024
# So much is read from a piece at once, and in memory beside it.
_READ_BYTES = 32 * 1024


def store(upload: CsvUpload, file: IO[bytes]) -> None:
    """Store the file, from where it stands to its end."""
    for position, content in enumerate(iter(lambda: file.read(PIECE_BYTES), b"")):
        CsvPiece.objects.create(upload=upload, position=position, content=content)


def open_at(upload: CsvUpload, start: int = 0) -> IO[bytes]:
    """Return the stored file as a stream from the byte `start` on. One piece is in memory at a time."""
    stream = io.BufferedReader(_Pieces(upload), _READ_BYTES)
    stream.seek(start)
    return cast(IO[bytes], stream)


def delete(upload: CsvUpload) -> None:
    CsvPiece.objects.filter(upload=upload).delete()


class _Pieces(io.RawIOBase):
    def __init__(self, upload: CsvUpload) -> None:
        self._pieces = CsvPiece.objects.filter(upload=upload)
        self._place = 0
        self._position = -1  # of the piece in memory
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size if whence == io.SEEK_END else 0}
        self._place = max(base[whence] + offset, 0)
        return self._place

    def readinto(self, buffer: Any) -> int:
        position, start = divmod(self._place, PIECE_BYTES)
        if position != self._position:
            piece = self._pieces.filter(position=position).first()
            self._position, self._piece = position, memoryview(bytes(piece.content) if piece else b"")
        content = self._piece[start : start + len(buffer)]
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)

    @property
    def _size(self) -> int:
        sizes = self._pieces.aggregate(size=Sum(Length("content")))
        return int(sizes["size"] or 0)

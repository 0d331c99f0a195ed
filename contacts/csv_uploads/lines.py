"""The lines of a CSV file, read as a stream: no more than one line is in memory, wherever the file comes from."""

import codecs
from collections.abc import Iterator, Sequence
from typing import IO

from core.errors import InvalidRequest

# Far longer than a row of eleven cells. A file without line ends must not be read into memory as one line.
MAX_LINE_BYTES = 64 * 1024


class FileRefused(InvalidRequest):
    """The file can't be loaded from some line on; the message names the line."""


class Lines:
    """Iterate over the lines of a file from a place on.

    bytes_read and lines_read say up to where the lines have been returned; at_end, whether the last one has been.
    Bytes that are not UTF-8 become lone surrogates, so that one bad name costs its row and not the file.
    """

    def __init__(self, file: IO[bytes], bytes_read: int = 0, lines_read: int = 0) -> None:
        self._file = file
        self.bytes_read = bytes_read
        self.lines_read = lines_read
        self.at_end = False

    def __iter__(self) -> Iterator[str]:
        while raw := self._file.readline(MAX_LINE_BYTES + 1):
            is_first = not self.bytes_read
            self.bytes_read += len(raw)
            self.lines_read += 1
            if len(raw) > MAX_LINE_BYTES:
                raise FileRefused(f"line {self.lines_read}: is longer than {MAX_LINE_BYTES:,} bytes")
            yield (raw.removeprefix(codecs.BOM_UTF8) if is_first else raw).decode(errors="surrogateescape")
        self.at_end = True


def why_not_storable(cells: Sequence[str]) -> str:
    """Return why PostgreSQL can't store this text; "" where it can."""
    text = "".join(cells)
    if "\0" in text:
        return "the text holds a NUL character"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "the text is not UTF-8"
    return ""


def storable(text: str) -> str:
    """Return the text without NUL, with a question mark for each invalid byte, cut to what a person reads."""
    return text.replace("\0", "").encode(errors="replace").decode()[:1000]

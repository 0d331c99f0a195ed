"""The lines of a stored file, read as a stream: a few lines are in memory, wherever the file comes from."""

import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, cast

from core.errors import InvalidRequest

# Far longer than a row of eleven cells. A file without line ends must not be read into memory as one line.
MAX_LINE_BYTES = 64 * 1024


class FileRefused(InvalidRequest):
    """The file can't be loaded from some line on; the message names the line."""


@dataclass(frozen=True, slots=True)
class ReadLine:
    """A line that may be given back, with the bytes it takes in the file."""

    text: str
    size: int
    is_cut: bool


class Lines:
    """Iterate over the lines of a file from a place on, without their line ends.

    Bytes that are not UTF-8 become lone surrogates, so that one bad name costs its row and not the file.

    Attributes:
        bytes_read, lines_read: up to where the lines have been read, without those that were given back.
        is_cut: whether the last line was longer than MAX_LINE_BYTES. The rest of it is read and dropped.
    """

    def __init__(self, file: IO[bytes], bytes_read: int = 0, lines_read: int = 0) -> None:
        self._file = file
        self._given_back: deque[ReadLine] = deque()
        self._size = 0
        self.bytes_read = bytes_read
        self.lines_read = lines_read
        self.is_cut = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self._given_back:
            line = self._given_back.popleft()
            self._size, self.is_cut = line.size, line.is_cut
            self.bytes_read += line.size
            self.lines_read += 1
            return line.text
        raw = self._file.readline(MAX_LINE_BYTES)
        if not raw:
            raise StopIteration
        self._size = len(raw)
        self.is_cut = self._size == MAX_LINE_BYTES and not raw.endswith(b"\n")
        if self.is_cut:
            self._size += self._drop_rest()
        self.bytes_read += self._size
        self.lines_read += 1
        return raw.decode(errors="surrogateescape").removesuffix("\n")

    def plain_lines(
        self, most: int, most_bytes: int, odd: Sequence[bytes], count: Callable[[Sequence[str]], int] = len
    ) -> list[str]:
        """Read whole lines that are at hand, up to the first one that is not UTF-8 or holds one of these signs.

        Args:
            most: lines to read at most.
            most_bytes: their bytes at most.
            odd: the signs.
            count: returns how many of some lines, from the first one on, are to be read.

        Returns:
            No lines where the next one is such a one, or is not at hand as a whole.
        """
        if self._given_back:
            return []
        block = cast(io.BufferedReader, self._file).peek()[: min(most_bytes, MAX_LINE_BYTES)]
        found = [place for sign in odd if (place := block.find(sign)) >= 0]
        end = block.rfind(b"\n", 0, min(found, default=len(block))) + 1
        try:
            text = block[:end].decode()
        except UnicodeDecodeError as error:
            end = block.rfind(b"\n", 0, error.start) + 1
            text = block[:end].decode()
        lines = text.split("\n")[:-1]
        wanted = min(count(lines), most)
        if wanted < len(lines):
            lines = lines[:wanted]
            end = sum(map(len, map(str.encode, lines))) + len(lines)
        self._file.read(end)
        self.bytes_read += end
        self.lines_read += len(lines)
        return lines

    def is_at_end(self) -> bool:
        """Tell whether there are no more lines."""
        return not self._given_back and not cast(io.BufferedReader, self._file).peek(1)

    def last(self, text: str) -> ReadLine:
        """Return the line that was read last, to be given back."""
        return ReadLine(text, self._size, self.is_cut)

    def give_back(self, lines: Sequence[ReadLine]) -> None:
        """Put lines that were read last back, in their order: they are read again."""
        self._given_back.extendleft(reversed(lines))
        self.bytes_read -= sum(line.size for line in lines)
        self.lines_read -= len(lines)

    def _drop_rest(self) -> int:
        """Read to the end of the line, and return the number of bytes."""
        dropped = 0
        while rest := self._file.readline(MAX_LINE_BYTES):
            dropped += len(rest)
            if rest.endswith(b"\n"):
                break
        return dropped


def why_not_storable(text: str) -> str:
    """Return why PostgreSQL can't store this text; "" where it can."""
    if "\0" in text:
        return "the text holds a NUL character"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "the text is not UTF-8: save the file as CSV UTF-8"
    return ""


def storable(text: str) -> str:
    """Return the text without NUL, with a question mark for each invalid byte, cut to what a person reads."""
    return text.replace("\0", "").encode(errors="replace").decode()[:1000]

"""The rows of a workbook's first sheet with data, as the lines of a text file: one line for each row of the sheet."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import IO

from contacts.csv_uploads.byte_stream import stream_of
from contacts.csv_uploads.header import FIRST_LINES, MAX_COLUMNS
from contacts.csv_uploads.lines import FileRefused
from contacts.csv_uploads.workbook import MAX_SHEET_BYTES, MAX_TEXT, SharedStrings, Workbook, parse

# Between cells. A cell that holds one, or a line end, has a space in its place.
DELIMITER = "\t"
MAX_ROWS = 1_048_576  # in any sheet, by Excel's own limit
# XML in which the header must come.
_HEADER_BYTES = 4 * 1024 * 1024

_NO_HEADER = "line 1: there is no header: no sheet of the workbook has data in its first rows"

# Excel writes characters that XML can't hold so.
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_TO_SPACES = str.maketrans("\t\r\n\x0b\x0c\x85\u2028\u2029", " " * 8)
# Excel keeps fifteen digits of a number.
_MAX_EXACT = 10**15

Row = tuple[int, list[str]]  # its number in the sheet, and its cells


class Sheet:
    """The first sheet of a workbook that has data."""

    def __init__(self, file: IO[bytes]) -> None:
        """Find the sheet.

        Args:
            file: an .xlsx, seekable.

        Raises:
            FileRefused: it is no workbook that can be read, or has no data.
        """
        self._workbook = Workbook(file)
        self._strings_of_header = _Counted()
        for part in self._workbook.sheets:
            self._part = part
            if any(any(cells) for _, cells in self._first_rows(self._strings_of_header)):
                return
        raise FileRefused(_NO_HEADER)

    def header_lines(self) -> IO[bytes]:
        """Return the first rows as lines. Of the shared strings, only those are read that the header needs."""
        return stream_of(_lines(self._first_rows(self._workbook.strings(self._strings_of_header.most)), after=0))

    def lines(self, after: int, width: int) -> IO[bytes]:
        """Return the rows after the row `after` as lines, with the first `width` cells of each."""
        rows = _Rows(self._workbook, self._workbook.strings(), self._workbook.date_styles(), width)
        return stream_of(_lines(rows.read(self._workbook.read(self._part, MAX_SHEET_BYTES)), after))

    def _first_rows(self, strings: SharedStrings) -> Iterator[Row]:
        rows = _Rows(self._workbook, strings, frozenset(), MAX_COLUMNS + 1)
        for row in rows.read(_at_most(_HEADER_BYTES, self._workbook.read(self._part, MAX_SHEET_BYTES))):
            if row[0] > FIRST_LINES:
                return
            yield row


class _Counted(SharedStrings):
    """Shared strings that are not read yet: it counts how many are needed."""

    most = 0

    def __getitem__(self, position: int) -> str:
        self.most = max(self.most, position + 1)
        return "?"


def _at_most(size: int, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        size -= len(chunk)
        if size < 0:
            raise FileRefused(_NO_HEADER)
        yield chunk


def _lines(rows: Iterator[Row], after: int) -> Iterator[bytes]:
    """Yield a line for each row, blank ones for the rows that the sheet leaves out."""
    last = 0
    for number, cells in rows:
        if number <= last or number > MAX_ROWS:
            raise FileRefused(f"line {last}: the rows after this one are out of order: {_SAVE_AGAIN}")
        for _ in range(max(last, after) + 1, number):
            yield b"\n"
        last = number
        if number > after:
            yield (DELIMITER.join(map(_cell, cells)) + "\n").encode(errors="surrogatepass")


_SAVE_AGAIN = "open the workbook, save it again as .xlsx, and send that"


def _cell(text: str) -> str:
    if not text.isalnum():
        text = text.translate(_TO_SPACES)
        if '"' in text:
            text = '"' + text.replace('"', '""') + '"'
    return text


class _Rows:
    """Read the rows of a sheet from its XML: `<row r="2"><c r="A2" t="s" s="1"><v>0</v></c></row>`."""

    def __init__(self, workbook: Workbook, strings: SharedStrings, date_styles: frozenset[int], width: int) -> None:
        self._strings = strings
        self._date_styles = {str(style) for style in date_styles}
        self._width = width
        self._first_day = (
            datetime(1904, 1, 1, tzinfo=UTC) if workbook.counts_from_1904 else datetime(1899, 12, 30, tzinfo=UTC)
        )
        self._columns: dict[str, int] = {}  # by their letters
        self._ready: list[Row] = []
        self._number = 0
        self._cells: list[str] = []
        self._position = -1
        self._type = self._style = ""
        self._text: list[str] = []
        self._is_text = self._is_phonetic = False

    def read(self, chunks: Iterator[bytes]) -> Iterator[Row]:
        for _ in parse(chunks, self._start, self._end, self._characters):
            yield from self._ready
            self._ready.clear()

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            reference = attributes.get("r")
            self._position = self._column(reference) if reference else self._position + 1
            self._type = attributes.get("t", "n")
            self._style = attributes.get("s", "0")
            self._text.clear()
        elif name in {"v", "t"}:
            self._is_text = self._position < self._width and not self._is_phonetic
        elif name == "row":
            number = attributes.get("r", "")
            self._number = int(number[:9]) if number.isdecimal() else self._number + 1
            self._cells = []
            self._position = -1
        elif name == "rPh":
            self._is_phonetic = True

    def _end(self, name: str) -> None:
        if name in {"v", "t"}:
            self._is_text = False
        elif name == "c":
            if self._text and 0 <= self._position < self._width:
                self._cells.extend([""] * (self._position + 1 - len(self._cells)))
                self._cells[self._position] = self._value("".join(self._text)[:MAX_TEXT])
        elif name == "row":
            self._ready.append((self._number, self._cells))
        elif name == "rPh":
            self._is_phonetic = False

    def _characters(self, text: str) -> None:
        if self._is_text and len(self._text) < MAX_TEXT:
            self._text.append(text)

    def _column(self, reference: str) -> int:
        """Return 27 for `AB12`."""
        letters = reference.rstrip("0123456789")
        column = self._columns.get(letters)
        if column is None:
            column = 0
            for letter in letters[:4].upper():
                column = column * 26 + ord(letter) - ord("A") + 1
            column -= 1
            if len(self._columns) < self._width:
                self._columns[letters] = column
        return column

    def _value(self, text: str) -> str:
        match self._type:
            case "n":
                return self._number_text(text)
            case "s":
                return _unescaped(self._strings[int(text)]) if text.strip().isdecimal() else ""
            case "b":
                return "TRUE" if text.strip() == "1" else "FALSE"
            case "d":
                return text.removesuffix("T00:00:00").replace("T", " ")
            case _:  # inlineStr; str: a formula's text; e: an error such as #N/A
                return _unescaped(text)

    def _number_text(self, text: str) -> str:
        """Write a number as a person would: without an exponent or an empty fraction, and dates as such."""
        try:
            value = float(text)
        except ValueError:
            return text
        if self._style in self._date_styles and 0 <= value < 2_958_466:  # the year 10000
            return self._date(value)
        if value.is_integer() and abs(value) < _MAX_EXACT:
            return str(int(value))
        if abs(value) >= _MAX_EXACT:
            return text
        return format(Decimal(repr(value)), "f")

    def _date(self, value: float) -> str:
        days, seconds = divmod(round(value * 86_400), 86_400)
        moment = self._first_day + timedelta(days=days, seconds=seconds)
        if not days:
            return f"{moment:%H:%M:%S}".removesuffix(":00")
        return f"{moment:%Y-%m-%d}" if not seconds else f"{moment:%Y-%m-%d %H:%M:%S}".removesuffix(":00")


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) if "_x" in text else text

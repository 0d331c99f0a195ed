"""The records of a CSV file: which lines belong together, and the cells they hold.

A record is one line, unless a quoted cell stays open at its end. A quote that was typed by mistake opens a cell too,
and would swallow the rows of other people up to the next quote. So a cell may span lines only where none of them could
be a row. Otherwise the line with the quote is rejected alone, and reading continues with the line after it: every line
is counted once, and no row holds what another line says.
"""

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

from contacts.csv_uploads.lines import MAX_LINE_BYTES, Lines, ReadLine

# The longest record. Whatever the limit, no line is looked ahead at more than once: a line that opens a cell holds an
# odd number of quotes, so read as the inside of another cell it ends that one, or breaks it.
MAX_RECORD_BYTES = MAX_LINE_BYTES

# What a line may hold that is no row: spaces, and the marks that some programs leave at the end of a file.
BLANK = " \t\f\v\xa0\u3000\u200b\ufeff\x1a"

NOT_CLOSED = (
    "a quote opens in this row and is not closed before the next row: close it, or write quotes inside a cell twice"
)
STRAY = "a quote stands inside a cell: put quotes around the whole cell, and write those inside it twice"
TOO_LONG = f"the line is longer than {MAX_LINE_BYTES:,} bytes"


@dataclass(slots=True)
class Record:
    """A row of the file as it was read.

    Attributes:
        line: where it begins, from 1.
        cells: as they were written, without their quotes.
        problem: why the cells can't be told apart; "" where they can.
    """

    line: int
    cells: list[str]
    problem: str = ""


def read_records(
    lines: Lines, delimiter: str, number_at: int, width: int, most_bytes: float = math.inf
) -> Iterator[Record]:
    """Yield the rows from where the lines stand, without blank ones.

    Args:
        lines: after the header. When a record is yielded, they stand behind its last line.
        delimiter: one character.
        number_at: the column of the number, from 0.
        width: the number of columns.
        most_bytes: stop after the line that reaches so many, blank ones included.
    """
    cells_of = _Cells(lines, delimiter, number_at, width)
    stop = lines.bytes_read + most_bytes
    blank = f"{delimiter}{BLANK}"
    for text in lines:
        line = lines.lines_read
        if lines.is_cut:
            yield Record(line, [text], TOO_LONG)
        elif '"' in text:
            record = cells_of.quoted(text, line)
            if record.problem or "".join(record.cells).strip():
                yield record
        elif text.strip(blank):
            yield Record(line, text.split(delimiter))
        if lines.bytes_read >= stop:
            return


def read_record(lines: Lines, text: str, delimiter: str) -> Record:
    """Read the record that begins with this line, which was read last, where the columns are not known yet."""
    if '"' not in text:
        return Record(lines.lines_read, text.split(delimiter))
    return _Cells(lines, delimiter, number_at=MAX_RECORD_BYTES, width=MAX_RECORD_BYTES).quoted(text, lines.lines_read)


class WholeLines:
    """Tell lines that are records of their own whatever follows them, and read those."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._blank = f"{delimiter}{BLANK}"
        self._is_closed = _Grammar.of(delimiter).closed.fullmatch

    def count(self, texts: Sequence[str]) -> int:
        """Return how many lines there are before the first that opens a cell or has a stray quote."""
        for count, text in enumerate(texts if '"' in "".join(texts) else []):
            if '"' in text and not self._is_closed(text):
                return count
        return len(texts)

    def cells(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """Return the cells of each line, but for spaces around them; a cell may be written as a formula."""
        if '"' in "".join(texts):
            return _reader(texts, self._delimiter)
        return map(str.split, texts, repeat(self._delimiter))

    def record(self, line: int, text: str) -> Record | None:
        """Read one line; None where it is blank."""
        if '"' not in text:
            return Record(line, text.split(self._delimiter)) if text.strip(self._blank) else None
        cells = _parsed(text, self._delimiter)
        return Record(line, cells) if "".join(cells).strip() else None


def _reader(texts: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    return csv.reader(texts, delimiter=delimiter, skipinitialspace=True, strict=True)


def _parsed(text: str, delimiter: str) -> list[str]:
    cells = next(_reader([text], delimiter))
    return [wrapped[1] if (wrapped := _AS_FORMULA.fullmatch(cell)) else cell for cell in cells]


class _Cells:
    """Read records that have quotes."""

    def __init__(self, lines: Lines, delimiter: str, number_at: int, width: int) -> None:
        self._lines = lines
        self._delimiter = delimiter
        self._number_at = number_at
        self._width = width
        self._blank = f"{delimiter}{BLANK}"
        grammar = _Grammar.of(delimiter)
        self._is_closed = grammar.closed.fullmatch
        self._open = grammar.open.fullmatch

    def quoted(self, text: str, line: int) -> Record:
        """Read the record that begins with this line, which was read last."""
        if self._is_closed(text):
            return Record(line, _parsed(text, self._delimiter))
        if opening := self._open(text):
            inside = opening.start("inside")
            swallows = self._swallows_its_number(text[: inside - 1], text[inside:])
            if not swallows and (rest := self._rest(self._lines.last(text).size)) is not None:
                return Record(line, _parsed("\n".join([text, *rest]), self._delimiter))
            return Record(line, text.split(self._delimiter), NOT_CLOSED)
        return Record(line, text.split(self._delimiter), STRAY)

    def _rest(self, size: int) -> list[str] | None:
        """Read the lines up to the end of a record whose first line takes `size` bytes.

        Give them back and return None where they can't all belong to it.
        """
        read: list[ReadLine] = []
        for text in self._lines:
            read.append(self._lines.last(text))
            size += read[-1].size
            inside = _INSIDE.match(text)
            assert inside is not None  # it matches any text
            after = text[inside.end() + 1 :]
            is_whole = inside.end() == len(text)
            if size > MAX_RECORD_BYTES or self._could_be_a_row(inside[0], after):
                break
            if is_whole:
                continue
            if self._closes_well(after):
                return [line.text for line in read]
            if not self._opens_again(after):
                break
        self._lines.give_back(read)
        return None

    def _closes_well(self, after: str) -> bool:
        """Tell whether the record ends with what follows a closing quote."""
        return not after or (after.startswith(self._delimiter) and self._is_closed(after[1:]) is not None)

    def _opens_again(self, after: str) -> bool:
        """Tell whether, of what follows a closing quote, another cell stays open that hides no number."""
        opening = self._open(after[1:]) if after.startswith(self._delimiter) else None
        if opening is None:
            return False
        cells = opening["inside"].split(self._delimiter)
        return len(cells) == 1 or not any(map(_is_number_like, cells))

    def _could_be_a_row(self, inside: str, after: str) -> bool:
        """Tell whether a line might be a row of its own.

        Args:
            inside: the part of the line that stands inside the quotes.
            after: what follows the quote that closes them.
        """
        if begins_like_a_number(inside):
            return True
        cells = inside.split(self._delimiter)
        if self._number_at >= len(cells) or not inside.strip(self._blank):
            return False
        width = len(cells) + QUOTED.sub("", after).count(self._delimiter)
        return _is_number_like(cells[self._number_at]) or width >= self._width

    def _swallows_its_number(self, before: str, inside: str) -> bool:
        """Tell whether the line, were it not for its open quote, would be a row with its number behind that quote."""
        opens_at = len(_parsed(before, self._delimiter)) - 1 if before.strip() else 0
        cells = inside.split(self._delimiter)
        position = self._number_at - opens_at
        if not 0 <= position < len(cells) or len(cells) == 1:  # alone, it is a number that spans lines
            return False
        return _is_number_like(cells[position]) or opens_at + len(cells) >= self._width


@dataclass(frozen=True)
class _Grammar:
    """Patterns for whole lines, possessive, so that each takes time in proportion to the line.

    closed: cells that all end. open: the same, and one at the end, `inside`, that does not.
    """

    closed: re.Pattern[str]
    open: re.Pattern[str]

    @classmethod
    def of(cls, delimiter: str) -> "_Grammar":
        plain = rf'[^"{re.escape(delimiter)}]*+'
        inside = r'[^"]*+(?:""[^"]*+)*+'
        cell = rf'(?: *+"{inside}"| *+="{plain}" *+|{plain})'
        comma = re.escape(delimiter)
        return cls(
            closed=re.compile(rf"{cell}(?:{comma}{cell})*+"),
            open=re.compile(rf'(?:{cell}{comma})*+ *+"(?P<inside>{inside})'),
        )


# How programs write a text that Excel must not take for a number, with or without quotes around it.
# AS_FORMULA is in each line that has such a cell.
AS_FORMULA = '="'
_AS_FORMULA = re.compile(r' *+="([^"]*+)" *+')
# The part of a line that continues a quoted cell: up to the quote that closes it.
_INSIDE = re.compile(r'[^"]*+(?:""[^"]*+)*+')
QUOTED = re.compile(r'"[^"]*+"?')

# What may stand before a number: spaces, signs that spreadsheets and phones add, marks of direction.
_BEFORE = "[\\s\"'\u2018\u2019`=(\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]*+"
_YEAR_FIRST = r"\d{4}([-./])\d{1,2}\1\d{1,2}"
_YEAR_LAST = r"\d{1,2}([-./])\d{1,2}\2(?:\d{4}|\d\d)"
_DATE = re.compile(rf"{_BEFORE}(?:{_YEAR_FIRST}|{_YEAR_LAST})(?!\d)")
_NUMBER = re.compile(rf"{_BEFORE}(?:(?:tel|p):\s*+)?(?:[+\uff0b][\s(]*+\d|\d(?:[\s().\-\u2010-\u2015]*+\d){{6}})", re.I)


def begins_like_a_number(text: str) -> bool:
    """Tell whether the text begins with a plus and a digit, or with seven digits that are no date."""
    return _NUMBER.match(text) is not None and _DATE.match(text) is None


def _is_number_like(cell: str) -> bool:
    """Tell whether somebody might have meant the cell as a number: five digits, and no letters."""
    if begins_like_a_number(cell):
        return True
    return sum(map(str.isdecimal, cell)) >= 5 and not any(map(str.isalpha, cell)) and _DATE.match(cell) is None

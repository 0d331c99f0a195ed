"""Contact lists as CSV: what the first line says, and the rows after it, with the line where each begins.

Read as a stream: no more than a line and a row are in memory, wherever the file comes from.
"""

import codecs
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import IO

from contacts import numbers
from contacts.address_book import TEXTS
from core.errors import InvalidRequest

DELIMITERS = (",", ";", "\t")
# Exotel's limit for the columns of a dynamic list beside the known ones.
MAX_VARIABLES = 5
MAX_CELL = 255  # characters: what a contact's columns hold
# Far beyond a row of eleven cells; a file without line ends must not be read into memory as one line.
MAX_LINE_BYTES = 64 * 1024

# What a file begins with that is none: a hint for each.
_NOT_CSV = (
    (codecs.BOM_UTF16_LE, "the file is UTF-16: save it as CSV UTF-8"),
    (codecs.BOM_UTF16_BE, "the file is UTF-16: save it as CSV UTF-8"),
    (b"PK\x03\x04", "the file is a spreadsheet or an archive: save the sheet as CSV UTF-8"),
)


class Refused(InvalidRequest):
    """The file can't be read from some line on; the message names the line."""


@dataclass(frozen=True)
class Layout:
    """What the header says. columns: a name for each cell of a row, `number` among them; "" is skipped."""

    delimiter: str
    columns: tuple[str, ...]

    @property
    def variables(self) -> list[str]:
        """The columns whose values a text can name: all but the number."""
        return [name for name in self.columns if name not in {"", "number"}]

    @cached_property
    def blank(self) -> dict[str, str]:
        """A row of empty cells, by column."""
        return dict.fromkeys(self.columns, "")


@dataclass(frozen=True)
class Record:
    """A row of the file. fault: why its cells can't be told apart, when they can't."""

    line: int
    cells: list[str]
    fault: str = ""


@dataclass(frozen=True)
class Row:
    """A row that can be loaded; values by column, without the number."""

    line: int
    number: str
    values: dict[str, str]


@dataclass(frozen=True)
class Rejected:
    """A row that can't, why, and what stood in it; fit for PostgreSQL."""

    line: int
    reason: str
    cells: list[str]


class Lines:
    """The lines of a file from a place on. bytes_read and lines_read say how far they have been handed out."""

    def __init__(self, file: IO[bytes], bytes_read: int = 0, lines_read: int = 0) -> None:
        self._file = file
        self.bytes_read = bytes_read
        self.lines_read = lines_read
        self.at_end = False

    def __iter__(self) -> Iterator[str]:
        while raw := self._file.readline(MAX_LINE_BYTES + 1):
            at_start = not self.bytes_read
            self.bytes_read += len(raw)
            self.lines_read += 1
            if len(raw) > MAX_LINE_BYTES:
                raise Refused(f"line {self.lines_read}: is longer than {MAX_LINE_BYTES:,} bytes")
            # What is no UTF-8 is kept apart, so that one bad name costs its row and not the file.
            yield (raw.removeprefix(codecs.BOM_UTF8) if at_start else raw).decode(errors="surrogateescape")
        self.at_end = True


def read_layout(file: IO[bytes], *, dynamic: bool) -> tuple[Layout, Lines]:
    """The layout, and the lines after the header. Raises Refused, naming line 1, for what is no contact list."""
    lines = Lines(file)
    header = next(iter(lines), "")
    start = header.encode(errors="surrogateescape")
    for beginning, hint in _NOT_CSV:
        if start.startswith(beginning):
            raise Refused(f"line 1: {hint}")
    if not header.strip():
        raise Refused("line 1: there is no header; the first line names the columns, number among them")
    if unreadable := _unreadable([header]):
        raise Refused(f"line 1: {unreadable}; save the file as CSV UTF-8")
    if "\r" in header.rstrip("\r\n"):
        raise Refused("line 1: lines must end in LF or CR LF, not in CR alone: save the file again")
    return _layout(header, dynamic=dynamic), lines


def _layout(header: str, *, dynamic: bool) -> Layout:
    delimiter = max(DELIMITERS, key=header.count)
    try:
        names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter, strict=True))]
    except csv.Error as error:
        raise Refused("line 1: a quote in the header is not closed, or something follows it") from error
    columns = tuple(_known(name) or name for name in names)
    if "number" not in columns:
        raise Refused(
            "line 1: no column is named number; the first line must be a header such as number,first_name, not a row"
        )
    if twice := [name for name in columns if name and columns.count(name) > 1]:
        raise Refused(f"line 1: the column {twice[0][:64]} stands twice")
    own = [name for name in columns if name and name != "number" and name not in TEXTS]
    if own and not dynamic:
        raise Refused(
            f"line 1: {own[0][:64]} is no column of a static list, which has number, {', '.join(TEXTS)};"
            " upload the file with type=dynamic, or without the column"
        )
    if len(own) > MAX_VARIABLES:
        raise Refused(f"line 1: {len(own)} columns of your own are more than {MAX_VARIABLES}")
    if long := [name for name in own if len(name) > MAX_CELL]:
        raise Refused(f"line 1: the column {long[0][:64]}… has a name of more than {MAX_CELL} characters")
    return Layout(delimiter, columns)


def _known(header: str) -> str:
    """`First Name` as `first_name`, where that is a column that we know; else ""."""
    name = header.casefold().replace(" ", "_").replace("-", "_")
    return name if name == "number" or name in TEXTS else ""


def read_records(lines: Lines, layout: Layout) -> Iterator[Record]:
    """The rows after the header, blank lines left out. Raises Refused where the rest of the file can't be made out."""
    reader = csv.reader(lines, delimiter=layout.delimiter, strict=True)
    while True:
        line = lines.lines_read + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.at_end or "limit" in str(error):
                raise Refused(f"line {line}: a quote opens in this row and is not closed") from error
            # The reader begins anew with the line after this one.
            yield Record(line, [], "a quote closes before the end of its cell: write quotes inside a cell twice")
            continue
        if "".join(cells).strip():
            yield Record(line, cells)


def judge(record: Record, layout: Layout, region: str) -> Row | Rejected:
    """The row in E.164, or why it can't be loaded: 3 microseconds, and some 60 where the number must be rewritten."""
    reason = record.fault or _fault(record.cells, layout)
    if not reason:
        values = layout.blank | dict(zip(layout.columns, map(str.strip, record.cells), strict=False))
        values.pop("", None)
        # Spreadsheets, and our own file of rejected rows, keep a number text by an apostrophe before it.
        given = values.pop("number").removeprefix("'")
        e164 = numbers.to_e164(given, region)
        if e164:
            return Row(record.line, e164, values)
        reason = f"not a valid number: {given[:64]}" if given else "the number is missing"
    return Rejected(record.line, reason[:255], [storable(cell) for cell in record.cells])


def _fault(cells: Sequence[str], layout: Layout) -> str:
    if unreadable := _unreadable(cells):
        return unreadable
    if "".join(cells[len(layout.columns) :]).strip():
        return f"the row has {len(cells)} cells, the header {len(layout.columns)}: put quotes around a cell with commas"
    for name, cell in zip(layout.columns, cells, strict=False):
        if name != "number" and len(cell.strip()) > MAX_CELL:
            return f"{name[:64]} is longer than {MAX_CELL} characters"
    return ""


def _unreadable(cells: Sequence[str]) -> str:
    """Why PostgreSQL can't hold the text; "" where it can."""
    text = "".join(cells)
    if "\0" in text:
        return "the text holds a NUL character"
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        return "the text is not UTF-8"
    return ""


def storable(text: str) -> str:
    """The text with a question mark for each byte that is no UTF-8, without NUL, cut to what a person reads."""
    return text.replace("\0", "").encode(errors="replace").decode()[:1000]

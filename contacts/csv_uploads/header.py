"""The header of a file of contacts: its delimiter, and the names of its columns."""

import re
from dataclasses import dataclass

from contacts.csv_uploads import records
from contacts.csv_uploads.lines import MAX_LINE_BYTES, FileRefused, Lines, why_not_storable
from core import csv_formulas
from core.names import displayed

DELIMITERS = (",", ";", "\t", "|")
# Far more than any export has. Each row is split into so many cells.
MAX_COLUMNS = 1000
# Lines in which the header must come; all before it are blank.
FIRST_LINES = 100

# Excel writes and reads such a line before the header.
_SEPARATOR_LINE = re.compile(r'"?sep=(?P<sign>.)"?[,;\t]*', re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """The line that names the columns.

    Attributes:
        line: where it is in the file, from 1.
        delimiter: what stands between cells.
        names: as they are written, without spaces around them and characters that nobody sees.
        is_of_rejected_rows: whether the file is one of rejected rows, as it was downloaded: its first two columns are
            the line and the reason, and cells that look like formulas have an apostrophe in front.
    """

    line: int
    delimiter: str
    names: tuple[str, ...]
    is_of_rejected_rows: bool = False

    def refused(self, why: str) -> FileRefused:
        """Return the refusal that names the header's line."""
        return FileRefused(f"line {self.line}: {why}")


def read_header(lines: Lines, delimiter: str = "") -> Header:
    """Read up to the end of the header.

    Args:
        lines: at the beginning of the file.
        delimiter: where it is known; otherwise the file says it, or it is the sign that the header has most often.

    Raises:
        FileRefused: there is no header, or it can't be read. The message names its line.
    """
    for text in lines:
        line = lines.lines_read
        if line > FIRST_LINES:
            break
        if lines.is_cut:
            raise FileRefused(f"line {line}: is longer than {MAX_LINE_BYTES:,} bytes")
        if separator := _SEPARATOR_LINE.fullmatch(text) if not delimiter else None:
            delimiter = _known_delimiter(separator["sign"], line)
        elif text.strip(records.BLANK + "".join(DELIMITERS)):
            return _header(lines, text, delimiter or _most_frequent(text))
    raise FileRefused("line 1: there is no header; the first line names the columns, number among them")


def _known_delimiter(sign: str, line: int) -> str:
    if sign not in DELIMITERS:
        raise FileRefused(f"line {line}: sep={sign} names no delimiter: use commas, semicolons, tabs or |")
    return sign


def _most_frequent(text: str) -> str:
    outside_quotes = records.QUOTED.sub("", text)
    return max(DELIMITERS, key=outside_quotes.count)


def _header(lines: Lines, text: str, delimiter: str) -> Header:
    line = lines.lines_read
    record = records.read_record(lines, text, delimiter)
    if len(record.cells) > MAX_COLUMNS:
        raise FileRefused(f"line {line}: the header has more than {MAX_COLUMNS:,} columns: leave out those not needed")
    if record.problem:
        raise FileRefused(f"line {line}: a quote in the header is not closed, or something follows it")
    if problem := why_not_storable("".join(record.cells)):
        raise FileRefused(f"line {line}: {problem}")
    names = tuple(displayed(cell.strip(records.BLANK)) for cell in record.cells)
    if [name.casefold() for name in names[:2]] == ["line", "reason"]:
        return Header(line, delimiter, tuple(map(csv_formulas.original, names)), is_of_rejected_rows=True)
    return Header(line, delimiter, names)

"""The rows of a CSV file of contacts: each one can be loaded, or is rejected with its line and the reason."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from contacts import numbers
from contacts.csv_uploads.header import MAX_CELL, Layout
from contacts.csv_uploads.lines import FileRefused, Lines, storable, why_not_storable


@dataclass(frozen=True)
class Record:
    """A row of the file as it was read.

    line: where it begins, from 1. problem: why its cells can't be told apart; "" where they can.
    """

    line: int
    cells: list[str]
    problem: str = ""


@dataclass(frozen=True)
class Row:
    """A row that can be loaded; values by column, without the number."""

    line: int
    number: str
    values: dict[str, str]


@dataclass(frozen=True)
class Rejected:
    """A row that can't be loaded, with the reason, and its cells as PostgreSQL can store them."""

    line: int
    reason: str
    cells: list[str]


def read_records(lines: Lines, layout: Layout) -> Iterator[Record]:
    """Yield the rows after the header, without blank lines.

    Raises:
        FileRefused: from this line on it can't be told where rows end.
    """
    reader = csv.reader(lines, delimiter=layout.delimiter, strict=True)
    while True:
        line = lines.lines_read + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.at_end or "limit" in str(error):
                raise FileRefused(f"line {line}: a quote opens in this row and is not closed") from error
            # The reader continues with the next line.
            yield Record(line, [], "a quote closes before the end of its cell: write quotes inside a cell twice")
            continue
        if "".join(cells).strip():
            yield Record(line, cells)


def parse_record(record: Record, layout: Layout, region: str) -> Row | Rejected:
    """Return the row with its number in E.164, or the reason why it can't be loaded.

    Takes 3 microseconds, and about 60 where the number is not in E.164 already.
    """
    reason = record.problem or _problem(record.cells, layout)
    if not reason:
        values = layout.blank | dict(zip(layout.columns, map(str.strip, record.cells), strict=False))
        values.pop("", None)
        given = values.pop("number")
        try:
            return Row(record.line, numbers.read(given, region), values)
        except numbers.InvalidNumber as invalid:
            reason = _why_not(given, invalid)
    return Rejected(record.line, reason[:255], [storable(cell) for cell in record.cells])


def _why_not(given: str, invalid: numbers.InvalidNumber) -> str:
    if not given:
        return "the number is missing"
    reason = f"; {invalid.reason}" if invalid.reason else ""
    return f"not a valid number: {given[:64]}{reason}"


def _problem(cells: Sequence[str], layout: Layout) -> str:
    if problem := why_not_storable(cells):
        return problem
    if "".join(cells[len(layout.columns) :]).strip():
        return f"the row has {len(cells)} cells, the header {len(layout.columns)}: put quotes around a cell with commas"
    for name, cell in zip(layout.columns, cells, strict=False):
        if name != "number" and len(cell.strip()) > MAX_CELL:
            return f"{name[:64]} is longer than {MAX_CELL} characters"
    return ""

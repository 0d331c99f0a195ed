"""Read the rows of a file in batches, as COPY takes them: plain lines by the block, all others one by one.

A line is plain where it is a record of its own, has as many cells as the header, a number that is called as it stands,
and no sign that could mean something else. Most lines of most files are. Whatever else is in a block is read as a line
alone would be, so a row comes out the same either way.
"""

from collections.abc import Callable, Sequence
from itertools import count

from contacts import e164_patterns
from contacts.csv_uploads import bulk_insert
from contacts.csv_uploads.bulk_insert import CopyRow
from contacts.csv_uploads.columns import MAX_CELL, Layout
from contacts.csv_uploads.lines import Lines
from contacts.csv_uploads.records import AS_FORMULA, Record, WholeLines
from contacts.csv_uploads.rows import Rejected, Row, parse_record, read_records
from contacts.csv_uploads.spoken_values import ValueRule
from contacts.destinations import Destinations

# What COPY would take for something else, and what PostgreSQL can't store.
_ODD = (b"\\", b"\0", b"\r")
# After so few plain lines in a row, so many bytes are read line by line: a look at a block costs as much as two lines.
_FEW, _ONE_BY_ONE_BYTES = 8, 2048


class RowReader:
    """The rows of a file from where its lines stand.

    Attributes:
        place: bytes and lines of the file up to the end of the last row that was read.
    """

    def __init__(
        self,
        lines: Lines,
        layout: Layout,
        region: str,
        *,
        is_dynamic: bool = False,
        rule: ValueRule | None = None,
        called: Destinations | None = None,
    ) -> None:
        """Read nothing yet.

        Args:
            lines: after the header.
            layout: of the file.
            region: in which numbers without a country code are dialled.
            is_dynamic: whether rows keep their values.
            rule: for the values, where the list is dynamic.
            called: where the account calls. None takes every number.
        """
        self.place = lines.bytes_read, lines.lines_read
        self._lines = lines
        self._layout = layout
        self._region = region
        self._is_dynamic = is_dynamic
        self._rule = rule
        self._called = called
        self._whole = WholeLines(layout.header.delimiter)
        self._has_plain_lines = not layout.header.is_of_rejected_rows and not layout.has_rule_columns
        # A cell with a tab is no plain one. Where tabs stand between cells, one in quotes may hold a tab.
        self._odd = (*_ODD, b'"' if layout.header.delimiter == "\t" else b"\t")
        # Asked of every line, so it is no method.
        self._is_called: Callable[[str], object] = called.surely_called.match if called else e164_patterns.is_valid

    def read_into(self, parsed: list[CopyRow | Rejected], most_rows: int, most_bytes: int) -> None:
        """Add rows until there are so many, or so many bytes were read, or the lines are at their end.

        Raises:
            FileRefused: a line can't be read. The rows before it were added.
        """
        lines = self._lines
        stop = lines.bytes_read + most_bytes
        while len(parsed) < most_rows and lines.bytes_read < stop:
            began, had, left = lines.bytes_read, len(parsed), most_rows - len(parsed)
            texts = self._plain_lines(left, stop - began)
            (self._add_dynamic if self._is_dynamic else self._add_static)(parsed, texts)
            self.place = lines.bytes_read, lines.lines_read
            # Of rows, not of lines: where one row is missing, one line is asked for, and blank ones are none.
            if len(parsed) - had < min(_FEW, left):
                few = _ONE_BY_ONE_BYTES if self._has_plain_lines else most_bytes
                self._add_one_by_one(parsed, most_rows, min(few, stop - lines.bytes_read))
            if lines.bytes_read == began:
                return

    def _plain_lines(self, most: int, most_bytes: int) -> list[str]:
        if not self._has_plain_lines:
            return []
        return self._lines.plain_lines(most, most_bytes, self._odd, self._whole.count)

    def _add_static(self, parsed: list[CopyRow | Rejected], texts: Sequence[str]) -> None:
        layout, is_called, strip = self._layout, self._is_called, str.strip
        width, number_at = len(layout.columns), layout.number_at
        first = self._lines.lines_read - len(texts) + 1
        columns = bulk_insert.text_template(layout).format
        for line, text, written in zip(count(first), texts, self._whole.cells(texts), strict=False):
            cells = list(map(strip, written))
            if len(cells) == width and len(text) <= MAX_CELL and AS_FORMULA not in text and is_called(cells[number_at]):
                parsed.append(CopyRow(line, cells[number_at], columns(*cells)))
            else:
                self._add_line(parsed, line, text)

    def _add_dynamic(self, parsed: list[CopyRow | Rejected], texts: Sequence[str]) -> None:
        layout, is_called, rule = self._layout, self._is_called, self._rule
        first = self._lines.lines_read - len(texts) + 1
        width, number_at = len(layout.columns), layout.number_at
        for line, text, cells in zip(count(first), texts, self._whole.cells(texts), strict=False):
            if (
                len(cells) == width
                and len(text) <= MAX_CELL
                and AS_FORMULA not in text
                and is_called(number := cells[number_at].strip())
            ):
                values = {name: cells[at].strip() for at, name in layout.named}
                if not rule or not rule.problem(values):
                    parsed.append(bulk_insert.copy_row(Row(line, number, values), dynamic=True))
                    continue
            self._add_line(parsed, line, text)

    def _add_line(self, parsed: list[CopyRow | Rejected], line: int, text: str) -> None:
        if record := self._whole.record(line, text):
            self._add(parsed, record)

    def _add_one_by_one(self, parsed: list[CopyRow | Rejected], most_rows: int, most_bytes: int) -> None:
        for record in read_records(self._lines, self._layout, most_bytes):
            self._add(parsed, record)
            self.place = self._lines.bytes_read, self._lines.lines_read
            if len(parsed) == most_rows:
                return

    def _add(self, parsed: list[CopyRow | Rejected], record: Record) -> None:
        row = parse_record(record, self._layout, self._region, self._rule, self._called)
        parsed.append(row if isinstance(row, Rejected) else bulk_insert.copy_row(row, dynamic=self._is_dynamic))

"""The rows of a CSV upload that were not loaded, as a CSV file that can be corrected and uploaded again."""

import codecs
import csv
import io
from collections.abc import Iterator

from contacts.models import CsvUpload, RejectedRow
from core.csv_formulas import neutral

# Rows that are read from the database, and written, at once. Each may have a thousand cells.
_CHUNK = 200


def stream(upload: CsvUpload) -> Iterator[bytes]:
    """Yield the file in parts: line, reason and the columns that are loaded, with the cells as they were.

    It begins with a byte-order mark, without which Excel does not take it for UTF-8. `header.read_header` knows its
    first two columns.
    """
    loaded = [position for position, name in enumerate(upload.columns) if name]
    yield codecs.BOM_UTF8 + _lines([("line", "reason", *(neutral(upload.columns[position]) for position in loaded))])
    for batch in _batches(upload):
        rows = []
        for rejected in batch:
            cells = rejected.cells
            kept = [cells[at] if at < len(cells) else "" for at in loaded] + cells[len(upload.columns) :]
            rows.append((str(rejected.line), neutral(rejected.reason), *map(neutral, kept)))
        yield _lines(rows)


def _batches(upload: CsvUpload) -> Iterator[list[RejectedRow]]:
    """Yield the rows in their order. No cursor stays open while a client reads: a connection pooler would lose it."""
    rest = upload.rejected.order_by("line")
    batch = list(rest[:_CHUNK])
    while batch:
        yield batch
        batch = list(rest.filter(line__gt=batch[-1].line)[:_CHUNK]) if len(batch) == _CHUNK else []


def _lines(rows: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()

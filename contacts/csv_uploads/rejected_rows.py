"""The rows of a CSV upload that were not loaded, as a CSV file that can be corrected and uploaded again."""

import codecs
import csv
import io
from collections.abc import Iterator

from contacts.models import CsvUpload
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
    rows: list[tuple[str, ...]] = []
    for rejected in upload.rejected.order_by("line").iterator(chunk_size=_CHUNK):
        cells = rejected.cells
        kept = [cells[position] if position < len(cells) else "" for position in loaded] + cells[len(upload.columns) :]
        rows.append((str(rejected.line), neutral(rejected.reason), *map(neutral, kept)))
        if len(rows) == _CHUNK:
            yield _lines(rows)
            rows = []
    yield _lines(rows)


def _lines(rows: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()

"""The rows of a CSV upload that were not loaded, as a CSV file that can be corrected and uploaded again."""

import csv
import io
from collections.abc import Iterator

from contacts.models import CsvUpload
from core.csv_formulas import neutral

# Rows that are read from the database, and written, at once.
_CHUNK = 2000


def stream(upload: CsvUpload) -> Iterator[bytes]:
    """Yield the file in parts: line, reason and the upload's own columns, with the cells as they were."""
    yield _lines([("line", "reason", *map(neutral, upload.columns))])
    rows: list[tuple[str, ...]] = []
    for rejected in upload.rejected.order_by("line").iterator(chunk_size=_CHUNK):
        rows.append((str(rejected.line), neutral(rejected.reason), *map(neutral, rejected.cells)))
        if len(rows) == _CHUNK:
            yield _lines(rows)
            rows = []
    yield _lines(rows)


def _lines(rows: list[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()

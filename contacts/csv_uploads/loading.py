"""Load a stored CSV file into its list, in batches.

Each batch is one transaction that inserts its rows, counts them and stores where reading continues, so a worker that
dies costs at most one batch, which is loaded again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from django.db import transaction

from contacts import lists
from contacts.csv_uploads import bulk_insert, upload_states
from contacts.csv_uploads.bulk_insert import CopyRow
from contacts.csv_uploads.columns import Layout
from contacts.csv_uploads.lines import FileRefused, Lines
from contacts.csv_uploads.rows import Rejected, Row, parse_record, read_records
from contacts.csv_uploads.source import open_stored
from contacts.csv_uploads.spoken_values import ValueRule
from contacts.models import ContactList, CsvUpload, RejectedRow
from core import clocks
from core.errors import InvalidRequest

log = structlog.get_logger(__name__)

MAX_ROWS = 500_000
# A batch takes a tenth of a second, or half of one where the numbers must be rewritten. Progress is seen, and lost, in
# such steps.
BATCH = 5000


class _TakenOver(Exception):
    """Another worker has continued this upload, because this one was silent for too long."""


def load(upload_id: UUID) -> None:
    """Load an upload to its end, or to the first line that can't be read. Do nothing while another worker loads it.

    One piece of the file and one batch of rows are in memory, however long the file is.
    """
    upload = upload_states.begin(upload_id, clocks.now())
    if upload is None:
        return
    try:
        _load_rows(upload, *open_stored(upload))
    except InvalidRequest as refused:
        upload_states.fail(upload, str(refused))
    except _TakenOver:
        log.warning("csv_upload_taken_over", upload=upload.pk.hex)
    else:
        upload_states.complete(upload)


def _is_dynamic(upload: CsvUpload) -> bool:
    return upload.contact_list.type == ContactList.Type.DYNAMIC


@dataclass(frozen=True)
class _Batch:
    """Rows of the file, parsed.

    Attributes:
        line: where the first of them begins.
        rows: those that can be loaded.
        rejected: those that can't.
        place: bytes and lines of the file up to their end, where reading continues after a crash.
        refused: why the file can't be read beyond them. The batch is then the last one, and may have no rows.
    """

    line: int
    rows: Sequence[CopyRow]
    rejected: Sequence[Rejected]
    place: tuple[int, int]
    refused: FileRefused | None = None

    def __len__(self) -> int:
        return len(self.rows) + len(self.rejected)


def _load_rows(upload: CsvUpload, layout: Layout, lines: Lines) -> None:
    room = lists.MAX_ENTRIES - lists.sizes([upload.contact_list_id])[upload.contact_list_id]
    for batch in _batches(upload, layout, lines):
        if upload.rows_total + len(batch) > MAX_ROWS:
            raise FileRefused(f"line {batch.line}: the file has more than {MAX_ROWS:,} rows: split it")
        if len(batch):
            room -= _store(upload, batch, room).growth
        if batch.refused:
            raise batch.refused


def _batches(upload: CsvUpload, layout: Layout, lines: Lines) -> Iterator[_Batch]:
    """Yield the rows in batches. A line that can't be read comes with the rows before it, which are stored first."""
    dynamic = _is_dynamic(upload)
    region = upload.account.region
    rule = ValueRule(allows_blanks=upload.contact_list.allows_blanks) if dynamic else None
    parsed: list[Row | Rejected] = []
    place = lines.bytes_read, lines.lines_read
    refused = None
    try:
        for record in read_records(lines, layout):
            parsed.append(parse_record(record, layout, region, rule))
            place = lines.bytes_read, lines.lines_read
            if len(parsed) == BATCH:
                yield _batch(parsed, place, dynamic=dynamic)
                parsed = []
    except FileRefused as error:
        refused = error
    if parsed or refused:
        yield _batch(parsed, place, refused, dynamic=dynamic)


def _batch(
    parsed: Sequence[Row | Rejected], place: tuple[int, int], refused: FileRefused | None = None, *, dynamic: bool
) -> _Batch:
    return _Batch(
        line=parsed[0].line if parsed else place[1],
        rows=[bulk_insert.copy_row(row, dynamic=dynamic) for row in parsed if isinstance(row, Row)],
        rejected=[row for row in parsed if isinstance(row, Rejected)],
        place=place,
        refused=refused,
    )


def _store(upload: CsvUpload, batch: _Batch, room: int) -> bulk_insert.Inserted:
    """Store a batch in one transaction.

    Raises:
        FileRefused: there would be more than `room` of them.
        _TakenOver: the upload is another worker's now.
    """
    with transaction.atomic():
        if _is_dynamic(upload):
            # Of two uploads with the same number, the second to come here must see what the first has stored.
            lists.lock_against_loading(upload.contact_list_id)
        current = CsvUpload.objects.select_for_update(of=("self",), no_key=True).get(pk=upload.pk)
        if current.status != CsvUpload.Status.IN_PROGRESS or current.bytes_read != upload.bytes_read:
            raise _TakenOver
        inserted = bulk_insert.insert(upload, batch.rows)
        if inserted.growth > max(room, 0):
            raise FileRefused(
                f"line {batch.line}: with the rows from here on, the list would have more than"
                f" {lists.MAX_ENTRIES:,} entries"
            )
        RejectedRow.objects.bulk_create(
            [RejectedRow(upload=upload, line=row.line, reason=row.reason, cells=row.cells) for row in batch.rejected]
        )
        upload.rows_total += len(batch)
        upload.rows_loaded += inserted.entries
        upload.rows_duplicate += len(batch.rows) - inserted.entries
        upload.rows_replaced += inserted.replaced
        upload.rows_rejected += len(batch.rejected)
        upload.bytes_read, upload.lines_read = batch.place
        upload.heard_at, upload.idle_starts = clocks.now(), 0
        upload.save()
    return inserted

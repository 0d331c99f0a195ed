"""Load stored CSV files into their lists, in batches and by turns.

Each batch is one transaction that inserts its rows, counts them and stores where reading continues, so a worker that
dies costs at most one batch, which is loaded again. After half a second of batches the next upload has its turn
(`upload_states.next_in_turn`).
"""

import math
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import structlog
from django.db import transaction

from contacts import destinations, do_not_call, lists
from contacts.csv_uploads import bulk_insert, upload_states
from contacts.csv_uploads.bulk_insert import CopyRow
from contacts.csv_uploads.columns import Layout
from contacts.csv_uploads.lines import FileRefused, Lines
from contacts.csv_uploads.row_reader import RowReader
from contacts.csv_uploads.rows import Rejected
from contacts.csv_uploads.source import open_stored
from contacts.csv_uploads.spoken_values import ValueRule
from contacts.models import ContactList, CsvUpload, RejectedRow
from core import clocks, lazy_commits
from core.errors import InvalidRequest

log = structlog.get_logger(__name__)

MAX_ROWS = 500_000
# A batch takes a tenth of a second, or half of one where the numbers must be rewritten. Progress is seen, and lost, in
# such steps.
BATCH = 5000
# The bytes of the file after which a batch ends in any case: rows of a thousand cells, and blank lines, are many bytes
# and few rows.
BATCH_BYTES = 512 * 1024
# How long a turn is, in seconds. An account that comes next waits for so long, and for the batch at work.
TURN_SECONDS = 0.5


class _TakenOver(Exception):
    """Another worker has continued this upload, because this one was silent for too long."""


def take_turn(seconds: float) -> bool:
    """Load the upload whose turn it is for so long. Returns whether there was one."""
    upload_id = upload_states.next_in_turn(clocks.now())
    if upload_id:
        load(upload_id, seconds)
    return upload_id is not None


def load(upload_id: UUID, seconds: float = math.inf) -> None:
    """Load an upload for so long, to its end or to the first line that can't be read.

    Do nothing while another worker loads it. One piece of the file and one batch of rows are in memory, however long
    the file is.
    """
    upload = upload_states.begin(upload_id, clocks.now())
    if upload is None:
        return
    try:
        is_loaded = _load_rows(upload, seconds)
    except InvalidRequest as refused:
        upload_states.fail(upload, str(refused))
    except _TakenOver:
        log.warning("csv_upload_taken_over", upload=upload.pk.hex)
    else:
        if is_loaded:
            upload_states.complete(upload)
        else:
            upload_states.release(upload)


def _is_dynamic(upload: CsvUpload) -> bool:
    return upload.contact_list is not None and upload.contact_list.type == ContactList.Type.DYNAMIC


@dataclass(frozen=True)
class _Batch:
    """Rows of the file, parsed.

    Attributes:
        line: where the first of them begins.
        rows: those that can be loaded.
        rejected: those that can't.
        place: bytes and lines of the file up to their end, where reading continues after a crash.
        is_last: whether the file ends behind them.
        refused: why the file can't be read beyond them. The batch is then the last one, and may have no rows.
    """

    line: int
    rows: Sequence[CopyRow]
    rejected: Sequence[Rejected]
    place: tuple[int, int]
    is_last: bool = False
    refused: FileRefused | None = None

    def __len__(self) -> int:
        return len(self.rows) + len(self.rejected)


def _load_rows(upload: CsvUpload, seconds: float) -> bool:
    """Load batches for so long. Returns whether the file has come to its end."""
    began = time.monotonic()
    batches = _open_files.take(upload) or _batches(upload, *open_stored(upload))
    room = _room(upload)
    until = None
    for batch in batches:
        until = until or time.monotonic() + _length_of_turn(seconds, time.monotonic() - began)
        if upload.rows_total + len(batch) > MAX_ROWS:
            raise FileRefused(f"line {batch.line}: the file has more than {MAX_ROWS:,} rows: split it")
        if len(batch) or not batch.refused:
            room -= _store(upload, batch, room).growth
        if batch.refused:
            raise batch.refused
        if time.monotonic() >= until and not batch.is_last:
            _open_files.keep(upload, batches)
            return False
    return True


def _room(upload: CsvUpload) -> float:
    """Return how many entries its list may still get. The do-not-call list may grow without end."""
    if upload.contact_list_id is None:
        return math.inf
    return lists.MAX_ENTRIES - lists.sizes([upload.contact_list_id])[upload.contact_list_id]


def _length_of_turn(seconds: float, way: float) -> float:
    """Return how long a turn lasts from its first batch on; way: the seconds that it took to come to that.

    To come to the place in a large workbook may take longer than a turn. Then it lasts as long again: a workbook that
    could not be kept open would otherwise be read from its start for a few rows each time.
    """
    return max(seconds, way) if way > TURN_SECONDS else seconds


class _OpenFiles:
    """Files that wait for their next turn, open: to find the place in a workbook, all before it must be read again.

    A few at most, because the texts of a workbook are in memory while it is open.
    """

    _MOST = 4

    def __init__(self) -> None:
        self._files: OrderedDict[UUID, tuple[int, Iterator[_Batch]]] = OrderedDict()

    def keep(self, upload: CsvUpload, batches: "Iterator[_Batch]") -> None:
        self._files[upload.pk] = upload.bytes_read, batches
        if len(self._files) > self._MOST:
            self._files.popitem(last=False)

    def take(self, upload: CsvUpload) -> "Iterator[_Batch] | None":
        """Return the rest of the file; None where it is not open, or another worker has read on meanwhile."""
        place, batches = self._files.pop(upload.pk, (None, None))
        return batches if place == upload.bytes_read else None


_open_files = _OpenFiles()


def _batches(upload: CsvUpload, layout: Layout, lines: Lines) -> Iterator[_Batch]:
    """Yield the rows in batches. A line that can't be read comes with the rows before it, which are stored first."""
    dynamic = _is_dynamic(upload)
    reader = RowReader(
        lines,
        layout,
        upload.account.region,
        is_dynamic=dynamic,
        rule=ValueRule(allows_blanks=upload.filled_list.allows_blanks) if dynamic else None,
        # A number that the account does not call may be listed as one not to call, too.
        called=destinations.of_account(upload.account) if upload.contact_list else None,
    )
    while True:
        began = lines.bytes_read
        parsed: list[CopyRow | Rejected] = []
        try:
            reader.read_into(parsed, BATCH, BATCH_BYTES)
            is_last = lines.is_at_end()
        except FileRefused as error:
            yield replace(_batch(parsed, reader.place), refused=error)
            return
        if lines.bytes_read == began:
            return
        yield _batch(parsed, (lines.bytes_read, lines.lines_read), is_last=is_last)


def _batch(parsed: Sequence[CopyRow | Rejected], place: tuple[int, int], *, is_last: bool = False) -> _Batch:
    return _Batch(
        line=parsed[0].line if parsed else place[1],
        rows=[row for row in parsed if isinstance(row, CopyRow)],
        rejected=[row for row in parsed if isinstance(row, Rejected)],
        place=place,
        is_last=is_last,
    )


def _store(upload: CsvUpload, batch: _Batch, room: float) -> bulk_insert.Inserted:
    """Store a batch in one transaction; in a second one where the account turns out to know some of its people.

    Raises:
        FileRefused: there would be more than `room` of them.
        _TakenOver: the upload is another worker's now.
    """
    try:
        return _store_once(upload, batch, room, looks_up=False)
    except bulk_insert.SomeAreKnown:
        return _store_once(upload, batch, room, looks_up=True)


def _store_once(upload: CsvUpload, batch: _Batch, room: float, *, looks_up: bool) -> bulk_insert.Inserted:
    with transaction.atomic():
        # Where the upload goes on is part of the transaction: a batch that a crash takes back is loaded again.
        lazy_commits.allow()
        if upload.contact_list_id and _is_dynamic(upload):
            # Of two uploads with the same number, the second to come here must see what the first has stored.
            lists.lock_against_loading(upload.contact_list_id)
        current = CsvUpload.objects.select_for_update(of=("self",), no_key=True).get(pk=upload.pk)
        if current.status != CsvUpload.Status.IN_PROGRESS or current.bytes_read != upload.bytes_read:
            raise _TakenOver
        inserted = _insert(upload, batch.rows, looks_up=looks_up)
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


def _insert(upload: CsvUpload, rows: Sequence[CopyRow], *, looks_up: bool) -> bulk_insert.Inserted:
    if upload.contact_list_id is None:
        return bulk_insert.Inserted(do_not_call.load(upload.account, {row.number for row in rows}, clocks.now()))
    return bulk_insert.insert(upload, rows, looks_up=looks_up)

"""CSV files on their way into lists: taking one in, loading it in batches, and getting on with what a crash left.

The file is kept in the database, in pieces, until it has been loaded. Each batch of rows is one transaction that loads
them, counts them and notes where reading goes on, so that a worker which dies costs at most one batch, done again.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import IO, Any, cast
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import F, Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import Account
from contacts import csv_file, lists
from contacts.address_book import TEXTS
from contacts.csv_file import Layout, Lines, Refused, Rejected, Row
from contacts.models import ContactList, CsvPiece, CsvUpload, RejectedRow
from core.errors import Conflict, InvalidRequest
from core.task_queue import enqueue

log = structlog.get_logger(__name__)

S = CsvUpload.Status

LOAD = "contacts.load_csv"  # the task that loads an upload
MAX_ROWS = 500_000
PIECE_BYTES = 1024 * 1024
# A batch takes a tenth of a second, or half of one where the numbers must be rewritten. Progress is seen, and lost, in
# such steps.
BATCH = 5000
# A worker that has not finished a batch for so long is dead.
SILENT = timedelta(seconds=60)
# A file at which so many workers in a row have died is not tried again.
MOST_IDLE_STARTS = 5


def receive(account: Account, file: IO[bytes], *, list_name: str, kind: str, file_name: str = "") -> CsvUpload:
    """Takes a file in, to be loaded into the list of that name, which is made where there is none.

    Raises Refused for a file whose header makes no sense, Conflict where it does not fit the list.
    """
    layout, _ = csv_file.read_layout(file, dynamic=kind == ContactList.Type.DYNAMIC)
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    with transaction.atomic():
        contact_list = _list_for(account, list_name, kind, layout)
        upload = CsvUpload.objects.create(
            account=account,
            contact_list=contact_list,
            file_name=file_name[:255],
            size_bytes=size,
            columns=list(layout.columns),
        )
        for position, content in enumerate(iter(lambda: file.read(PIECE_BYTES), b"")):
            CsvPiece.objects.create(upload=upload, position=position, content=content)
        transaction.on_commit(lambda: enqueue(LOAD, upload.pk.hex))
    return upload


def _list_for(account: Account, name: str, kind: str, layout: Layout) -> ContactList:
    contact_list = lists.create(account, name, kind=kind).contact_list
    if contact_list.type != kind:
        raise Conflict(f"the list {name[:100]} is {contact_list.type}: send type={contact_list.type}, or another name")
    if kind == ContactList.Type.DYNAMIC:
        contact_list = ContactList.objects.select_for_update(no_key=True).get(pk=contact_list.pk)
        if not contact_list.columns:
            contact_list.columns = layout.variables
            contact_list.save(update_fields=["columns"])
        if sorted(contact_list.columns) != sorted(layout.variables):
            raise Conflict(
                f"line 1: the list {name[:100]} has the columns number, {', '.join(contact_list.columns)}; a file that"
                " extends it must have the same"
            )
    return contact_list


def load(upload_id: UUID) -> None:
    """Loads an upload to its end, or to the first line that can't be made out. Nothing to do where another worker does.

    Memory stays flat: a piece of the file and a batch of rows.
    """
    now = timezone.now()
    upload = _begin(upload_id, now)
    if upload is None:
        return
    try:
        layout, _ = csv_file.read_layout(_open(upload), dynamic=upload.contact_list.type == ContactList.Type.DYNAMIC)
        lines = Lines(_open(upload, upload.bytes_read), upload.bytes_read, upload.lines_read)
        if not upload.bytes_read:
            next(iter(lines))  # the header
        _load_rows(upload, layout, lines)
    except InvalidRequest as refused:
        _end(upload, S.FAILED, f"{refused}; {_loaded_before(upload)}")
    except _TakenOver:
        log.warning("csv_upload_taken_over", upload=upload.pk.hex)
    else:
        _end(upload, S.COMPLETED)


def resume(now: datetime) -> int:
    """Rings for every upload that nobody has got on with for a minute; answers how many.

    One at which worker after worker has died is given up: `failed`, with a reason.
    """
    silent = CsvUpload.objects.filter(Q(heard_at__lt=now - SILENT) | Q(heard_at=None), status=S.IN_PROGRESS)
    rung = 0
    for upload in silent:
        if upload.idle_starts >= MOST_IDLE_STARTS:
            _end(upload, S.FAILED, f"the server failed {MOST_IDLE_STARTS} times to load it; {_loaded_before(upload)}")
            continue
        enqueue(LOAD, upload.pk.hex)
        rung += 1
    return rung


class _TakenOver(Exception):
    """Another worker has got on with this upload: this one was silent for too long."""


def _begin(upload_id: UUID, now: datetime) -> CsvUpload | None:
    """The upload, taken by this worker; None where it has ended or another worker was heard of lately."""
    free = Q(heard_at__lt=now - SILENT) | Q(heard_at=None)
    taken = CsvUpload.objects.filter(free, pk=upload_id, status=S.IN_PROGRESS, idle_starts__lt=MOST_IDLE_STARTS)
    if not taken.update(heard_at=now, idle_starts=F("idle_starts") + 1):
        return None
    return CsvUpload.objects.select_related("account", "contact_list").get(pk=upload_id)


@dataclass(frozen=True)
class _Batch:
    """Rows of the file, judged.

    line: where the first of them begins. rows: those that can be loaded, as COPY takes them. place: bytes and lines of
    the file up to their end, where reading goes on after a crash. refused: why the line after them can't be made out;
    nothing follows then, and there may be no rows.
    """

    line: int
    rows: Sequence[Sequence[Any]]
    rejected: Sequence[Rejected]
    place: tuple[int, int]
    refused: Refused | None = None

    def __len__(self) -> int:
        return len(self.rows) + len(self.rejected)


def _load_rows(upload: CsvUpload, layout: Layout, lines: Lines) -> None:
    room = lists.MOST_ENTRIES - lists.sizes([upload.contact_list_id])[upload.contact_list_id]
    for batch in _batches(upload, layout, lines):
        if upload.rows_total + len(batch) > MAX_ROWS:
            raise Refused(f"line {batch.line}: the file has more than {MAX_ROWS:,} rows: split it")
        if len(batch):
            room -= _store(upload, batch, room)
        if batch.refused:
            raise batch.refused


def _batches(upload: CsvUpload, layout: Layout, lines: Lines) -> Iterator[_Batch]:
    """The rows in batches. A line that can't be made out is told with the rows before it, which are stored first."""
    dynamic = upload.contact_list.type == ContactList.Type.DYNAMIC
    region = upload.account.region
    judged: list[Row | Rejected] = []
    place = lines.bytes_read, lines.lines_read
    refused = None
    try:
        for record in csv_file.read_records(lines, layout):
            judged.append(csv_file.judge(record, layout, region))
            place = lines.bytes_read, lines.lines_read
            if len(judged) == BATCH:
                yield _batch(judged, place, dynamic=dynamic)
                judged = []
    except Refused as error:
        refused = error
    if judged or refused:
        yield _batch(judged, place, refused, dynamic=dynamic)


def _batch(
    judged: Sequence[Row | Rejected], place: tuple[int, int], refused: Refused | None = None, *, dynamic: bool
) -> _Batch:
    return _Batch(
        line=judged[0].line if judged else place[1],
        rows=[_columns(row, dynamic=dynamic) for row in judged if isinstance(row, Row)],
        rejected=[row for row in judged if isinstance(row, Rejected)],
        place=place,
        refused=refused,
    )


def _store(upload: CsvUpload, batch: _Batch, room: int) -> int:
    """Loads a batch in one transaction; answers how many entries the list has got. Raises _TakenOver."""
    with transaction.atomic():
        current = CsvUpload.objects.select_for_update(of=("self",), no_key=True).get(pk=upload.pk)
        if current.status != S.IN_PROGRESS or current.bytes_read != upload.bytes_read:
            raise _TakenOver
        loaded = _copy(upload, batch.rows)
        if loaded > max(room, 0):
            raise Refused(
                f"line {batch.line}: with the rows from here on, the list would have more than"
                f" {lists.MOST_ENTRIES:,} entries"
            )
        RejectedRow.objects.bulk_create(
            [RejectedRow(upload=upload, line=row.line, reason=row.reason, cells=row.cells) for row in batch.rejected]
        )
        upload.rows_total += len(batch)
        upload.rows_loaded += loaded
        upload.rows_duplicate += len(batch.rows) - loaded
        upload.rows_rejected += len(batch.rejected)
        upload.bytes_read, upload.lines_read = batch.place
        upload.heard_at, upload.idle_starts = timezone.now(), 0
        upload.save()
    return loaded


def _copy(upload: CsvUpload, rows: Sequence[Sequence[Any]]) -> int:
    """Makes the contacts that the account lacks and the entries that the list lacks; answers how many entries.

    A contact that is there already stays as it is. In the order of the numbers, so that two uploads of the same people
    wait for each other instead of deadlocking.
    """
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_TABLE)
        with cursor.cursor.copy("COPY csv_rows FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        loaded = _add(cursor, upload)
        cursor.execute("DROP TABLE csv_rows")
    return loaded


def _add(cursor: CursorWrapper, upload: CsvUpload) -> int:
    params: dict[str, Any] = {"account": upload.account_id, "list": upload.contact_list_id, "now": timezone.now()}
    cursor.execute(_ADD_CONTACTS, params)
    cursor.execute(_ADD_ENTRIES, params)
    return int(cursor.rowcount)


def _columns(row: Row, *, dynamic: bool) -> list[Any]:
    contact = [row.line, uuid7(), row.number, *[row.values.get(name, "") for name in TEXTS]]
    if not dynamic:
        return [*contact, None, ""]
    values = json.dumps(row.values, sort_keys=True, ensure_ascii=False)
    return [*contact, values, hashlib.md5(values.encode(), usedforsecurity=False).hexdigest()]


_MAKE_TABLE = """
    CREATE TEMPORARY TABLE csv_rows (
        line integer, id uuid, number text, first_name text, last_name text, company_name text, email text, tag text,
        values jsonb, values_digest text
    ) ON COMMIT DROP
"""

_ADD_CONTACTS = """
    INSERT INTO contacts_contact
        (id, account_id, number, first_name, last_name, company_name, email, tag, custom, created_at, updated_at)
    SELECT id, %(account)s, number, first_name, last_name, company_name, email, tag, '{}', %(now)s, %(now)s
    FROM csv_rows ORDER BY number, line
    ON CONFLICT (account_id, number) DO NOTHING
"""

# The LIMIT keeps it at one look into the index for each row. As a plain join PostgreSQL, which knows nothing of the
# temporary table, reads the account's whole address book for a batch: 13 microseconds a row for 300,000 contacts.
_ADD_ENTRIES = """
    INSERT INTO contacts_listentry (contact_list_id, contact_id, values, values_digest)
    SELECT %(list)s, contact.id, csv_rows.values, csv_rows.values_digest
    FROM csv_rows CROSS JOIN LATERAL (
        SELECT id FROM contacts_contact WHERE account_id = %(account)s AND number = csv_rows.number LIMIT 1
    ) AS contact
    ORDER BY csv_rows.line
    ON CONFLICT (contact_list_id, contact_id, values_digest) DO NOTHING
"""


def _end(upload: CsvUpload, status: str, error: str = "") -> None:
    """Ends an upload that is in progress, and throws the file away."""
    now = timezone.now()
    with transaction.atomic():
        open_one = CsvUpload.objects.filter(pk=upload.pk, status=S.IN_PROGRESS)
        if open_one.update(status=status, error=error[:1000], ended_at=now, heard_at=now):
            CsvPiece.objects.filter(upload=upload).delete()
    log.info("csv_upload_ended", upload=upload.pk.hex, status=status, rows=upload.rows_total, error=error)


def _loaded_before(upload: CsvUpload) -> str:
    rows = upload.rows_loaded
    return f"the {rows:,} rows loaded before it are in the list" if rows else "nothing of it is in the list"


class _Pieces(io.RawIOBase):
    """The stored file as a stream, from a byte on. One piece is in memory at a time."""

    def __init__(self, upload: CsvUpload, start: int) -> None:
        self._upload = upload
        self._position, self._skip = divmod(start, PIECE_BYTES)
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._piece:
            self._piece = self._next()
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def _next(self) -> memoryview:
        piece = CsvPiece.objects.filter(upload=self._upload, position=self._position).first()
        self._position += 1
        start, self._skip = self._skip, 0
        return memoryview(bytes(piece.content) if piece else b"")[start:]


def _open(upload: CsvUpload, start: int = 0) -> IO[bytes]:
    return cast(IO[bytes], io.BufferedReader(_Pieces(upload, start)))

"""The only module that writes CsvUpload.status: whose turn it is, which worker loads it, how it ends, who continues it.

Uploads are loaded by turns. The next turn is that of the account whose last one is the longest ago, so one row of an
account never waits for the large files of another. No account has two turns at a time, however many workers there are.
"""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import F, Q

from contacts.csv_uploads import stored_file
from contacts.models import CsvUpload
from core import clocks
from core.task_queue import enqueue_once

log = structlog.get_logger(__name__)

Status = CsvUpload.Status

LOAD = "contacts.load_csv"  # the task that takes a turn, and the key under which its message is enqueued once
# A worker that has not finished a batch for so long is taken to be dead.
MAX_SILENCE = timedelta(seconds=60)
# A file at which so many workers in a row have died is given up.
MAX_IDLE_STARTS = 5


def enqueue_turn() -> None:
    enqueue_once(LOAD, LOAD)


def next_in_turn(now: datetime) -> UUID | None:
    """Return the upload whose turn it is; None where none waits.

    Of an account's uploads, each has its first turn as soon as possible, so that a small file is loaded by it; then
    they go on in the order in which they came.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_IN_TURN, {"silent": now - MAX_SILENCE, "most": MAX_IDLE_STARTS})
        found = cursor.fetchone()
    return found[0] if found else None


_NEXT_IN_TURN = """
    SELECT upload.id
    FROM (SELECT DISTINCT account_id FROM contacts_csvupload WHERE status = 'in-progress') AS account
    CROSS JOIN LATERAL (
        SELECT max(heard_at) AS at FROM contacts_csvupload WHERE account_id = account.account_id
    ) AS last_turn
    CROSS JOIN LATERAL (
        SELECT id, created_at FROM contacts_csvupload
        WHERE account_id = account.account_id AND status = 'in-progress' AND idle_starts < %(most)s
        ORDER BY heard_at IS NOT NULL, created_at, id LIMIT 1
    ) AS upload
    WHERE NOT EXISTS (
        SELECT FROM contacts_csvupload WHERE account_id = account.account_id AND status = 'in-progress'
            AND is_held AND heard_at >= %(silent)s
    )
    ORDER BY last_turn.at NULLS FIRST, upload.created_at LIMIT 1
"""


def begin(upload_id: UUID, now: datetime) -> CsvUpload | None:
    """Give the upload to the calling worker. Returns None where it has ended or another worker is loading it."""
    waiting = CsvUpload.objects.filter(
        _free(now), pk=upload_id, status=Status.IN_PROGRESS, idle_starts__lt=MAX_IDLE_STARTS
    )
    if not waiting.update(is_held=True, heard_at=now, idle_starts=F("idle_starts") + 1):
        return None
    return CsvUpload.objects.select_related("account", "contact_list").get(pk=upload_id)


def release(upload: CsvUpload) -> None:
    """Leave the rest of the upload to a later turn, unless another worker has taken it over."""
    held = CsvUpload.objects.filter(pk=upload.pk, status=Status.IN_PROGRESS, bytes_read=upload.bytes_read)
    held.update(is_held=False)


def complete(upload: CsvUpload) -> None:
    """End an upload whose rows have all been read."""
    _end(upload, Status.COMPLETED)


def fail(upload: CsvUpload, why: str) -> None:
    """End an upload with an error that says why, and how many of its rows are in the list."""
    loaded = f"the {upload.rows_loaded:,} rows loaded before it are in the list"
    _end(upload, Status.FAILED, f"{why}; {loaded if upload.rows_loaded else 'nothing of it is in the list'}")


def resume(now: datetime) -> None:
    """Enqueue a turn where an upload waits, its message lost or its worker dead.

    An upload at which worker after worker has died fails.
    """
    given_up = CsvUpload.objects.filter(_free(now), status=Status.IN_PROGRESS, idle_starts__gte=MAX_IDLE_STARTS)
    for upload in given_up:
        fail(upload, f"the server failed {MAX_IDLE_STARTS} times to load it")
    if next_in_turn(now):
        enqueue_turn()


def _free(now: datetime) -> Q:
    """Uploads that no worker is loading: it has left them to a later turn, or is silent."""
    return Q(is_held=False) | Q(heard_at__lt=now - MAX_SILENCE)


def _end(upload: CsvUpload, status: str, error: str = "") -> None:
    """End the upload unless another worker has, and delete its file."""
    now = clocks.now()
    with transaction.atomic():
        in_progress = CsvUpload.objects.filter(pk=upload.pk, status=Status.IN_PROGRESS)
        if in_progress.update(status=status, error=error[:1000], ended_at=now, heard_at=now, is_held=False):
            stored_file.delete(upload)
    log.info("csv_upload_ended", upload=upload.pk.hex, status=status, rows=upload.rows_total, error=error)

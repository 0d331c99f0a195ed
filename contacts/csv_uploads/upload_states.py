"""The only module that writes CsvUpload.status: which worker loads an upload, how it ends, and who continues it."""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F, Q

from contacts.csv_uploads import stored_file
from contacts.models import CsvUpload
from core import clocks
from core.task_queue import enqueue

log = structlog.get_logger(__name__)

Status = CsvUpload.Status

LOAD = "contacts.load_csv"  # the task that loads an upload
# A worker that has not finished a batch for so long is taken to be dead.
MAX_SILENCE = timedelta(seconds=60)
# A file at which so many workers in a row have died is given up.
MAX_IDLE_STARTS = 5


def enqueue_load(upload: CsvUpload) -> None:
    enqueue(LOAD, upload.pk.hex)


def begin(upload_id: UUID, now: datetime) -> CsvUpload | None:
    """Give the upload to the calling worker. Returns None where it has ended or another worker is loading it."""
    waiting = CsvUpload.objects.filter(
        _silent(now), pk=upload_id, status=Status.IN_PROGRESS, idle_starts__lt=MAX_IDLE_STARTS
    )
    if not waiting.update(heard_at=now, idle_starts=F("idle_starts") + 1):
        return None
    return CsvUpload.objects.select_related("account", "contact_list").get(pk=upload_id)


def complete(upload: CsvUpload) -> None:
    """End an upload whose rows have all been read."""
    _end(upload, Status.COMPLETED)


def fail(upload: CsvUpload, why: str) -> None:
    """End an upload with an error that says why, and how many of its rows are in the list."""
    loaded = f"the {upload.rows_loaded:,} rows loaded before it are in the list"
    _end(upload, Status.FAILED, f"{why}; {loaded if upload.rows_loaded else 'nothing of it is in the list'}")


def resume(now: datetime) -> int:
    """Enqueue every upload that no worker has continued for a minute, its message lost or its worker dead.

    An upload at which worker after worker has died fails.

    Returns the number of messages.
    """
    enqueued = 0
    for upload in CsvUpload.objects.filter(_silent(now), status=Status.IN_PROGRESS):
        if upload.idle_starts >= MAX_IDLE_STARTS:
            fail(upload, f"the server failed {MAX_IDLE_STARTS} times to load it")
            continue
        enqueue_load(upload)
        enqueued += 1
    return enqueued


def _silent(now: datetime) -> Q:
    return Q(heard_at__lt=now - MAX_SILENCE) | Q(heard_at=None)


def _end(upload: CsvUpload, status: str, error: str = "") -> None:
    """End the upload unless another worker has, and delete its file."""
    now = clocks.now()
    with transaction.atomic():
        in_progress = CsvUpload.objects.filter(pk=upload.pk, status=Status.IN_PROGRESS)
        if in_progress.update(status=status, error=error[:1000], ended_at=now, heard_at=now):
            stored_file.delete(upload)
    log.info("csv_upload_ended", upload=upload.pk.hex, status=status, rows=upload.rows_total, error=error)

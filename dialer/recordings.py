"""Recordings that flows make of calls: where each is heard, and for how long it is kept.

A carrier that records keeps the file itself, and tells where. What this server records (over SIP trunks) is a file in
the storage `recordings`: a folder, or with django-storages a bucket. It is written before its row and deleted before
it, so a process that dies in between leaves a file that nobody knows, or a row that is deleted the next time.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO
from uuid import UUID

import structlog
from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage, storages
from django.db.models import QuerySet
from uuid_utils.compat import uuid7

from core import signed_addresses
from dialer.models import CallAttempt, Recording

log = structlog.get_logger(__name__)

ALIAS = "recordings"
_PURPOSE = "recordings"
# Deleted in one go: a storage is asked for each.
SLICE = 100


def storage() -> Storage:
    return storages[ALIAS]


def keep(attempt_id: UUID, place: str, url: str, seconds: int, now: datetime) -> None:
    """Keep where a recording is that a carrier has. It tells so more than once."""
    row = Recording(attempt_id=attempt_id, place=place, url=url, seconds=seconds, recorded_at=now)
    Recording.objects.bulk_create([row], ignore_conflicts=True)


def save(
    attempt: CallAttempt,
    place: str,
    sound: IO[bytes],
    seconds: int,
    recorded_at: datetime,
    *,
    key: UUID | None = None,
    is_cut: bool = False,
) -> Recording:
    """Store a recording of ours, a WAV file. Asks a storage, so not inside a transaction.

    Args:
        attempt: with its account loaded.
        key: of its row. A recording that a process has stored already, or died while storing, is stored once.
        is_cut: its end is missing.
    """
    key = key or uuid7()
    if known := Recording.objects.filter(pk=key).first():
        return known
    name = f"{attempt.account.sid}/{_made_at(key):%Y-%m-%d}/{key.hex}.wav"
    if storage().exists(name):
        storage().delete(name)  # by a process that died before it wrote the row
    stored = storage().save(name, File(sound))
    return Recording.objects.create(
        pk=key,
        attempt=attempt,
        place=place,
        url=url_of(key),
        file=stored,
        seconds=seconds,
        recorded_at=recorded_at,
        is_cut=is_cut,
    )


def _made_at(key: UUID) -> datetime:
    """Return the moment that is in a UUID of version 7: milliseconds since 1970."""
    return datetime.fromtimestamp((key.int >> 80) / 1000, UTC)


def url_of(key: UUID) -> str:
    """Return the address at which a recording of ours is heard, for as long as it is kept."""
    return f"{settings.PUBLIC_URL}/recordings/{key.hex}.wav?token={signed_addresses.token(_PURPOSE, key.hex)}"


def is_token(given: str, key: UUID) -> bool:
    return signed_addresses.is_token(given, _PURPOSE, key.hex)


def delete(rows: "QuerySet[Recording]") -> Iterator[int]:
    """Delete these recordings, the files first. Yields after each slice how many went.

    Raises:
        Whatever the storage raises: the rows of that slice stay.
    """
    while chosen := list(rows.order_by("recorded_at")[:SLICE]):
        for recording in chosen:
            if recording.file:
                storage().delete(recording.file)
        deleted, _ = Recording.objects.filter(pk__in=[recording.pk for recording in chosen]).delete()
        yield deleted

"""Recordings of calls that are deleted: RECORDINGS_KEPT_DAYS after they were made, or with their campaign."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import structlog
from django.conf import settings

from campaigns.models import Campaign
from dialer import recordings
from dialer.models import Recording

log = structlog.get_logger(__name__)


class NotDeleted(Exception):
    """A file can't be deleted. The message is for the operator."""


def slices(now: datetime) -> Iterator[int]:
    """Delete the recordings that are old enough. Yields after each slice how many went."""
    before = now - timedelta(days=settings.RECORDINGS_KEPT_DAYS)
    try:
        yield from recordings.delete(Recording.objects.filter(recorded_at__lt=before))
    except Exception:
        # Storages raise errors of their own libraries. The next tick tries again.
        log.exception("recordings_not_deleted")


def delete_of(campaign: Campaign) -> None:
    """Delete all recordings of a campaign. Raises NotDeleted, and then leaves some."""
    try:
        for _ in recordings.delete(Recording.objects.filter(attempt__campaign=campaign)):
            pass
    except Exception as error:
        raise NotDeleted(f"a recording could not be deleted: {type(error).__name__}: {error}") from error

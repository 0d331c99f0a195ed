"""Recordings that are over, on their way into the storage: at once, and by sweeps until it takes them."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import structlog
from django.conf import settings
from django.db import connection

from core import clocks
from dialer import recordings
from dialer.models import CallAttempt
from sipgateway import recording_files
from sipgateway.recording_files import Left

log = structlog.get_logger(__name__)

# Recordings that a storage does not take in one sweep, before that gives up: each may have to wait for it.
MOST_FAILURES = 3


def folder() -> Path:
    """Return where the recordings of this machine are made."""
    return Path(settings.DATA_DIR) / "recordings-under-way"


def store(path: Path) -> bool:
    """Store a recording that nobody writes any more, and delete its file. False where that failed: the file stays."""
    try:
        with recording_files.taken(path) as left:
            if left is not None and (left.about.channels > 1 or not left.is_silent):
                _save(left)
    except Exception:
        # Storages raise errors of their own libraries.
        log.exception("recording_not_stored", recording=path.stem)
        connection.close_if_unusable_or_obsolete()
        return False
    return True


def sweep(is_over: Callable[[], bool]) -> None:
    """Store what is left on this machine, oldest first, as long as the storage takes it."""
    failures = 0
    for path in recording_files.left_in(folder()):
        if is_over() or failures == MOST_FAILURES:
            return
        failures += not store(path)


def _save(left: Left) -> None:
    """Store a recording, unless nobody may hear it any more."""
    about, now = left.about, clocks.now()
    attempt = CallAttempt.objects.select_related("account", "campaign").filter(pk=about.attempt_id).first()
    is_old = left.age > timedelta(days=settings.RECORDINGS_KEPT_DAYS)
    if attempt is None or attempt.campaign.is_purging or is_old:
        log.warning("recording_not_wanted", attempt=about.attempt_id.hex)
        return
    with left.wav() as sound:
        recordings.save(attempt, about.place, sound, left.seconds, now - left.age, key=about.key, is_cut=left.is_cut)
    if left.is_cut:
        log.warning("recording_is_cut", attempt=about.attempt_id.hex, seconds=left.seconds)
